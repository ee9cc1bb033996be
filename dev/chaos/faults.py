"""What is done to a shop at work: each fault begins, lasts, and ends; what ends it leaves all as it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from itertools import cycle
from typing import Final, NamedTuple

import redis.asyncio
from pymongo.errors import AutoReconnect

from dev.faults import Proxy, crashes
from dev.faults.crashes import CrashPoint
from dev.services import Replica, unnumbered
from dev.stripe_double.way import PAYMENT_GATEWAY
from dev.survive.scenarios.broker import DISK_ALARM, MEMORY_ALARM
from dev.survive.scenarios.database import ASIDE_SECONDS, STEP_DOWN
from dev.survive.scenarios.others import REDIS_DELAY_SECONDS
from dev.survive.site import Site
from services.shared.contract.events import CORE

CLOSED_EVERY_SECONDS: Final = 2.0
BROKER_DELAY_SECONDS: Final = 0.3
GATEWAY_DELAY_SECONDS: Final = 3.0
TRICKLE_BYTES_PER_SECOND: Final = 20_000.0
# Tokens are good for half a minute where clocks differ.
CLOCK_STEP_SECONDS: Final = 25.0
STEPS_EVERY_SECONDS: Final = 4.0
# What a supervisor does at once, with the time that a machine takes for it.
RESTARTS_AFTER_SECONDS: Final = 1.0
During = Callable[[Site], AbstractAsyncContextManager[None]]


class Fault(NamedTuple):
    name: str
    says: str
    # What it is done to; two faults at the same time are done to different things.
    target: str
    during: During
    # Who is called when it lasts; empty where nobody needs to be.
    alert: str = ""


# --- any server -------------------------------------------------------------------------------------------


# Which processes it is done to.
Which = Callable[[Site], Awaitable[Sequence[str]]]


def _all_of(server: str) -> Which:
    async def which(site: Site) -> Sequence[str]:
        return [name for name in site.stack.programs if unnumbered(name) == server]

    return which


async def _primary(site: Site) -> Sequence[str]:
    return [await site.primary()]


def _killed(which: Which) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        names = await which(site)
        await site.stack.processes.kill(names)
        yield
        await asyncio.gather(*map(site.stack.start, names))

    return during


def _frozen(which: Which) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        names = await which(site)
        for name in names:
            site.stack.pause(name)
        yield
        for name in names:
            site.stack.resume(name)

    return during


def _on_the_way(proxy: str, hurt: Callable[[Proxy], None]) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        hurt(site.proxies[proxy])
        yield
        site.proxies[proxy].heal()

    return during


def _away(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


# --- one server alone -------------------------------------------------------------------------------------


def _alarm(begin: Sequence[str], end: Sequence[str]) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        await site.rabbitmqctl(*begin)
        yield
        await site.rabbitmqctl(*end)

    return during


@asynccontextmanager
async def _connections_closed(site: Site) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            await site.close_connections()
            await asyncio.sleep(CLOSED_EVERY_SECONDS)

    async with _meanwhile(again_and_again):
        yield


@asynccontextmanager
async def _steps_down(site: Site) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            with suppress(AutoReconnect):  # it may close the connection before it answers
                await site.database("admin").command(STEP_DOWN)
            await asyncio.sleep(2 * ASIDE_SECONDS)

    async with _meanwhile(again_and_again):
        yield


@asynccontextmanager
async def _redis_emptied(site: Site) -> AsyncIterator[None]:
    async with redis.asyncio.from_url(site.stack.redis.url) as client:
        await client.flushall()
    yield


# --- services ---------------------------------------------------------------------------------------------


def _any_replica(site: Site) -> Replica:
    """That runs: what has ended by itself is not to be taken for killed."""
    running = site.stack.processes
    return site.chance.choice(
        [each for each in site.stack.replicas if each.service in CORE and each.name in running]
    )


@asynccontextmanager
async def _replicas_killed(site: Site) -> AsyncIterator[None]:
    """Again and again another one; each is started again, as by a supervisor."""

    async def again_and_again() -> None:
        while True:
            name = _any_replica(site).name
            await site.stack.kill(name)
            await asyncio.sleep(RESTARTS_AFTER_SECONDS)
            site.stack.spawn(name)

    async with _meanwhile(again_and_again):
        yield
    _start_all(site)


@asynccontextmanager
async def _replica_frozen(site: Site) -> AsyncIterator[None]:
    name = _any_replica(site).name
    site.say(f"it is {name}")
    site.stack.pause(name)
    yield
    site.stack.resume(name)


@asynccontextmanager
async def _service_gone(site: Site) -> AsyncIterator[None]:
    service = site.chance.choice(CORE)
    site.say(f"it is {service}")
    await asyncio.gather(*(site.stack.kill(name) for name in site.replicas(service)))
    yield
    _start_all(site)


@asynccontextmanager
async def _clock_steps(site: Site) -> AsyncIterator[None]:
    service = site.chance.choice(CORE)
    site.say(f"it is {service}")

    async def again_and_again() -> None:
        for seconds in cycle((CLOCK_STEP_SECONDS, -CLOCK_STEP_SECONDS)):
            site.clocks.step(service, seconds)
            await asyncio.sleep(STEPS_EVERY_SECONDS)

    async with _meanwhile(again_and_again):
        yield
    site.clocks.step(service, 0)


@asynccontextmanager
async def _dies_where_it_hurts(site: Site) -> AsyncIterator[None]:
    """A process of any service dies at any point of a batch, again and again."""

    async def again_and_again() -> None:
        while True:
            point = site.chance.choice(list(CrashPoint))
            service = "payment" if point is CrashPoint.AFTER_CAPTURE else site.chance.choice(CORE)
            site.crashes.arm(service, point)
            await asyncio.sleep(CLOSED_EVERY_SECONDS)
            _start_all(site)

    async with _meanwhile(again_and_again):
        yield
    site.crashes.disarm()
    await asyncio.sleep(crashes.LAST_SECONDS + RESTARTS_AFTER_SECONDS)  # who was to die is dead by then
    _start_all(site)


def _start_all(site: Site) -> None:
    """Those that do not run. Nobody waits until they are ready: what they need may be hurt, too.

    A fault of services kills them: whoever has ended otherwise is a failure, though it runs again then.
    """
    ended = site.stack.processes.ended
    for replica in site.stack.replicas:
        if replica.name not in site.stack.processes:
            is_meant = replica.name not in ended or ended[replica.name].was_killed
            otherwise = f"{replica.name} ended by itself: {site.last_words(replica.name)}"
            site.expect(holds=is_meant, otherwise=otherwise)
            site.stack.spawn(replica.name)


@asynccontextmanager
async def _meanwhile(work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """What the work raises ends the block."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        yield
        working.cancel()


# --- all of them ------------------------------------------------------------------------------------------

FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault(
            "broker-killed",
            "RabbitMQ is killed",
            "broker",
            _killed(_all_of("rabbitmq")),
            "SagashopBrokerDisconnected",
        ),
        Fault("broker-frozen", "RabbitMQ stands still", "broker", _frozen(_all_of("rabbitmq"))),
        Fault(
            "broker-cut-off",
            "no service hears of RabbitMQ, and none is told",
            "broker",
            _on_the_way("rabbitmq", Proxy.silence),
        ),
        Fault(
            "broker-far-away",
            "RabbitMQ answers 0.6 s later",
            "broker",
            _on_the_way("rabbitmq", partial(Proxy.delay, seconds=BROKER_DELAY_SECONDS)),
        ),
        Fault(
            "broker-trickles",
            "20 kB/s pass to and from RabbitMQ",
            "broker",
            _on_the_way("rabbitmq", partial(Proxy.trickle, bytes_per_second=TRICKLE_BYTES_PER_SECOND)),
        ),
        Fault("connections-closed", "RabbitMQ drops everybody every 2 s", "broker", _connections_closed),
        Fault(
            "memory-alarm",
            "RabbitMQ has no memory left",
            "broker",
            _alarm(*MEMORY_ALARM),
            "SagashopBrokerAlarm",
        ),
        Fault(
            "disk-alarm", "RabbitMQ has no disk left", "broker", _alarm(*DISK_ALARM), "SagashopBrokerAlarm"
        ),
        Fault("database-killed", "all of MongoDB is killed", "database", _killed(_all_of("mongodb"))),
        Fault("database-frozen", "all of MongoDB stands still", "database", _frozen(_all_of("mongodb"))),
        Fault("primary-killed", "MongoDB's primary is killed", "database", _killed(_primary)),
        Fault("primary-frozen", "MongoDB's primary stands still", "database", _frozen(_primary)),
        Fault("primary-steps-down", "MongoDB's primary steps down every 6 s", "database", _steps_down),
        Fault("redis-killed", "Redis is killed", "redis", _killed(_all_of("redis"))),
        Fault(
            "redis-slow",
            "Redis answers 2 s later",
            "redis",
            _on_the_way("redis", partial(Proxy.delay, seconds=REDIS_DELAY_SECONDS, direction="down")),
        ),
        Fault("redis-emptied", "Redis forgets all", "redis", _redis_emptied),
        Fault(
            "payment-gateway-away",
            "the payment gateway refuses connections",
            "payment gateway",
            _on_the_way(PAYMENT_GATEWAY, _away),
        ),
        Fault(
            "payment-gateway-slow",
            "the payment gateway answers 3 s later",
            "payment gateway",
            _on_the_way(
                PAYMENT_GATEWAY, partial(Proxy.delay, seconds=GATEWAY_DELAY_SECONDS, direction="down")
            ),
        ),
        Fault(
            "payment-gateway-unheard",
            "the payment gateway charges, and no answer of it arrives",
            "payment gateway",
            _on_the_way(PAYMENT_GATEWAY, partial(Proxy.silence, direction="down")),
        ),
        Fault("replicas-killed", "one replica after the other is killed", "services", _replicas_killed),
        Fault("replica-frozen", "one replica stands still", "services", _replica_frozen),
        Fault(
            "service-gone",
            "one service is gone, all of it",
            "services",
            _service_gone,
            "SagashopServiceMissing",
        ),
        Fault(
            "clock-steps",
            "the clock of a service goes 25 s ahead, then 50 s back, every 4 s",
            "services",
            _clock_steps,
        ),
        Fault(
            "crash-points", "processes die where it hurts most, every 2 s", "services", _dies_where_it_hurts
        ),
    )
}
