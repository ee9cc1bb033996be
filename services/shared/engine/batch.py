"""A batch in memory: its messages are decided in order, each on what the earlier ones left behind.

Every message has a home, the aggregate that it is about, which remembers the digests of what had an effect
on it. A message that its home has seen is a duplicate, for as long as the home exists. A message whose
decision raises leaves no trace; its neighbours commit.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import structs

from services.shared.contract import identity
from services.shared.contract.audit import Entry
from services.shared.contract.decisions import (
    Aggregate,
    AnyAggregate,
    Decision,
    Domain,
    Message,
    Ref,
    Unavailable,
    Verdict,
)
from services.shared.engine.journal import Step


def digest(message: Message) -> bytes:
    """How a home remembers the message."""
    return identity.digest(message.source, message.id)


@dataclass(slots=True, eq=False)
class Undecided:
    """A message that waits for its decision to be committed."""

    message: Message
    home: Ref
    digest: bytes
    future: "asyncio.Future[Decision]"
    # A command: its caller waits at the other end of an HTTP request, and not forever.
    is_command: bool
    # Its commit is under way, or ended without an answer: it may have been carried out.
    outcome_unknown: bool = False

    def answer(self, decision: Decision) -> None:
        if not self.future.done():
            self.future.set_result(decision)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def let_go(self) -> None:
        """Tells a caller who has waited long enough what is known. Messages wait as long as it takes."""
        if self.outcome_unknown:
            self.fail(Unavailable("the database does not answer; the outcome is unknown", unknown=True))
        else:
            self.fail(Unavailable("the database does not answer; nothing was done"))


class Batch:
    """The aggregates of a batch: loaded by id, changed in memory, written together."""

    def __init__(self, domain: Domain, loaded: Mapping[Ref, Aggregate | None]) -> None:
        self._domain, self._loaded = domain, loaded
        self._changed: dict[Ref, Aggregate] = {}
        self.decided: list[tuple[Undecided, Decision]] = []
        self.duplicates: list[tuple[Undecided, Decision]] = []
        self.failed: list[tuple[Undecided, Exception]] = []
        self.steps: list[Step] = []

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        return self._at_hand(Ref(kind, id_))  # type: ignore[return-value]  # a ref's kind is its type

    def decide(self, undecided: Undecided) -> None:
        home = self._at_hand(undecided.home)
        if home is not None and undecided.digest in home.seen:
            self.duplicates.append((undecided, Decision(reply=home, verdict=Verdict.DUPLICATE)))
            return
        try:
            decision = self._domain.decide(self, undecided.message)
            changed = self._remembering(undecided, decision)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this message's alone
            self.failed.append((undecided, error))
            return
        self._changed.update(changed)
        if undecided.home in changed and decision.verdict is not Verdict.DUPLICATE:
            self.steps.append(Step(undecided.message, home, changed[undecided.home], decision.verdict))
        self.decided.append((undecided, decision))

    def writes(self) -> Iterable[tuple[Aggregate, bool]]:
        """What changed, and whether it is new."""
        return ((aggregate, self._loaded.get(ref) is None) for ref, aggregate in self._changed.items())

    @property
    def audit(self) -> list[Entry]:
        return [entry for _, decision in self.decided for entry in decision.audit]

    def found_committed(self) -> Iterable[Step]:
        """Of messages whose commit ended without an answer: it did take place."""
        return (
            Step(undecided.message, None, home, answer_lost=True)
            for undecided, _ in self.duplicates
            if undecided.outcome_unknown and (home := self._at_hand(undecided.home)) is not None
        )

    def _remembering(self, undecided: Undecided, decision: Decision) -> dict[Ref, Aggregate]:
        """What the decision changes; its home remembers the message, if anything came of it."""
        changed = {
            Ref(type(aggregate), aggregate.id): structs.replace(aggregate, version=aggregate.version + 1)
            for aggregate in decision.changed
        }
        if changed or decision.events:
            ref = undecided.home
            home = changed.get(ref) or self._at_hand(ref)
            if home is None:
                raise LookupError(
                    f"{ref.kind.__name__} {ref.id} is to remember a message, but does not exist"
                )
            if ref not in changed:
                home = structs.replace(home, version=home.version + 1)
            changed[ref] = structs.replace(home, seen=(*home.seen, undecided.digest)[-identity.REMEMBERED :])
        return changed

    def _at_hand(self, ref: Ref) -> Aggregate | None:
        return self._changed.get(ref) or self._loaded[ref]
