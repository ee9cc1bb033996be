"""Transactional outbox: events are committed with what caused them, then published, then deleted.

The collection is the truth. The replica that wrote a row publishes it from memory; rows that no living
replica has in memory are claimed and published by whoever finds them. N replicas publish each event once.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from services.shared import telemetry
from services.shared.contract import wire
from services.shared.contract.decisions import Decision, Message
from services.shared.database.clock import Clock
from services.shared.database.store import Document, Store

OUTBOX: Final = "outbox"
REPLICAS: Final = "replicas"
HEARTBEAT_SECONDS: Final = 1.0
# A replica that has not been heard of for so long is taken for dead.
DEAD_AFTER_SECONDS: Final = 6.0
SWEEP_SECONDS: Final = 2.0
# How many events may wait in memory; what is over stays for the sweep.
MEMORY_EVENTS: Final = 20_000
PUBLISH_AT_ONCE: Final = 500
log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """An event as it lies in the outbox, ready to be published."""

    id: str
    type: str
    subject: str
    body: str
    traceparent: str | None

    def to_document(self) -> Document:
        """As `_asdict`, in a third of its time."""
        return {
            "id": self.id,
            "type": self.type,
            "subject": self.subject,
            "body": self.body,
            "traceparent": self.traceparent,
        }


class Row(NamedTuple):
    id: ObjectId
    at: datetime
    entries: tuple[Entry, ...]


class Publisher(Protocol):
    async def publish(self, entries: Sequence[Entry]) -> list[Entry]:
        """Publishes all and returns those that the broker confirmed.

        Waits for a broker that is away; raises ConnectionError when it goes away in the middle.
        """
        ...


def event_id(cause: str, type_: str, index: int) -> str:
    """UUIDv5 of the causing message: handling it again gives the same id, which the inboxes know."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cause}/{type_}/{index}"))


def rows_of(decided: Iterable[tuple[Any, Decision]]) -> tuple[Entry, ...]:
    """The outbox entries of a batch."""
    return tuple(
        entry for undecided, decision in decided for entry in entries_of(undecided.message, decision)
    )


def entries_of(message: Message, decision: Decision) -> Iterable[Entry]:
    cause = f"{message.source}/{message.id}"
    for index, event in enumerate(decision.events):
        yield Entry(
            event_id(cause, event.type, index),
            event.type,
            event.subject,
            wire.encode(event).decode(),
            message.traceparent,
        )


class Outbox:
    """The rows of one replica: written with its transactions, relayed, swept."""

    def __init__(self, store: Store, publisher: Publisher, clock: Clock) -> None:
        self._rows = store.database[OUTBOX]
        self._replicas = store.database[REPLICAS]
        self._publisher, self._clock = publisher, clock
        self._owner = uuid.uuid4().hex
        self._queue: asyncio.Queue[Row] = asyncio.Queue()
        # With the ids of the events that the broker confirmed.
        self._published: asyncio.Queue[tuple[Row, set[str]]] = asyncio.Queue()
        # Rows that this replica is going to publish, and how many events they hold.
        self._in_memory: set[ObjectId] = set()
        self._events_in_memory = 0

    # --- written ----------------------------------------------------------------------------------------

    def row(self, entries: tuple[Entry, ...], at: datetime) -> Row | None:
        return Row(ObjectId(), at, entries) if entries else None

    async def insert(self, row: Row, session: AsyncClientSession) -> None:
        # Ours from now on: a sweep that sees it between its commit and `hand` must let it be.
        self._in_memory.add(row.id)
        document = {
            "_id": row.id,
            "owner": self._owner,
            "at": row.at,
            "events": [entry.to_document() for entry in row.entries],
        }
        await self._rows.insert_one(document, session=session)

    def disown(self, row: Row) -> None:
        """Its transaction did not end well: should it turn out to be committed, the sweep finds it."""
        self._in_memory.discard(row.id)

    def hand(self, row: Row) -> None:
        """To be published now that it is committed."""
        if self._events_in_memory + len(row.entries) > MEMORY_EVENTS:
            self.disown(row)
            return
        self._in_memory.add(row.id)
        self._events_in_memory += len(row.entries)
        self._queue.put_nowait(row)

    # --- published --------------------------------------------------------------------------------------

    async def run_relay(self) -> None:
        """Publishes what was handed over. Deleting goes on beside it: the next events do not wait."""
        while True:
            rows = [await self._queue.get()]
            count = len(rows[0].entries)
            while count < PUBLISH_AT_ONCE and not self._queue.empty():
                rows.append(self._queue.get_nowait())
                count += len(rows[-1].entries)
            try:
                entries = [entry for row in rows for entry in row.entries]
                confirmed = {entry.id for entry in await self._publisher.publish(entries)}
            except ConnectionError as error:
                # The rows are safe; the sweep brings them again.
                log.warning("%d events stay in the outbox for now: %s", count, error)
                self._forget(rows)
            else:
                for row in rows:
                    self._published.put_nowait((row, confirmed))

    async def run_clearing(self) -> None:
        """Deletes what the broker has confirmed, as much at once as has come together."""
        while True:
            published = [await self._published.get()]
            while not self._published.empty():
                published.append(self._published.get_nowait())
            try:
                await self._clear(published)
            except PyMongoError as error:
                # Published and not deleted: the sweep publishes them again, and the inboxes know them.
                log.warning("%d rows stay in the outbox for now: %s", len(published), error)
            finally:
                self._forget(row for row, _ in published)

    async def drain(self) -> None:
        """Waits until what is in memory has been published, or left to the sweep."""
        while self._in_memory:
            await asyncio.sleep(0.01)

    def _forget(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._in_memory.discard(row.id)
            self._events_in_memory -= len(row.entries)

    async def _clear(self, published: Iterable[tuple[Row, set[str]]]) -> None:
        whole: list[ObjectId] = []
        for row, confirmed in published:
            done = [entry.id for entry in row.entries if entry.id in confirmed]
            if len(done) == len(row.entries):
                whole.append(row.id)
            elif done:
                await self._rows.update_one({"_id": row.id}, {"$pull": {"events": {"id": {"$in": done}}}})
        if whole:
            await self._rows.delete_many({"_id": {"$in": whole}})

    # --- swept ------------------------------------------------------------------------------------------

    async def run_sweep(self) -> None:
        """Keeps the replica known as alive, and brings back rows that nobody has in memory."""
        last_sweep = float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._heartbeat()
                if loop.time() - last_sweep >= SWEEP_SECONDS:
                    last_sweep = loop.time()
                    await self._sweep()
                    await self._measure()
            except PyMongoError as error:
                log.warning("the outbox is not swept: %s", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def retire(self) -> None:
        """Others may take over at once what this replica could not publish."""
        await self._replicas.delete_one({"_id": self._owner})

    async def _heartbeat(self) -> None:
        await self._replicas.update_one(
            {"_id": self._owner}, {"$set": {"at": self._clock.now()}}, upsert=True
        )

    async def _sweep(self) -> None:
        now = self._clock.now()
        # Fresh rows are on their way from commit to memory.
        settled = {"at": {"$lt": now - timedelta(seconds=SWEEP_SECONDS)}}
        alive = await self._replicas.distinct(
            "_id", {"at": {"$gte": now - timedelta(seconds=DEAD_AFTER_SECONDS)}}
        )
        async for document in self._rows.find(settled).sort("at", 1).limit(1000):
            owner, id_ = document["owner"], document["_id"]
            if id_ in self._in_memory or (owner in alive and owner != self._owner):
                continue
            # Whoever changes the owner publishes: two sweepers cannot both.
            claimed = await self._rows.update_one(
                {"_id": id_, "owner": owner}, {"$set": {"owner": self._owner}}
            )
            if claimed.matched_count:
                entries = tuple(Entry(**event) for event in document["events"])
                self.hand(Row(id_, document["at"], entries))
        await self._replicas.delete_many({"at": {"$lt": now - timedelta(hours=1)}})

    async def _measure(self) -> None:
        pipeline = [
            {"$group": {"_id": None, "events": {"$sum": {"$size": "$events"}}, "at": {"$min": "$at"}}}
        ]
        rows = await (await self._rows.aggregate(pipeline)).to_list()
        telemetry.OUTBOX_EVENTS.set(rows[0]["events"] if rows else 0)
        age = (self._clock.now() - rows[0]["at"]).total_seconds() if rows else 0
        telemetry.OUTBOX_AGE.set(max(0.0, age))
