"""Events leave once without a stall, and leave whatever becomes of the replica that wrote them."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from bson import ObjectId
from pamqp.common import FieldTable

from dev.stack import Stack
from services.shared.contract.events import EXCHANGE, StockReserved, StockUnavailable
from services.shared.engine.leases import LEASE
from services.shared.engine.life import Engine
from tests.engine.lab import SOON, Lab, add, all_of, make_lab, named, until
from tests.engine.toy import QUEUE, SERVICE, reserve


def row(event: dict[str, Any], age: timedelta = timedelta(minutes=5)) -> dict[str, Any]:
    """Of a replica that is no more: whoever comes by may have it."""
    at = datetime.now(UTC) - age
    complete = {"id": str(uuid.uuid4()), "body": "{}", "traceparent": None, **event}
    return {"_id": ObjectId(), "owner": "dead", "at": at, "due": at, "events": [complete]}


@pytest.mark.mode(9)
async def test_two_replicas_publish_each_event_once(lab: Lab) -> None:
    async with lab.spy() as spy, lab.replica() as one, lab.replica(direct=True) as another:
        subjects = named("order", 300)
        messages = named("message", 300)
        sending = asyncio.create_task(lab.send(QUEUE, map(reserve, messages)))
        for start in range(0, 300, 30):
            here = subjects[start : start + 30]
            await asyncio.gather(*(add(each, subject) for subject in here for each in (one, another)))
        await sending
        await until("all is counted", lab.toys, dict.fromkeys(subjects, 2) | dict.fromkeys(messages, 1), SOON)
        await until("all is published", spy.distinct, 900, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert not spy.repeated()


@pytest.mark.mode(9)
async def test_a_broker_that_stands_still_for_longer_than_a_lease_gets_each_event_once(lab: Lab) -> None:
    """What is on the wire meanwhile is confirmed once it goes on: nobody is to be quicker with it."""
    async with (
        lab.spy() as spy,
        lab.replica(heartbeat=10) as writer,
        lab.replica(heartbeat=10),
        lab.replica(heartbeat=10),
    ):
        lab.broker.freeze()
        await asyncio.gather(*(add(writer, subject) for subject in named("order", 20)))
        await asyncio.sleep(LEASE.total_seconds() + 3)
        lab.broker.heal()
        await until("all is published", spy.distinct, 20, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert not spy.repeated()


async def test_a_replica_that_alone_is_cut_off_from_the_broker_has_its_events_published_by_others(
    lab: Lab,
) -> None:
    async def ready(engine: Engine) -> bool:
        return (await engine.readiness()).ready

    async with lab.spy() as spy, lab.replica() as cut_off, lab.replica(direct=True) as well:
        lab.broker.refuse()
        lab.broker.cut()
        await asyncio.gather(*(add(cut_off, subject) for subject in named("order", 50)))
        await until("the others publish them", spy.distinct, 50, SOON)
        await until("it says that it is not ready", lambda: ready(cut_off), False, SOON)  # noqa: FBT003
        assert await ready(well)
        lab.broker.heal()
        await until("it is ready again", lambda: ready(cut_off), True, SOON)  # noqa: FBT003


async def test_thousands_of_rows_without_a_queue_hold_up_no_fresh_one(lab: Lab) -> None:
    outbox = lab.room.database(SERVICE)["outbox"]
    unroutable = {"type": StockUnavailable.type, "subject": "nobody"}
    fresh = {"type": StockReserved.type, "subject": "fresh", "id": "fresh"}
    await outbox.insert_many([row(unroutable, timedelta(hours=1)) for _ in range(2000)])
    async with lab.spy(StockReserved.type) as spy, lab.replica() as engine:
        await outbox.insert_one(row(fresh, timedelta(seconds=15)))
        await until("the fresh row is published", lambda: spy.about("fresh"), 1, SOON)
        await add(engine, "live")
        await until("what is committed now is published now", lambda: spy.about("live"), 1, 8)
        assert await outbox.count_documents({"events.type": StockUnavailable.type}) == 2000


async def test_a_row_that_cannot_be_sent_is_set_aside_and_its_neighbours_go_out(lab: Lab) -> None:
    outbox = lab.room.database(SERVICE)["outbox"]
    async with lab.spy() as spy, lab.replica() as engine:
        # 64 characters, 256 bytes: one more than a short string holds.
        answers = await asyncio.gather(*(add(engine, subject) for subject in ("a", "\U0001f6d2" * 64, "b")))
        assert len(answers) == 3
        left = [
            {"type": StockReserved.type, "subject": "c"},
            {"type": StockReserved.type, "subject": "x" * 300},
            {"type": "T" * 300, "subject": "long type"},
            {"type": StockReserved.type, "subject": "d"},
        ]
        by_hand = row({}) | {"events": [{"subject": "without a body"}]}
        await outbox.insert_many([by_hand, *map(row, left)])
        await until("its neighbours are published", lambda: spy.heard_of("abcd"), 4, SOON)
        await add(engine, "e")
        await until("and what comes later", lambda: spy.about("e"), 1, 8)
        await until("the bad rows alone are left", lab.rows, 4, SOON)


async def test_an_event_that_the_broker_does_not_take_is_published_when_it_does(servers: Stack) -> None:
    async def in_a_lab(work: Callable[[Lab], Coroutine[Any, Any, None]]) -> None:
        async with make_lab(servers) as lab:
            await work(lab)

    await all_of(in_a_lab(_returned), in_a_lab(_refused))


async def _returned(lab: Lab) -> None:
    """It has no queue to go to, until somebody declares one."""
    async with lab.replica() as engine:
        await add(engine, "early")
        await asyncio.sleep(1)
        async with lab.spy() as spy:
            await until("it is published", lambda: spy.about("early"), 1, 2 * SOON)
            await until("the outbox is empty", lab.rows, 0, SOON)


async def _refused(lab: Lab) -> None:
    """Refused, not returned: the one place of a queue that rejects what is over its length is taken."""
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with lab.replica() as engine, lab.room.broker() as channel:
        queue = await channel.declare_queue("full", arguments=full)
        await queue.bind(EXCHANGE, StockReserved.type)
        await add(engine, "first")
        await until("the queue is full", lambda: _count(channel, "full"), 1, SOON)
        await add(engine, "second")
        await asyncio.sleep(1)
        assert await lab.rows() > 0
        got: list[str] = []

        async def take() -> list[str]:
            if (message := await queue.get(fail=False)) is not None:
                await message.ack()
                got.append(message.correlation_id or "")
            return got

        await until("both come, one by one", take, ["first", "second"], SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)


async def _count(channel: AbstractChannel, queue: str) -> int:
    return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0


async def test_a_row_leased_far_into_the_future_is_published_all_the_same(lab: Lab) -> None:
    """As by a database whose clock was wrong for a while."""
    outbox = lab.room.database(SERVICE)["outbox"]
    strayed = row({"type": StockReserved.type, "subject": "strayed"})
    async with lab.spy() as spy, lab.replica():
        await outbox.insert_one(strayed | {"due": datetime.now(UTC) + timedelta(days=365)})
        await until("it is published", lambda: spy.about("strayed"), 1, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)


async def test_what_a_replica_leaves_at_its_end_others_publish_at_once(lab: Lab) -> None:
    async with lab.spy() as spy, lab.replica(direct=True):
        async with lab.replica() as leaving:
            lab.broker.refuse()
            lab.broker.cut()
            await asyncio.gather(*(add(leaving, subject) for subject in named("order", 20)))
        await until("the others publish them", spy.distinct, 20, 8)
