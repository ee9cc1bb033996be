"""The audit trails of all services, read side by side; and that of the tools, written to."""

import asyncio
import getpass
import os
import socket
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pymongo import DESCENDING

from sagactl.oncall.books import Books
from sagactl.oncall.stores import connect
from services.shared.contract import audit
from services.shared.contract.audit import TRAILS, Action, Actor, By, Kind, Outcome
from services.shared.database.new_id import new_id
from services.shared.database.store import WRITE_CONCERN, Document
from services.shared.database.trail import COLLECTION, Trail, database_of

TOOLS: Final = "sagactl"
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Wanted(NamedTuple):
    """Which entries: of all, those that all of this is true of."""

    since: datetime | None = None
    actor: str | None = None
    subject: str | None = None
    action: Action | None = None

    def query(self) -> Document:
        said = {"actor.id": self.actor, "subject": self.subject, "action": self.action}
        after = {} if self.since is None else {"at": {"$gte": self.since}}
        return after | {name: str(value) for name, value in said.items() if value is not None}


class Concerning(NamedTuple):
    """Which entries: those of what a customer did, or of what was done to them or to their orders."""

    customer_id: str
    orders: Collection[str]

    def query(self) -> Document:
        subjects = [self.customer_id, *self.orders]
        return {"$or": [{"actor.id": self.customer_id}, {"subject": {"$in": subjects}}]}


class Told(NamedTuple):
    """What is on a trail. Its service may be of another release, or taken over: it may say anything."""

    service: str
    document: Document

    @property
    def at(self) -> datetime:
        at = self.document.get("at")
        return at if isinstance(at, datetime) else LONG_AGO

    def text(self, name: str) -> str:
        return str(self.document.get(name) or "")

    @property
    def actor(self) -> str:
        """Kind, id and roles."""
        match self.document.get("actor"):
            case {"id": id_, "kind": kind, "roles": [*roles]}:
                return f"{kind} {id_} ({', '.join(map(str, roles))})"
            case {"id": id_, "kind": kind}:
                return f"{kind} {id_}"
            case other:
                return str(other)

    def to_json(self) -> dict[str, Any]:
        said = {"service": self.service, "id": self.document["_id"], **self.document}
        del said["_id"]
        return said


async def told(
    books: Books, wanted: Wanted | Concerning, limit: int, services: Collection[str] = TRAILS
) -> list[Told]:
    """The latest of all trails, or of those of some services, in the order of time. Raises PyMongoError."""
    found = await asyncio.gather(*(_of(books, service, wanted, limit) for service in services))
    return sorted((each for some in found for each in some), key=lambda each: each.at)[-limit:]


async def _of(books: Books, service: str, wanted: Wanted | Concerning, limit: int) -> list[Told]:
    entries = books.of(database_of(service))[COLLECTION].find(wanted.query())
    return [Told(service, each) async for each in entries.sort("at", DESCENDING).limit(limit)]


async def ask(
    mongodb_url: str, action: Action, subject: str, detail: str = "", reason: str | None = None
) -> None:
    """Record what somebody asks of the tools, before it is done: what cannot be recorded is not done.

    Raises PyMongoError.
    """
    by = By(person(), socket.gethostname())
    entry = audit.entry(
        new_id(), datetime.now(UTC), by, action, subject, outcome=Outcome.ASKED, reason=reason, detail=detail
    )
    async with connect(mongodb_url) as client:
        await Trail(client, TOOLS, WRITE_CONCERN).append([entry])


def person() -> Actor:
    """Whoever runs the tools."""
    return Actor(_name(), Kind.TOOL)


def _name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user of a container, who has no name
        return str(os.getuid())
