"""The audit trail of one service, in a database of its own beside the service's.

The service's user may add entries there, and neither read, change nor remove one. Rights on MongoDB add up:
what a user may do in its own database cannot be taken from it for a single collection.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from prometheus_client import Counter
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.write_concern import WriteConcern

from services.shared.contract.audit import Entry, Outcome

COLLECTION: Final = "audit"
ENTRIES: Final = Counter("sagashop_audit_events_total", "Entries of the audit trail", ["action", "outcome"])
LEVELS: Final = {Outcome.REFUSED: logging.WARNING}
log = logging.getLogger(__name__)


def database_of(service: str) -> str:
    """The database of a trail, by that of its service."""
    return f"{service}-audit"


class Trail:
    def __init__(
        self, client: AsyncMongoClient[dict[str, Any]], database: str, write_concern: WriteConcern
    ) -> None:
        apart = client.get_database(database_of(database), write_concern=write_concern)
        self._entries = apart[COLLECTION]

    async def append(self, entries: Sequence[Entry], session: AsyncClientSession | None = None) -> None:
        """In the transaction of what they tell of, where there is one. Raises PyMongoError."""
        if entries:
            await self._entries.insert_many(list(map(_document, entries)), session=session)

    async def add(self, entry: Entry) -> None:
        """For what is done without a transaction: before it is answered. Raises PyMongoError."""
        await self.append([entry])
        tell([entry])


def tell(entries: Iterable[Entry]) -> None:
    """Counts and logs what is on the trail."""
    for entry in entries:
        ENTRIES.labels(entry.action, entry.outcome).inc()
        log.log(
            LEVELS.get(entry.outcome, logging.INFO),
            "audit: %s %s: %s %s",
            *(entry.action, entry.outcome, entry.actor.kind, entry.actor.id or "unknown"),
            extra={
                "action": entry.action,
                "outcome": entry.outcome,
                "actor": entry.actor.id,
                "actor_kind": entry.actor.kind,
                "roles": ",".join(entry.actor.roles),
                "subject": entry.subject,
                "address": entry.address,
                "request_id": entry.request_id,
                "reason": entry.reason,
                "detail": entry.detail,
            },
        )


def _document(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(entry, builtin_types=(type(entry.at),))
    return document
