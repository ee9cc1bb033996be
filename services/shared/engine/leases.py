"""Who publishes an outbox row, and when: `due` is the whole protocol between replicas.

A row is inserted with `due` a lease ahead. Until then the replica that wrote it publishes it from memory, and
near the end of its lease lets go of what is not on the wire yet. A row whose `due` has passed is anybody's: a
replica that can publish claims it by moving `due` on, guarded by the old one, under a token by which it then
finds what it won. Events only ever leave a row, so an old look at it is harmless; at worst an event is
published again, and its home has seen it.

    inserted --lease--> due --claim--> claimed --published--> deleted
                         ^                |
                         '----lease-------'   (the claimer died, or lost its broker)

Times are the database's. `tests/unit/shared/test_due_model.py` walks through every interleaving.
"""

import logging
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from services.shared.database.store import Store
from services.shared.engine.rows import OutboxEvent, Row

OUTBOX: Final = "outbox"
# Of the replica that wrote a row.
LEASE: Final = timedelta(seconds=10)
# Of a replica that claimed it.
CLAIM: Final = timedelta(seconds=30)
# So long before the end of a lease nothing more is put on the wire.
MARGIN: Final = timedelta(seconds=2)
# How long a row rests that the broker returned or refused: as long as it is old, within these bounds.
REST_LEAST: Final = timedelta(seconds=10)
REST_MOST: Final = timedelta(hours=1)
# A `due` further ahead than any rest was written by a clock that was wrong: it counts as past.
TOO_FAR: Final = 2 * REST_MOST
log = logging.getLogger(__name__)


def lease_of_writer(now: datetime) -> datetime:
    return now + LEASE


def lets_go(due: datetime, now: datetime) -> bool:
    """Whether what is not on the wire yet must be left to others."""
    return now >= due - MARGIN


def rest_until(at: datetime, now: datetime) -> datetime:
    """When a row that was committed `at` and is refused `now` is tried again."""
    return now + min(max(now - at, REST_LEAST), REST_MOST)


def is_due(due: datetime, now: datetime) -> bool:
    return due <= now or due > now + TOO_FAR


def _readable(documents: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """One that somebody changed by hand stays where it is, and keeps no other from being published."""
    for document in documents:
        try:
            yield Row.of(document)
        except (KeyError, TypeError, AttributeError) as error:
            log.error("the outbox row %s cannot be read: %r", document["_id"], error)  # noqa: TRY400  # no bug


def _due(now: datetime) -> dict[str, Any]:
    return {"$or": [{"due": {"$lte": now}}, {"due": {"$gt": now + TOO_FAR}}]}


class Due(NamedTuple):
    """A row that may be claimed, by the `due` that it has."""

    id: ObjectId
    due: datetime


class Left(NamedTuple):
    """A row that a replica goes no further with."""

    row: Row
    published: Sequence[OutboxEvent]
    # Until when nobody is to try it again; None where anybody may, when its lease ends.
    rest: datetime | None


class Leases:
    """The outbox collection of a service."""

    def __init__(self, store: Store) -> None:
        self._rows = store.database[OUTBOX]

    async def insert(self, row: Row, session: AsyncClientSession) -> None:
        await self._rows.insert_one(row.to_document(), session=session)

    async def exists(self, row: Row) -> bool:
        return await self._rows.find_one({"_id": row.id}, {"_id": 1}) is not None

    async def due(
        self, now: datetime, *, limit: int, but: Collection[ObjectId], committed_before: datetime
    ) -> list[Due]:
        """The first rows that are due.

        `but`: rows that the caller has in hand already. `committed_before`: younger ones are left to others.
        """
        query = _due(now) | {"at": {"$lt": committed_before}}
        if but:
            query["_id"] = {"$nin": list(but)}
        found = self._rows.find(query, {"due": 1}, batch_size=limit + 1).sort("due", 1).limit(limit)
        return [Due(row["_id"], row["due"]) for row in await found.to_list()]

    async def claim(self, rows: Sequence[Due], now: datetime) -> list[Row]:
        """Those of `rows` that nobody else was quicker to claim: the caller's until `now` + CLAIM."""
        token, until = uuid.uuid4().hex, now + CLAIM
        claim = {"$set": {"due": until, "token": token}}
        await self._rows.bulk_write(
            [UpdateOne({"_id": row.id, "due": row.due}, claim) for row in rows], ordered=False
        )
        # A majority has it: no fail-over gives to another what is found here.
        mine = {"_id": {"$in": [row.id for row in rows]}, "token": token}
        won = self._rows.find(mine, batch_size=len(rows) + 1)
        return list(_readable(await won.to_list()))

    async def delete(self, ids: Collection[ObjectId]) -> None:
        await self._rows.delete_many({"_id": {"$in": list(ids)}})

    async def shorten(self, left: Iterable[Left]) -> None:
        """Takes out what was published; one with a `rest` is left alone until then. Each has one or both."""
        updates: list[UpdateOne] = []
        for row, published, rest in left:
            ids = [event.id for event in published]
            if ids:
                updates.append(UpdateOne({"_id": row.id}, {"$pull": {"events": {"id": {"$in": ids}}}}))
            if rest is not None:
                # Should somebody else have it by now, it is theirs.
                updates.append(UpdateOne({"_id": row.id, "due": row.due}, {"$set": {"due": rest}}))
        await self._rows.bulk_write(updates, ordered=False)

    async def wake(self, now: datetime) -> None:
        """Rows that rest are due: there may be a queue for them now."""
        ahead = {"$gt": now + CLAIM, "$lte": now + TOO_FAR}
        await self._rows.update_many({"due": ahead}, {"$set": {"due": now}})

    async def give_up(self, rows: Iterable[Row], now: datetime) -> None:
        """Others may take at once what this replica will not publish any more, unless they have it."""
        ends = [UpdateOne({"_id": row.id, "due": row.due}, {"$set": {"due": now}}) for row in rows]
        await self._rows.bulk_write(ends, ordered=False)

    async def measure(self, now: datetime) -> tuple[int, float]:
        """How many rows there are, about, and the age of the oldest in seconds."""
        oldest = await self._rows.find_one({}, {"at": 1}, sort=[("_id", 1)])
        if oldest is None:
            return 0, 0.0
        count = await self._rows.estimated_document_count()
        return count, max(0.0, (now - oldest["at"]).total_seconds())

    async def gone(self, ids: Collection[ObjectId]) -> bool:
        """Whether any of these is there no more."""
        return await self._rows.count_documents({"_id": {"$in": list(ids)}}) < len(ids)
