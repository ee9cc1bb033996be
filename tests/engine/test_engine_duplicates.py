"""The same message again has no second effect and tells of none, whatever Redis and the replicas do."""

import asyncio
from collections.abc import Callable

import pytest

from dev.faults import Proxy
from dev.stack import Stack
from services.shared.contract.events import Event
from tests.engine.lab import SOON, TOLD_WITHIN, Lab, all_of, make_lab, named, until
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, pay, reserve

MANY = 100
# What redis-py was connecting or reading when its time was over it leaves to the garbage collector unclosed.
abandoned = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def once(lab: Lab, subjects: list[str], field: str = "count", *, within: float = SOON) -> None:
    await until(f"all have {field} 1", lambda: lab.toys(field), dict.fromkeys(subjects, 1), within)
    await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)
    queue = QUEUE if field == "count" else EFFECTS_QUEUE
    assert await lab.waiting(queue) == {"ready": 0, "retry": 0, "dead": 0}
    assert await lab.toys(field) == dict.fromkeys(subjects, 1)


async def test_the_same_message_twice_in_one_batch_and_again_later_counts_once(lab: Lab) -> None:
    subjects = named("message", MANY)
    await lab.declare()
    both = [message for subject in subjects for message in [reserve(subject)] * 2]
    paid: list[Event] = [message for subject in subjects for message in [pay(subject)] * 2]
    ids = [id_ for subject in subjects for id_ in [subject] * 2]
    await lab.send(QUEUE, both, ids)
    await lab.send(EFFECTS_QUEUE, paid, ids)
    async with lab.spy() as spy, lab.replica():
        await once(lab, subjects)
        await once(lab, subjects, "paid")
        await until("all events are published", spy.distinct, 2 * MANY, SOON)
        await lab.send(QUEUE, both, ids)
        await lab.send(EFFECTS_QUEUE, paid, ids)
        await once(lab, subjects)
        await once(lab, subjects, "paid")
        await lab.room.redis.flushdb()
        await lab.send(QUEUE, both, ids)
        await lab.send(EFFECTS_QUEUE, paid, ids)
        await once(lab, subjects)
        await once(lab, subjects, "paid")
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert spy.distinct() == 2 * MANY


async def test_a_repeat_is_known_by_a_replica_started_since(lab: Lab) -> None:
    subjects = named("message", MANY)
    await lab.declare()
    for _ in range(3):
        async with lab.replica():
            await lab.send(QUEUE, map(reserve, subjects), subjects)
            await once(lab, subjects)
        await lab.room.redis.flushdb()


async def test_the_same_message_on_two_replicas_at_once_counts_once(lab: Lab) -> None:
    subjects = named("message", MANY)
    async with lab.spy() as spy, lab.replica(), lab.replica(direct=True):
        ids = [id_ for subject in subjects for id_ in [subject] * 2]
        # One after the other, dealt out in turn.
        await lab.send(QUEUE, [reserve(id_) for id_ in ids], ids)
        await lab.send(EFFECTS_QUEUE, [pay(id_) for id_ in ids], ids)
        await once(lab, subjects)
        await once(lab, subjects, "paid")
        await until("all events are published", spy.distinct, 2 * MANY, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert spy.distinct() == 2 * MANY


async def test_the_same_id_on_another_queue_is_another_message(lab: Lab) -> None:
    async with lab.replica():
        await lab.send(QUEUE, [reserve("one")], ["same"])
        await lab.send(EFFECTS_QUEUE, [pay("one")], ["same"])
        await once(lab, ["one"])
        await once(lab, ["one"], "paid")


@pytest.mark.mode(17)
@abandoned
async def test_redis_may_be_gone_slow_or_silent(servers: Stack) -> None:
    def gone(redis: Proxy) -> None:
        redis.refuse()
        redis.cut()

    async def with_redis(how: str, fault: Callable[[Proxy], None]) -> None:
        async with make_lab(servers) as lab, lab.spy() as spy, lab.replica():
            subjects, more = named("message", MANY), named("more", MANY)
            await lab.send(QUEUE, map(reserve, subjects), subjects)
            await once(lab, subjects)
            fault(lab.redis)
            for _ in range(2):
                await lab.send(QUEUE, map(reserve, subjects + more), subjects + more)
                await until(f"counted once, Redis {how}", lab.toys, dict.fromkeys(subjects + more, 1), SOON)
            lab.redis.heal()
            await once(lab, subjects + more)
            await until("all events are published", spy.distinct, 2 * MANY, SOON)

    slow: Callable[[Proxy], None] = lambda redis: redis.delay(2.0)  # noqa: E731
    await all_of(with_redis("gone", gone), with_redis("slow", slow), with_redis("silent", Proxy.silence))


@abandoned
async def test_connections_to_redis_that_are_reset_are_made_anew(lab: Lab) -> None:
    subjects = named("message", MANY)
    async with lab.replica():
        sending = asyncio.create_task(lab.send(QUEUE, map(reserve, subjects), subjects))
        for _ in range(5):
            lab.redis.cut()
            await asyncio.sleep(0.1)
        await sending
        await once(lab, subjects)
