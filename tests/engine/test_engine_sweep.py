"""A backlog that nobody publishes is shared out among the replicas that find it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from services.shared.database.clock import Clock
from services.shared.database.store import Store
from services.shared.engine.confirms import Outcome, Sent
from services.shared.engine.leases import Due, Leases
from services.shared.engine.outbox import Outbox
from services.shared.engine.rows import OutboxEvent, Row
from services.shared.engine.sweep import Sweep
from tests.engine.lab import Lab, named, until
from tests.engine.toy import SERVICE

BACKLOG = 3000
LOOKS_SECONDS = 0.05


class Confirming:
    """A connection that confirms at once, and takes its time for a question: meanwhile others look."""

    connected = True

    def __init__(self) -> None:
        self.published: list[str] = []

    async def wait_connected(self) -> None: ...

    async def answers(self) -> bool:
        await asyncio.sleep(LOOKS_SECONDS)
        return True

    async def send(self, events: Sequence[OutboxEvent], sent: Sent[OutboxEvent]) -> None:
        self.published += [event.id for event in events]
        for event in events:
            sent(event, Outcome.CONFIRMED)


class CountingLeases(Leases):
    """Counts the rows that were to be claimed, and those that were."""

    tried = won = 0

    async def claim(self, rows: Sequence[Due], now: datetime) -> list[Row]:
        claimed = await super().claim(rows, now)
        self.tried, self.won = self.tried + len(rows), self.won + len(claimed)
        return claimed


@asynccontextmanager
async def sweeping(lab: Lab) -> AsyncIterator[tuple[Confirming, CountingLeases]]:
    """The part of a replica that publishes what others left."""
    client = lab.room.mongodb
    publisher, rows, clock = (
        Confirming(),
        CountingLeases(Store(client, lab.room.database_name(SERVICE))),
        Clock(client),
    )
    outbox = Outbox(rows, publisher, clock)
    parts = (outbox.run(), outbox.clearing.run(), Sweep(rows, publisher, outbox, clock).run())
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield publisher, rows
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


async def left_behind(lab: Lab, ids: Collection[str]) -> None:
    """Rows of a replica that is no more."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    rows = (Row(ObjectId(), (OutboxEvent(id_, "TYPE", "subject", "{}", None),), at, at) for id_ in ids)
    await lab.room.database(SERVICE)["outbox"].insert_many([row.to_document() for row in rows])


async def test_replicas_that_find_one_backlog_at_once_share_it_and_seldom_claim_the_same(lab: Lab) -> None:
    ids = named("event", BACKLOG)
    await left_behind(lab, ids)
    async with AsyncExitStack() as replicas:
        one, ones = await replicas.enter_async_context(sweeping(lab))
        another, others = await replicas.enter_async_context(sweeping(lab))
        await until("the outbox is empty", lab.rows, 0, 20)
    assert sorted(one.published + another.published) == sorted(ids), "each once, by one of them"
    assert min(len(one.published), len(another.published)) > BACKLOG / 5
    assert ones.won + others.won > 2 / 3 * (ones.tried + others.tried)


async def test_what_a_replica_gives_up_at_its_end_stays_with_whoever_has_claimed_it_since(lab: Lab) -> None:
    await left_behind(lab, ["mine", "claimed"])
    rows = Leases(Store(lab.room.mongodb, lab.room.database_name(SERVICE)))
    now = datetime.now(UTC).replace(microsecond=0)
    due = await rows.due(now, limit=10, but=(), committed_before=now)
    mine, claimed = await rows.claim(due, now)
    [again] = await rows.claim([Due(claimed.id, claimed.due)], now + timedelta(seconds=1))
    await rows.give_up([mine, claimed], now)
    found = lab.room.database(SERVICE)["outbox"].find().sort("due", 1)
    assert [row["due"].replace(tzinfo=UTC) for row in await found.to_list()] == [now, again.due]
    await rows.delete([mine.id, claimed.id])
