"""Connections that are made again: what an old one says late, and what is lost at once, disturbs nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractConnection
from bson import ObjectId

from services.shared.database.clock import Clock
from services.shared.engine import leases, links
from services.shared.engine.confirms import Outcome, Sent
from services.shared.engine.leases import Leases
from services.shared.engine.links import Link
from services.shared.engine.outbox import Outbox
from services.shared.engine.rows import OutboxEvent, Row


class Connection:
    """Takes its time to close, and tells of it then."""

    def __init__(self, closes_in: float) -> None:
        self.close_callbacks: set[Callable[..., None]] = set()
        self._closes_in = closes_in

    async def close(self) -> None:
        await asyncio.sleep(self._closes_in)
        for callback in list(self.close_callbacks):
            callback(self, None)


class Plain(Link):
    """A link without channels."""

    def __init__(self, *connections: Connection) -> None:
        following = iter(connections)

        async def connect(_url: str, _name: str) -> AbstractConnection:
            return cast("AbstractConnection", next(following))

        super().__init__("amqp://nowhere/", "test", connect)
        self.losses: list[Callable[..., None]] = []

    async def _set_up(self, _: AbstractConnection, on_lost: Callable[..., None]) -> None:
        self.losses.append(on_lost)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_that_takes_long_to_close_says_nothing_of_its_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(links, "RECONNECT_SECONDS", (0.01,))
    link = Plain(Connection(closes_in=0.3), Connection(closes_in=0))
    async with running(link.run()):
        await asyncio.wait_for(link.wait_connected(), 1)
        link.losses[0]()
        assert not link.connected
        await asyncio.wait_for(link.wait_connected(), 1)
        await asyncio.sleep(0.5)  # the first one is closed by now
        assert link.connected


@pytest.mark.parametrize("error", [KeyError("of the library"), asyncio.CancelledError()], ids=repr)
async def test_whatever_ends_a_connection_ends_that_connection_alone(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library also cancels what waits for a connection that it gives up."""

    class Failing(Plain):
        async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
            await super()._set_up(connection, on_lost)
            if len(self.losses) == 1:
                raise error

    monkeypatch.setattr(links, "RECONNECT_SECONDS", (0.01,))
    link = Failing(Connection(closes_in=0), Connection(closes_in=0))
    async with running(link.run()):
        await asyncio.wait_for(link.wait_connected(), 1)
        assert len(link.losses) == 2


class Dead:
    """Looks connected, and loses at once what it is given."""

    connected = True

    async def wait_connected(self) -> None: ...

    async def answers(self) -> bool:
        return True

    async def send(self, events: Sequence[OutboxEvent], sent: Sent[OutboxEvent]) -> None:
        for event in events:
            sent(event, Outcome.LOST)


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def test_what_is_lost_at_once_leaves_the_others_their_turn() -> None:
    outbox = Outbox(cast("Leases", None), Dead(), cast("Clock", Now()))
    now = datetime.now(UTC)
    event = OutboxEvent("1", "TYPE", "subject", "{}", None)
    async with running(outbox.run()):
        outbox.enqueue(Row(ObjectId(), (event,), now, leases.lease_of_writer(now)))
        async with asyncio.timeout(1):
            for _ in range(100):
                await asyncio.sleep(0)
