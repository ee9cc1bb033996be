"""A service's state in memory, and what the engine does with a message, without servers or an inbox."""

import copy
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count

from msgspec import structs

from services.shared.contract.audit import By
from services.shared.contract.decisions import (
    Aggregate,
    AnyAggregate,
    AtHand,
    Decision,
    Domain,
    Message,
    Ref,
    still_needed,
)
from services.shared.database.store import from_document, to_document

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Memory:
    """What is stored goes through its document, as in the database."""

    def __init__(self, domain: Domain, *stored: Aggregate) -> None:
        self._domain = domain
        self._stored: dict[Ref, Aggregate] = {}
        self._ids = count()
        self.store(stored)

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        return self._stored.get(Ref(kind, id_))  # type: ignore[return-value]  # a ref's kind is its type

    def one(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate:
        found = self.get(kind, id_)
        assert found is not None
        return found

    def all(self, kind: type[AnyAggregate]) -> list[AnyAggregate]:
        return [each for each in self._stored.values() if isinstance(each, kind)]

    def store(self, changed: Iterable[Aggregate]) -> None:
        for each in changed:
            counted = structs.replace(each, version=each.version + 1)
            self._stored[Ref(type(each), each.id)] = from_document(type(each), to_document(counted))

    def message(
        self, body: object, *, at: datetime = NOW, last_try: bool = False, by: By | None = None
    ) -> Message:
        """Each with an id of its own: nothing is known to be a duplicate."""
        return Message(id=str(next(self._ids)), source="test", body=body, at=at, last_try=last_try, by=by)

    def decide(self, message: Message) -> Decision:
        """Decides with nothing at hand but what the message reads, and stores what changed."""
        loaded: dict[Ref, Aggregate | None] = {}
        while missing := still_needed(self._domain, (message,), loaded):
            loaded.update({ref: self._stored.get(ref) for ref in missing})
        decision = self._domain.decide(_Only(loaded), message)
        self.store(decision.changed)
        return decision

    def handle(
        self, body: object, *, at: datetime = NOW, last_try: bool = False, by: By | None = None
    ) -> Decision:
        return self.decide(self.message(body, at=at, last_try=last_try, by=by))

    def snapshot(self) -> dict[Ref, Aggregate]:
        return copy.copy(self._stored)


class _Only(AtHand):
    """Raises KeyError for what the message did not say it reads."""

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        return self._loaded[Ref(kind, id_)]  # type: ignore[return-value]  # see Memory.get
