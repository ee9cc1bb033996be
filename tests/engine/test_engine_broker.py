"""The broker's connection is cut, silent or blocked: all is published and consumed soon after."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from dev.stack import Stack
from services.shared.contract import topology
from services.shared.contract.events import StockReserved
from tests.engine.lab import SOON, STOPPED_WITHIN, TOLD_WITHIN, Lab, add, all_of, make_lab, named, until
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, pay, release, reserve

BURST = 500


async def test_a_burst_whose_connection_is_reset_in_the_middle_is_published_soon_after(
    servers: Stack,
) -> None:
    async def reset_after(n_bytes: int) -> None:
        async with make_lab(servers) as lab, lab.spy() as spy, lab.replica() as engine:
            lab.broker.drop_after(n_bytes, "up")
            await add(engine, "burst", events=BURST)
            await until(f"a burst is published, dropped after {n_bytes}", spy.distinct, BURST, SOON)
            await add(engine, "after", events=1)
            await until("what came later is published", lambda: spy.about("after"), 1, SOON)
            await until("the outbox is empty", lab.rows, 0, SOON)

    await all_of(*(reset_after(n_bytes) for n_bytes in (2_000, 40_000, 150_000)))


async def _some(lab: Lab) -> bool:
    return bool(await lab.connections())


@pytest.mark.mode(15)
async def test_connections_closed_by_an_operator_under_load_lose_and_delay_nothing(lab: Lab) -> None:
    async with lab.spy() as spy, lab.replica() as engine:
        await until("the broker's operator sees connections", lambda: _some(lab), True, SOON)  # noqa: FBT003
        orders, messages = named("order", 200), named("message", 200)
        commands = asyncio.gather(*(add(engine, order, events=3) for order in orders))
        sending = asyncio.create_task(lab.send(QUEUE, map(reserve, messages)))
        closed = 0
        for _ in range(3):
            closed += await lab.close_connections()
            await asyncio.sleep(0.3)
        await commands
        await sending
        assert closed
        once = dict.fromkeys([*orders, *messages], 1)
        await until("all is counted, once", lab.toys, once, SOON)
        await until("every event is published", spy.distinct, 3 * 200 + 200, SOON)
        await until("the outbox is empty", lab.rows, 0, SOON)
        await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


@pytest.mark.parametrize("queue", [QUEUE, EFFECTS_QUEUE])
async def test_a_queue_that_somebody_deleted_is_there_and_consumed_again(lab: Lab, queue: str) -> None:
    async with lab.replica():
        async with lab.room.broker() as channel:
            await channel.queue_delete(queue)

            async def there() -> bool:
                async with lab.room.broker() as another:
                    try:
                        await another.declare_queue(queue, passive=True)
                    except Exception:  # noqa: BLE001  # not there yet: the channel is closed
                        return False
                return True

            await until("the queue is there again", there, True, SOON)  # noqa: FBT003
        await lab.send(queue, [reserve("one") if queue == QUEUE else pay("one")])
        await until(
            "it is consumed", lambda: lab.toys("count" if queue == QUEUE else "paid"), {"one": 1}, SOON
        )


async def test_a_broker_that_was_silent_is_worked_with_as_soon_as_it_answers(servers: Stack) -> None:
    """Silent for longer than a connection without a heartbeat lives: nobody closes it, and all wait."""
    silence = 14.0

    async def silent_while(what: str, begin: Callable[[Lab], Awaitable[None]], *, ready: bool) -> None:
        async with make_lab(servers) as lab, lab.spy() as spy:
            await lab.declare()
            if not ready:
                lab.broker.delay(0.1)
            async with lab.replica(ready=ready) as engine:
                await begin(lab)
                lab.broker.silence()
                await lab.send(QUEUE, [reserve("waited")])
                if ready:
                    await add(engine, "told")
                await asyncio.sleep(silence)
                lab.broker.heal()
                await until(f"consumed again, silent while {what}", lab.toys, expected(ready=ready), SOON)
                await until(f"published again, silent while {what}", spy.distinct, 1 + ready, SOON)
                assert engine.background.failure is None

    def expected(*, ready: bool) -> dict[str, int]:
        return {"waited": 1, "told": 1} if ready else {"waited": 1}

    async def while_consuming(_lab: Lab) -> None:
        await asyncio.sleep(1)

    async def while_declaring(lab: Lab) -> None:
        """After the handshake (half a kilobyte), long before the last of some thirty answers."""

        async def answered() -> bool:
            return lab.broker.counts.down > 800

        await until("the replica is connected", answered, True, SOON)  # noqa: FBT003

    await all_of(
        silent_while("consuming", while_consuming, ready=True),
        silent_while("declaring", while_declaring, ready=False),
    )


async def test_consumers_go_on_acknowledging_while_an_alarm_blocks_publishers(lab: Lab) -> None:
    waiting = named("waiting", 600)
    await lab.declare()
    async with lab.spy() as spy, lab.replica() as engine:
        await add(engine, "published before")
        await until("a first event", spy.distinct, 1, SOON)
        # Behind ten slow ones, so that most wait when the alarm comes.
        lab.broker.freeze("down")
        await lab.send(QUEUE, map(reserve, waiting))
        await lab.rabbitmqctl("set_vm_memory_high_watermark", "0.000001")
        try:
            lab.broker.heal()
            await add(engine, "published in vain", events=200)
            everything = {"published before": 1, "published in vain": 1} | dict.fromkeys(waiting, 1)
            await until("all messages are counted during the alarm", lab.toys, everything, SOON)
            await until("and acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)
        finally:
            await lab.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
        await until("all events are published after the alarm", spy.distinct, 1 + 200 + 600, SOON)


async def test_no_channel_is_closed_over_acknowledgements_of_slow_and_fast_effects(lab: Lab) -> None:
    """Tags settled out of order, by the hundred, while bursts of events fill the way out."""
    subjects = named("paid", 400)
    async with lab.spy() as spy, lab.replica():
        connections = lab.broker.counts.accepted
        payments = [pay(subject, 0.4 if n % 61 == 0 else 0.0, 10) for n, subject in enumerate(subjects)]
        await lab.send(EFFECTS_QUEUE, payments)
        await until("all are paid, once", lambda: lab.toys("paid"), dict.fromkeys(subjects, 1), SOON)
        await until("all events are published", spy.distinct, 400 * 10, SOON)
        await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)
        assert lab.broker.counts.accepted == connections
        assert not spy.repeated()


async def test_a_message_whose_retry_queue_is_not_bound_is_tried_again_soon_after_it_is(lab: Lab) -> None:
    exchange, retry = topology.retry_exchange("inventory"), topology.retry_queue(QUEUE, 1)
    async with lab.replica(), lab.room.broker() as channel:
        queue = await channel.get_queue(retry)
        await queue.unbind(exchange, retry)
        await lab.send(QUEUE, [release("early", "premature"), reserve("neighbour")])
        await until("its neighbour is served", lab.toys, {"neighbour": 1}, SOON)
        await asyncio.sleep(1)
        assert await lab.waiting() == {"ready": 0, "retry": 0, "dead": 0}
        await queue.bind(exchange, retry)
        await lab.send(QUEUE, [reserve("early")])
        await until("it is served", lambda: lab.toys("released"), {"early": 1}, SOON)
        await until("all is acknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_one_queue_that_does_not_confirm_holds_up_no_other(lab: Lab) -> None:
    suspend = (
        '{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"deaf">>)),'
        "sys:{verb}(amqqueue:get_pid(Q))."
    )
    async with lab.spy(StockReserved.type) as spy, lab.replica() as engine, lab.room.broker() as channel:
        deaf = await channel.declare_queue("deaf", durable=True)
        await deaf.bind("saga.events", "INVENTORY_RELEASED")
        await lab.rabbitmqctl("eval", suspend.format(vhost=lab.room.name, verb="suspend"))
        try:
            await add(engine, "unheard", kind="released")
            await asyncio.sleep(0.2)
            others = named("other", 50)
            await asyncio.gather(*(add(engine, other) for other in others))
            await until("the others are published", lambda: spy.heard_of(others), 50, SOON)
        finally:
            await lab.rabbitmqctl("eval", suspend.format(vhost=lab.room.name, verb="resume"))
        await until("the outbox is empty", lab.rows, 0, SOON)
        assert (await channel.declare_queue("deaf", passive=True)).declaration_result.message_count == 1


async def test_a_replica_stops_in_time_while_the_broker_is_silent(lab: Lab) -> None:
    """Within the 45 s that an orchestrator leaves it, and with nothing lost."""
    async with lab.spy() as spy:
        async with lab.replica() as engine:
            await add(engine, "before")
            lab.broker.silence()
            await add(engine, "meanwhile")
            started = time.monotonic()
        assert time.monotonic() - started < STOPPED_WITHIN
        async with lab.replica(direct=True):
            await until("another publishes what was left", lambda: spy.heard_of(["meanwhile"]), 1, SOON)
            await until("the outbox is empty", lab.rows, 0, SOON)


async def test_a_replica_that_starts_before_its_servers_begins_when_they_answer(lab: Lab) -> None:
    await lab.declare()
    await lab.send(QUEUE, [reserve("early")])
    lab.database.silence()
    lab.broker.refuse()
    lab.redis.refuse()
    async with lab.spy() as spy, lab.replica(ready=False) as engine:
        await asyncio.sleep(3)
        assert not (await engine.readiness()).ready
        lab.database.heal()
        await asyncio.sleep(3)
        assert not (await engine.readiness()).ready
        lab.broker.heal()
        await until("what waited is served", lab.toys, {"early": 1}, SOON)
        await until("and told of", spy.distinct, 1, SOON)
        assert (await engine.readiness()).ready
