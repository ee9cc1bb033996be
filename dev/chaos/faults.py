"""What is done to a shop at work: each fault begins, lasts, and ends; what ends it leaves all as it was."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import redis.asyncio
from pymongo.errors import AutoReconnect

from dev.faults.crashes import CrashPoint
from dev.services import Replica
from dev.survive.site import ENGINES, Site

ASIDE_SECONDS: Final = 3
STEP_DOWN: Final = {"replSetStepDown": ASIDE_SECONDS, "secondaryCatchUpPeriodSecs": 0, "force": True}
CLOSED_EVERY_SECONDS: Final = 2.0
BROKER_DELAY_SECONDS: Final = 0.3
REDIS_DELAY_SECONDS: Final = 2.0
TRICKLE_BYTES_PER_SECOND: Final = 20_000.0
# What a supervisor does at once, with the time that a machine takes for it.
RESTARTS_AFTER_SECONDS: Final = 1.0
Lasting = AbstractAsyncContextManager[None]


class Fault(NamedTuple):
    name: str
    says: str
    # What it is done to; two faults at the same time are done to different things.
    target: str
    during: Callable[[Site], Lasting]
    # Who is called when it lasts; empty where nobody needs to be.
    alert: str = ""


# --- the broker -------------------------------------------------------------------------------------------


@asynccontextmanager
async def _broker_killed(site: Site) -> AsyncIterator[None]:
    await site.stack.kill("rabbitmq")
    yield
    await site.stack.start("rabbitmq")


@asynccontextmanager
async def _broker_frozen(site: Site) -> AsyncIterator[None]:
    site.stack.pause("rabbitmq")
    yield
    site.stack.resume("rabbitmq")


@asynccontextmanager
async def _connections_closed(site: Site) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            await site.close_connections()
            await asyncio.sleep(CLOSED_EVERY_SECONDS)

    async with _meanwhile(again_and_again):
        yield


@asynccontextmanager
async def _broker_cut_off(site: Site) -> AsyncIterator[None]:
    proxy = site.proxies["broker"]
    proxy.silence()
    yield
    proxy.heal()


@asynccontextmanager
async def _broker_far_away(site: Site) -> AsyncIterator[None]:
    proxy = site.proxies["broker"]
    proxy.delay(BROKER_DELAY_SECONDS)
    yield
    proxy.heal()


@asynccontextmanager
async def _broker_trickles(site: Site) -> AsyncIterator[None]:
    proxy = site.proxies["broker"]
    proxy.trickle(TRICKLE_BYTES_PER_SECOND)
    yield
    proxy.heal()


@asynccontextmanager
async def _memory_alarm(site: Site) -> AsyncIterator[None]:
    await site.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
    yield
    await site.rabbitmqctl("set_vm_memory_high_watermark", "0.4")


@asynccontextmanager
async def _disk_alarm(site: Site) -> AsyncIterator[None]:
    await site.rabbitmqctl("set_disk_free_limit", "1000000GB")
    yield
    await site.rabbitmqctl("set_disk_free_limit", "50MB")


# --- the database -----------------------------------------------------------------------------------------


@asynccontextmanager
async def _database_killed(site: Site) -> AsyncIterator[None]:
    await site.stack.kill("mongodb")
    yield
    await site.stack.start("mongodb")


@asynccontextmanager
async def _database_frozen(site: Site) -> AsyncIterator[None]:
    site.stack.pause("mongodb")
    yield
    site.stack.resume("mongodb")


@asynccontextmanager
async def _steps_down(site: Site) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            with suppress(AutoReconnect):  # it may close the connection before it answers
                await site.database("admin").command(STEP_DOWN)
            await asyncio.sleep(2 * ASIDE_SECONDS)

    async with _meanwhile(again_and_again):
        yield


# --- Redis ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _redis_killed(site: Site) -> AsyncIterator[None]:
    await site.stack.kill("redis")
    yield
    await site.stack.start("redis")


@asynccontextmanager
async def _redis_slow(site: Site) -> AsyncIterator[None]:
    proxy = site.proxies["redis"]
    proxy.delay(REDIS_DELAY_SECONDS, "down")
    yield
    proxy.heal()


@asynccontextmanager
async def _redis_emptied(site: Site) -> AsyncIterator[None]:
    async with redis.asyncio.from_url(site.stack.redis.url) as client:
        await client.flushall()
    yield


# --- services ---------------------------------------------------------------------------------------------


def _any_replica(site: Site) -> Replica:
    return site.chance.choice([each for each in site.stack.replicas if each.service in ENGINES])


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
    service = site.chance.choice(ENGINES)
    site.say(f"it is {service}")
    await asyncio.gather(*(site.stack.kill(name) for name in site.replicas(service)))
    yield
    _start_all(site)


@asynccontextmanager
async def _dies_where_it_hurts(site: Site) -> AsyncIterator[None]:
    """A process of any service dies at any point of a batch, again and again."""

    async def again_and_again() -> None:
        while True:
            point = site.chance.choice(list(CrashPoint))
            service = "payment" if point is CrashPoint.AFTER_CAPTURE else site.chance.choice(ENGINES)
            site.crashes.arm(service, point)
            await asyncio.sleep(CLOSED_EVERY_SECONDS)
            _start_all(site)

    async with _meanwhile(again_and_again):
        yield
    site.crashes.disarm()
    _start_all(site)


def _start_all(site: Site) -> None:
    """Those that do not run. Nobody waits until they are ready: what they need may be hurt, too."""
    for replica in site.stack.replicas:
        if replica.name not in site.stack.processes:
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
        Fault("broker-killed", "RabbitMQ is killed", "broker", _broker_killed, "SagashopBrokerDisconnected"),
        Fault("broker-frozen", "RabbitMQ stands still", "broker", _broker_frozen),
        Fault("broker-cut-off", "no service hears of RabbitMQ, and none is told", "broker", _broker_cut_off),
        Fault("broker-far-away", "RabbitMQ answers 0.6 s later", "broker", _broker_far_away),
        Fault("broker-trickles", "20 kB/s pass to and from RabbitMQ", "broker", _broker_trickles),
        Fault("connections-closed", "RabbitMQ drops everybody every 2 s", "broker", _connections_closed),
        Fault("memory-alarm", "RabbitMQ has no memory left", "broker", _memory_alarm, "SagashopBrokerAlarm"),
        Fault("disk-alarm", "RabbitMQ has no disk left", "broker", _disk_alarm, "SagashopBrokerAlarm"),
        Fault("database-killed", "MongoDB is killed", "database", _database_killed),
        Fault("database-frozen", "MongoDB stands still", "database", _database_frozen),
        Fault("primary-steps-down", "MongoDB's primary steps down every 6 s", "database", _steps_down),
        Fault("redis-killed", "Redis is killed", "redis", _redis_killed),
        Fault("redis-slow", "Redis answers 2 s later", "redis", _redis_slow),
        Fault("redis-emptied", "Redis forgets all", "redis", _redis_emptied),
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
            "crash-points", "processes die where it hurts most, every 2 s", "services", _dies_where_it_hurts
        ),
    )
}


async def behind_proxies(site: Site) -> None:
    """Every replica reaches RabbitMQ and Redis by a proxy that the faults can hurt."""
    broker = urlsplit(await site.proxied("broker", site.stack.rabbitmq.url)).port
    cache = urlsplit(await site.proxied("redis", site.stack.redis.url)).port

    async def led_there(replica: Replica) -> None:
        password = site.stack.credentials.users.get(replica.service, "")
        urls = {
            "AMQP_URL": _at(broker, site.stack.rabbitmq.url_of(replica.service, password)),
            "REDIS_URL": _at(cache, site.stack.redis.url_of(replica.service, password)),
        }
        await site.stack.restart(replica.name, urls)

    await asyncio.gather(*map(led_there, site.stack.replicas))


def _at(port: int | None, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
