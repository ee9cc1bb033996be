"""Replicas of the toy service on real servers, a proxy of faults before each server, and ways to look on."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aio_pika
import aiohttp
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from dev.faults import Proxy
from dev.faults.crashes import Crashes, CrashPoint
from dev.servers import RabbitMQ
from dev.stack import Stack
from sagactl import polling
from services.shared.contract import topology, wire
from services.shared.contract.decisions import Decision
from services.shared.contract.events import EXCHANGE, Event
from services.shared.engine.declaring import declare
from services.shared.engine.life import Engine
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, SERVICE, Add, make_engine
from tests.integration.room import Room, make_room

REPOSITORY = Path(__file__).parents[2]
READY_WITHIN = 60.0
# A lease of the outbox, and a little, on a machine that does much else; sooner than what helps when nothing
# else does, such as declaring the queues again.
SOON = 25.0
# Of the 45 s that an orchestrator leaves a replica.
STOPPED_WITHIN = 30.0
DIES_WITHIN = 60.0
# The broker tells of unacknowledged messages once a second.
TOLD_WITHIN = 25.0
UNTOLD = -1
Seen = TypeVar("Seen")
# Those that run in this process.
REPLICAS: set[Engine] = set()


async def until(what: str, look: Callable[[], Seen | Awaitable[Seen]], expected: Seen, within: float) -> None:
    """Raises NotInTimeError, with what was seen last, when `expected` is not seen within so many seconds."""

    async def seen() -> Seen:
        found = look()
        return await found if isinstance(found, Awaitable) else found

    def is_expected(found: Seen) -> bool:
        return found == expected

    await polling.until(seen, is_expected, within=within, what=what, told=partial(_difference, expected))


def _difference(expected: object, seen: object) -> str:
    """Of long tables only some of what differs."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        keys = [key for key in {**expected, **seen} if expected.get(key) != seen.get(key)]
        expected, seen = ({key: each.get(key) for key in keys[:5]} for each in (expected, seen))
        return f"{len(keys)} differ. Expected {expected!r}, seen {seen!r}"
    return f"Expected {expected!r}, seen {seen!r}"


async def all_of(*works: Coroutine[Any, Any, None]) -> None:
    """Side by side, each in a lab of its own: most of their time they wait."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


class Spy:
    """Hears events. `ids` holds every one that came, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.subjects: list[str] = []

    def hear(self, message: AbstractIncomingMessage) -> None:
        self.ids.append(message.message_id or "")
        self.subjects.append(message.correlation_id or "")

    def distinct(self) -> int:
        return len(set(self.ids))

    def repeated(self) -> dict[str, int]:
        return {id_: count for id_, count in Counter(self.ids).items() if count > 1}

    def about(self, subject: str) -> int:
        """How many different events were about it."""
        return len({id_ for id_, about in zip(self.ids, self.subjects, strict=True) if about == subject})

    def heard_of(self, subjects: Iterable[str]) -> int:
        """How many of these."""
        return len(set(subjects) & set(self.subjects))


@dataclass(frozen=True)
class Lab:
    servers: Stack
    room: Room
    broker: Proxy
    database: Proxy
    redis: Proxy

    # --- replicas ---------------------------------------------------------------------------------------

    def settings(self, *, direct: bool = False, heartbeat: int = 2) -> dict[str, Any]:
        """Through the proxies, unless `direct`. Heartbeats are quick, so that silence is soon found."""
        room = self.room
        if direct:
            return room.settings(SERVICE) | {"amqp_url": f"{room.amqp_url}?heartbeat={heartbeat}"}
        database = _through(self.database, room.mongodb_url).partition("?")[0]
        return room.settings(SERVICE) | {
            # Otherwise the driver asks the replica set where it is, and goes there.
            "mongodb_url": f"{database}?directConnection=true",
            "amqp_url": f"{_through(self.broker, room.amqp_url)}?heartbeat={heartbeat}",
            "redis_url": _through(self.redis, room.redis_url),
        }

    @asynccontextmanager
    async def replica(
        self, *, direct: bool = False, ready: bool = True, heartbeat: int = 2
    ) -> AsyncIterator[Engine]:
        """One of the service's replicas, here in this process. No part of it may die."""
        engine = make_engine(self.settings(direct=direct, heartbeat=heartbeat))
        REPLICAS.add(engine)
        engine.start()
        try:
            if ready:
                await until(
                    "a replica is ready", lambda: _is_ready(engine), expected=True, within=READY_WITHIN
                )
            yield engine
            assert engine.background.failure is None
        finally:
            try:
                await _stop(engine)
            finally:
                REPLICAS.discard(engine)

    async def dies_at(self, point: CrashPoint) -> None:
        """Returns when a replica, as a process of its own and without proxies, has killed itself there."""
        with tempfile.TemporaryDirectory() as directory:
            crashes = Crashes(Path(directory))
            crashes.arm(SERVICE, point)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.engine.process"),
                cwd=REPOSITORY,
                env={**os.environ, **crashes.environment, "MONGODB_DATABASE": SERVICE},
                stdin=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(DIES_WITHIN):
                    await process.communicate(json.dumps(self.settings(direct=True)).encode())
            finally:
                if process.returncode is None:
                    process.kill()
            assert process.returncode == -signal.SIGKILL

    # --- what goes in -----------------------------------------------------------------------------------

    async def declare(self) -> None:
        """The service's queues, before any replica runs."""
        async with self.room.broker() as channel:
            queues = topology.subscriptions(SERVICE, auto_compensation=True)
            await declare(await channel.get_underlay_channel(), SERVICE, queues)

    async def send(self, queue: str, events: Iterable[Event], ids: Iterable[str] | None = None) -> None:
        """As our services do, to this queue alone. Confirmed by the broker."""
        async with self.room.broker() as channel:
            given = iter(ids or ())
            for event in events:
                await channel.default_exchange.publish(_message(event, next(given, None)), queue)

    # --- what comes out ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def spy(self, *types: str) -> AsyncIterator[Spy]:
        """Hears the events of these types, or all of them, whatever becomes of the proxies."""
        spy = Spy()
        async with self.room.broker() as channel:
            await channel.set_qos(500)
            queue = await channel.declare_queue(exclusive=True)
            exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
            for type_ in types or ("#",):
                await queue.bind(exchange, type_)

            async def hear(message: AbstractIncomingMessage) -> None:
                spy.hear(message)
                await message.ack()

            await queue.consume(hear)
            yield spy

    async def toys(self, field: str = "count") -> dict[str, int]:
        """Of all toys that have counted something."""
        found = self.room.database(SERVICE)["toys"].find({field: {"$gt": 0}})
        return {toy["_id"]: toy[field] async for toy in found}

    async def rows(self) -> int:
        """In the outbox."""
        return await self.room.database(SERVICE)["outbox"].count_documents({})

    async def waiting(self, queue: str = QUEUE) -> dict[str, int]:
        """How many messages wait on a queue and its retries, and how many are dead."""
        async with self.room.broker() as channel:
            ready, *retries, dead = [await _ready(channel, name) for name in topology.all_queues(queue)]
            return {"ready": ready, "retry": sum(retries), "dead": dead}

    async def unacknowledged(self) -> int:
        """On both queues: what was delivered and not settled. May be a second old."""
        try:
            queues = await self.management("GET", f"queues/{quote(self.room.name, safe='')}")
        except aiohttp.ClientResponseError:
            return UNTOLD  # RabbitMQ 3.10 answers 500 while a queue that it counts is being deleted
        ours = [queue for queue in queues if queue["name"] in {QUEUE, EFFECTS_QUEUE}]
        return sum(queue.get("messages_unacknowledged", 0) for queue in ours)

    async def holds(self) -> None:
        """What is true at any time, whatever happened."""
        database = self.room.database(SERVICE)
        async for toy in database["toys"].find():
            assert len(set(toy.get("seen", ()))) == len(toy.get("seen", ())), f"seen twice: {toy['_id']}"
        assert not await database["outbox"].count_documents({"due": {"$exists": False}})

    # --- the broker's operator --------------------------------------------------------------------------

    async def management(self, method: str, path: str) -> Any:
        url = f"{self.servers.rabbitmq.management_url}/api/{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else None

    async def connections(self) -> list[str]:
        """The names of the replicas' connections, as far as the management API knows of them yet."""
        connections = await self.management("GET", f"vhosts/{quote(self.room.name, safe='')}/connections")
        return [
            each["name"]
            for each in connections
            if each.get("client_properties", {}).get("connection_name", "").startswith("sagashop")
        ]

    async def close_connections(self) -> int:
        """As an operator does, of all replicas. Returns how many."""
        names = await self.connections()
        for name in names:
            await self.management("DELETE", f"connections/{quote(name, safe='')}")
        return len(names)

    async def rabbitmqctl(self, *arguments: str) -> None:
        broker = self.servers.rabbitmq
        assert isinstance(broker, RabbitMQ)
        await broker.control("--quiet", *arguments)


async def _stop(engine: Engine) -> None:
    stopping = asyncio.create_task(engine.stop(), name="stopping")
    _, late = await asyncio.wait({stopping}, timeout=STOPPED_WITHIN)
    if late:
        running = sorted(task.get_name() for task in asyncio.all_tasks())
        stopping.cancel()
        await engine.background.stop()
        raise AssertionError(f"not stopped within {STOPPED_WITHIN:.0f} s; there are still: {running}")
    await stopping


async def add(engine: Engine, subject: str, **how: Any) -> Decision:
    return await engine.execute(Add(subject=subject, **how), id_=str(uuid.uuid4()))


def named(kind: str, count: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


@asynccontextmanager
async def make_lab(servers: Stack) -> AsyncIterator[Lab]:
    async with (
        make_room(servers) as room,
        _before(room.amqp_url) as broker,
        _before(room.mongodb_url) as database,
        _before(room.redis_url) as redis,
    ):
        lab = Lab(servers, room, broker, database, redis)
        yield lab
        await lab.holds()


def _before(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Proxy(parts.hostname, parts.port)


def _through(proxy: Proxy, url: str) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}").geturl()


def _message(event: Event, id_: str | None) -> aio_pika.Message:
    return aio_pika.Message(
        wire.encode(event),
        message_id=id_ or str(uuid.uuid4()),
        correlation_id=event.subject,
        type=event.type,
    )


async def _ready(channel: AbstractChannel, queue: str) -> int:
    return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0


async def _is_ready(engine: Engine) -> bool:
    assert engine.background.failure is None
    return (await engine.readiness()).ready
