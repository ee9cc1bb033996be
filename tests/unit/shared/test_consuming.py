"""The connection that consumes: queues that nobody touches, and a service that stops."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from services.shared.contract import topology
from services.shared.database.clock import Clock
from services.shared.engine import consuming, declaring, links
from services.shared.engine.availability import Availability
from services.shared.engine.consuming import Consuming
from services.shared.engine.deliveries import Copier

QUEUE = "inventory"


class Broker:
    """Counts what it is asked for. `waiting` has, for each declaration, how many messages wait."""

    def __init__(self) -> None:
        self.connections = self.declarations = 0
        self.waiting: asyncio.Queue[int] = asyncio.Queue()
        self.lose: Any = None

    async def connect(self, _url: str, _name: str) -> AbstractConnection:
        self.connections += 1
        return cast("AbstractConnection", self)

    close_callbacks = property(lambda _: set())

    async def close(self) -> None: ...

    async def open_channel(self, _: object, on_lost: Any, **__: object) -> "Channel":
        self.lose = on_lost
        return Channel()

    async def declare(self, *_: object) -> dict[str, int]:
        waiting = await self.waiting.get()
        self.declarations += 1
        return {QUEUE: waiting}


class Channel:
    number = 1

    def __init__(self) -> None:
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write_queue: asyncio.Queue[ChannelFrame] = asyncio.Queue()
        self.on_consumer_cancel_callbacks: set[Any] = set()

    @property
    def closing(self) -> asyncio.Future[None]:
        return asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    async def basic_qos(self, **_: object) -> None: ...

    async def basic_consume(self, *_: object) -> Basic.ConsumeOk:
        return Basic.ConsumeOk("tag")

    async def basic_cancel(self, _: str) -> None: ...


class There:
    """A database that is there."""

    lost_for = 0.0

    async def wait(self) -> None: ...


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(consuming, "open_channel", made.open_channel)
    monkeypatch.setattr(declaring, "declare", made.declare)
    for name, seconds in {"LOOK_SECONDS": 0.001, "REDECLARE_SECONDS": 0, "STUCK_SECONDS": 0}.items():
        monkeypatch.setattr(consuming, name, seconds)
    monkeypatch.setattr(links, "RECONNECT_SECONDS", (0.001,))
    return made


@pytest.fixture
async def link(broker: Broker) -> AsyncIterator[Consuming]:
    subscriptions = topology.subscriptions("inventory", auto_compensation=True)
    made = Consuming(
        "amqp://nowhere/",
        "inventory",
        cast("Clock", Now()),
        subscriptions={QUEUE: subscriptions[QUEUE]},
        submit={QUEUE: lambda _: asyncio.get_running_loop().create_future()},
        copier=cast("Copier", None),
        prefetch=10,
        availability=cast("Availability", There()),
        connect=broker.connect,
    )
    running = asyncio.create_task(made.run())
    broker.waiting.put_nowait(0)
    await asyncio.wait_for(made.wait_connected(), 1)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def look(broker: Broker, waiting: int) -> None:
    """Lets it look once more, and see so many messages wait."""
    before = broker.declarations
    broker.waiting.put_nowait(waiting)
    async with asyncio.timeout(1):
        while broker.declarations == before:
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_queue_is_untouched_when_its_messages_wait_at_two_looks_in_a_row(
    broker: Broker, link: Consuming
) -> None:
    """At one look alone they may have come just now."""
    for waiting, stuck in ((3, set()), (0, set()), (3, set()), (3, {QUEUE}), (0, set())):
        await look(broker, waiting)
        assert link.stuck == stuck


async def test_a_service_that_stops_declares_and_consumes_nothing_anew(
    broker: Broker, link: Consuming
) -> None:
    await link.drain()
    for waiting in range(5):
        broker.waiting.put_nowait(waiting)
    await asyncio.sleep(0.05)
    declarations = broker.declarations
    broker.lose()
    await asyncio.sleep(0.05)
    # One was under way when it was asked to stop.
    assert declarations <= 2
    assert broker.declarations == declarations
    assert broker.connections == 1
    assert not link.connected
