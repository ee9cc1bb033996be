"""Which rows a replica claims, and what it knows of others by those that it let go."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from bson import ObjectId

from services.shared.database.clock import Clock
from services.shared.engine.confirms import Outcome, Sent
from services.shared.engine.leases import CLAIM, Due, Leases, lease_of_writer
from services.shared.engine.outbox import MEMORY_EVENTS, Outbox
from services.shared.engine.rows import OutboxEvent, Row
from services.shared.engine.sweep import (
    ABANDONED,
    AWAKE_SECONDS,
    BEHIND_SECONDS,
    CLAIM_AT_ONCE,
    SWEEP_SECONDS,
    Sweep,
)

pytestmark = pytest.mark.looptime
START = datetime(2026, 1, 1, tzinfo=UTC)


class LoopClock:
    """The database's time, as the event loop's passes."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Collected:
    """The collection, of one row an event."""

    def __init__(self) -> None:
        self.rows: dict[ObjectId, Row] = {}

    async def due(
        self, now: datetime, *, limit: int, but: Collection[ObjectId], committed_before: datetime
    ) -> list[Due]:
        found = [
            Due(row.id, row.due)
            for row in self.rows.values()
            if row.due <= now and row.at < committed_before and row.id not in but
        ]
        return found[:limit]

    async def claim(self, rows: Sequence[Due], now: datetime) -> list[Row]:
        for id_, _ in rows:
            self.rows[id_] = self.rows[id_]._replace(due=now + CLAIM)
        return [self.rows[id_] for id_, _ in rows]

    async def give_up(self, rows: Iterable[Row], now: datetime) -> None:
        for row in rows:
            self.rows[row.id] = row._replace(due=now)

    async def delete(self, ids: Collection[ObjectId]) -> None:
        for id_ in ids:
            self.rows.pop(id_, None)

    async def measure(self, _: datetime) -> tuple[int, float]:
        return 0, 0.0

    async def gone(self, ids: Collection[ObjectId]) -> bool:
        """As many as were asked for: what is named twice is found once."""
        return len([id_ for id_ in self.rows if id_ in ids]) < len(ids)


class Link:
    """Publishes where it is connected, and confirms unless it is `deaf`."""

    def __init__(self) -> None:
        self.connected = True
        self.stands = self.deaf = False
        self.published: list[str] = []

    async def wait_connected(self) -> None:
        while not self.connected:
            await asyncio.sleep(0.1)

    async def answers(self) -> bool:
        return not self.stands

    async def send(self, events: Sequence[OutboxEvent], sent: Sent[OutboxEvent]) -> None:
        self.published += [event.id for event in events]
        for event in () if self.deaf else events:
            sent(event, Outcome.CONFIRMED)


class Replica:
    def __init__(self, rows: Collected) -> None:
        self.rows, self.link, clock = rows, Link(), cast("Clock", LoopClock())
        self.outbox = Outbox(cast("Leases", rows), self.link, clock)
        self.sweep = Sweep(cast("Leases", rows), self.link, self.outbox, clock)

    def write(self, name: str) -> None:
        """Commits a row, and has it published."""
        now = LoopClock().now()
        row = Row(ObjectId(), (OutboxEvent(name, "T", "s", "{}", None),), now, lease_of_writer(now))
        self.rows.rows[row.id] = row
        self.outbox.enqueue(row)

    def find(self, *names: str, age: timedelta = timedelta(minutes=5)) -> None:
        """A row that somebody left behind, with these events."""
        at = LoopClock().now() - age
        row = Row(ObjectId(), tuple(OutboxEvent(name, "T", "s", "{}", None) for name in names), at, at)
        self.rows.rows[row.id] = row


@asynccontextmanager
async def running() -> AsyncIterator[Replica]:
    replica = Replica(Collected())
    parts = (replica.outbox.run(), replica.outbox.clearing.run(), replica.sweep.run())
    tasks = [asyncio.create_task(part) for part in parts]
    yield replica
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * len(parts)


async def test_what_a_replica_let_go_while_it_was_cut_off_shows_whether_others_are_not() -> None:
    async with running() as replica:
        replica.link.connected = False
        replica.write("a")
        await asyncio.sleep(9)
        replica.outbox.enqueue(next(iter(replica.rows.rows.values())))  # as a commit in doubt does
        await asyncio.sleep(11)
        assert not replica.link.published
        assert not await replica.sweep.taken_over(), "nobody else has published it"
        replica.rows.rows.clear()
        assert await replica.sweep.taken_over()
        replica.link.connected = True
        await asyncio.sleep(2 * SWEEP_SECONDS)
        assert not await replica.sweep.taken_over(), "it is not cut off any more"


async def test_nothing_is_claimed_for_a_broker_that_stands_still() -> None:
    async with running() as replica:
        replica.link.stands = True
        replica.find("left")
        await asyncio.sleep(60)
        assert not replica.link.published
        assert all(row.due < LoopClock().now() for row in replica.rows.rows.values())
        replica.link.stands = False
        await asyncio.sleep(SWEEP_SECONDS)
        assert not replica.link.published, "its writer is just having it confirmed, perhaps"
        await asyncio.sleep(AWAKE_SECONDS + SWEEP_SECONDS)
        assert replica.link.published == ["left"]


async def test_a_replica_that_is_behind_takes_over_what_nobody_else_seems_to_publish_alone() -> None:
    async with running() as replica:
        replica.link.deaf = True
        replica.write("own")
        await asyncio.sleep(BEHIND_SECONDS + 1)
        replica.find("of late", age=timedelta(seconds=20))
        replica.find("abandoned", age=ABANDONED + timedelta(seconds=1))
        await asyncio.sleep(2 * SWEEP_SECONDS)
        assert replica.link.published == ["own", "abandoned"]


async def test_a_row_in_hand_whose_lease_has_ended_is_not_claimed_from_itself() -> None:
    async with running() as replica:
        replica.link.deaf = True
        replica.write("own")
        [written] = replica.rows.rows.values()
        await asyncio.sleep(120)
        assert replica.link.published == ["own"]
        assert list(replica.rows.rows.values()) == [written]


async def test_claimed_rows_that_have_no_room_in_memory_are_left_to_others_at_once() -> None:
    async with running() as replica:
        replica.link.deaf = True
        of_a_row = MEMORY_EVENTS // 50
        for row in range(CLAIM_AT_ONCE + 1):
            replica.find(*(f"{row}/{event}" for event in range(of_a_row)))
        await asyncio.sleep(SWEEP_SECONDS)
        now = LoopClock().now()
        claimed = [row for row in replica.rows.rows.values() if row.due > now]
        assert len(claimed) == 50
        assert len(replica.link.published) == MEMORY_EVENTS


async def test_a_replica_for_which_others_leave_no_row_says_nothing_of_publishing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(_self: Collected, _rows: Sequence[Due], _now: datetime) -> list[Row]:
        return []

    caplog.set_level(logging.INFO)
    async with running() as replica:
        replica.find("a")
        await asyncio.sleep(SWEEP_SECONDS + 1)
        assert [record.getMessage() for record in caplog.records] == [
            "publishing 1 rows whose lease had ended"
        ]
        caplog.clear()
        monkeypatch.setattr(Collected, "claim", nothing)
        replica.find("b")
        await asyncio.sleep(SWEEP_SECONDS + 1)
    assert not caplog.records
