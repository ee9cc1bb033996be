"""What one replica at a time does, by name: who holds it, for how long.

A row a name, leased as outbox rows are: by `due`, and a token by which a replica finds what it won. It holds
what it renews; what it does not, because it died, or does not reach the database, is anybody's once `due` has
passed. Times are the database's; how long a replica may still believe that it holds something, it reckons by
its own monotonic clock from before it asked.

    free --claim--> held --renewed--> held
      ^               |
      '---- lease ----'   (the holder died, stood still, or let go)
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, TypeAlias

import msgspec
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from services.shared.contract.decisions import Unavailable
from services.shared.database.clock import Clock
from services.shared.database.store import Store

HOLDS: Final = "holds"
LEASE: Final = timedelta(seconds=30)
LOOK_SECONDS: Final = 1.0
RENEWED_EVERY_SECONDS: Final = 5.0
# So long before the end of its lease a replica begins nothing more: what it began is over by then.
MARGIN_SECONDS: Final = 16.0
# A `due` further ahead was written by a clock that was wrong: it counts as past.
TOO_FAR: Final = 2 * LEASE
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
Step: TypeAlias = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


async def _nothing() -> None:
    """Most have nothing to end."""


class Holds:
    """Of one replica."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._rows, self._clock = store.database[HOLDS], clock
        self._token = uuid.uuid4().hex
        self._known: set[str] = set()
        self._held: frozenset[str] = frozenset()
        # When it was asked for them (monotonic seconds).
        self._since = -float("inf")

    def __contains__(self, name: str) -> bool:
        """Whether to begin something that nobody else may do meanwhile."""
        left = self._since + LEASE.total_seconds() - monotonic()
        return name in self._held and left > MARGIN_SECONDS

    async def keep(self, names: Collection[str]) -> None:
        """Renews what is held of `names`, and claims what is free of them. Raises PyMongoError."""
        asked = monotonic()
        if asked - self._since < RENEWED_EVERY_SECONDS and self._known.issuperset(names):
            return
        await self._make(set(names) - self._known)
        now = self._clock.now()
        free = {"$or": [{"due": {"$lte": now}}, {"due": {"$gt": now + TOO_FAR}}, {"token": self._token}]}
        wanted = {"_id": {"$in": list(names)}}
        lease = {"$set": {"due": now + LEASE, "token": self._token}}
        await self._rows.update_many(wanted | free, lease)
        # A majority has it: no fail-over gives to another what is found here.
        rows = await self._rows.find(wanted, {"token": 1}).to_list()
        self._held = frozenset(row["_id"] for row in rows if row.get("token") == self._token)
        # A database may come back empty.
        self._known = {row["_id"] for row in rows}
        self._since = asked

    async def attend(self, look: Step, what: str, end: Step = _nothing) -> None:
        """Looks every second until it is cancelled: a look keeps what is wanted, and sees to what it holds.

        `end`: what looks have begun is ended by it, before anybody else may have what was held. `what`: the
        work, as the log names it where the database is away.
        """
        try:
            while True:
                try:
                    await look()
                except (PyMongoError, Unavailable) as error:
                    log.warning("%s wait for the database: %s", what, error)
                except msgspec.ValidationError as error:
                    # Of a newer release, whose replicas take over what is held here once that is not renewed.
                    log.error("%s wait for a document that can be read: %s", what, error)  # noqa: TRY400  # no bug
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await end()
            try:
                await self.let_go()
            except PyMongoError as error:
                log.warning("%s are others' once this replica's lease has ended: %s", what, error)

    async def let_go(self) -> None:
        """Others may have it at once. Raises PyMongoError."""
        held, self._held = self._held, frozenset()
        mine = {"_id": {"$in": list(held)}, "token": self._token}
        await self._rows.update_many(mine, {"$set": {"due": self._clock.now()}})

    async def _make(self, names: Collection[str]) -> None:
        """Rows for those that have none."""
        if names:
            new = {"$setOnInsert": {"due": _LONG_AGO}}
            with suppress(BulkWriteError):  # another replica was first
                await self._rows.bulk_write(
                    [UpdateOne({"_id": name}, new, upsert=True) for name in names], ordered=False
                )
