"""The connection that publishes: whether it can, whether the broker answers, and copies of one id."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from services.shared.database.clock import Clock
from services.shared.engine import declaring, publishing
from services.shared.engine.publishing import Publishing

SOON = 1.0


class Connection:
    def __init__(self) -> None:
        self.close_callbacks: set[Any] = set()

    async def close(self) -> None: ...


class Channel:
    """As far as confirms and questions go."""

    number = 1
    max_content_size = 100_000

    def __init__(self) -> None:
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write_queue: asyncio.Queue[ChannelFrame] = asyncio.Queue()
        self.delivery_tag = 0
        self.confirmations: dict[int, Any] = {}
        self.message_id_delivery_tag: dict[str, int] = {}
        self.answering = asyncio.Event()
        self.questions = self.abandoned = 0

    @property
    def closing(self) -> asyncio.Future[None]:
        return asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    def close(self) -> None:
        self._closed.set_result(None)

    async def exchange_declare(self, *_: object, passive: bool) -> None:
        assert passive, "a question changes nothing"
        self.questions += 1
        try:
            await self.answering.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def connect(_url: str, _name: str) -> AbstractConnection:
    return cast("AbstractConnection", Connection())


async def nothing(*_: object) -> None: ...


class Opened:
    """A link that is up, and its channels."""

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.link = Publishing(
            "amqp://nowhere/", "test", cast("Clock", Now()), connect=connect, on_declared=nothing
        )

    async def open_channel(self, *_: object, **__: object) -> Channel:
        self.channels.append(Channel())
        return self.channels[-1]

    @property
    def asking(self) -> Channel:
        return self.channels[0]

    @property
    def events(self) -> Channel:
        return self.channels[1]

    @property
    def copies(self) -> Channel:
        return self.channels[2]

    def copy(self, id_: str) -> "asyncio.Task[None]":
        return asyncio.create_task(
            self.link.copy("retry", "queue.retry.1", b"{}", Basic.Properties(message_id=id_))
        )


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    made = Opened()
    monkeypatch.setattr(publishing, "open_channel", made.open_channel)
    monkeypatch.setattr(declaring, "ask_for_exchange", nothing)
    running = asyncio.create_task(made.link.run())
    await asyncio.wait_for(made.link.wait_connected(), SOON)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_link_whose_channel_for_events_is_closed_does_not_look_connected(opened: Opened) -> None:
    assert opened.link.connected
    opened.events.close()
    assert not opened.link.connected


async def test_copies_of_one_id_are_on_the_wire_one_after_the_other(opened: Opened) -> None:
    """The broker's returns name nothing but the id."""
    copies = [opened.copy("same"), opened.copy("same"), opened.copy("other")]
    await turns()
    assert set(opened.copies.confirmations) == {1, 2}
    opened.copies.confirmations[2].set_result(None)
    await turns()
    assert [copy.done() for copy in copies] == [False, False, True]
    opened.copies.confirmations[1].set_result(None)
    await turns()
    assert [copy.done() for copy in copies] == [True, False, True]
    opened.copies.confirmations[3].set_result(None)
    await asyncio.wait_for(asyncio.gather(*copies), SOON)


@pytest.mark.looptime
async def test_a_broker_that_stands_still_is_asked_one_question_for_as_long_as_that_takes(
    opened: Opened,
) -> None:
    """The library closes the channel over a question that is given up, and an alarm may last."""
    for _ in range(100):
        assert not await opened.link.answers()
    assert opened.asking.questions == 1
    opened.asking.answering.set()
    await turns()
    assert await opened.link.answers()
    assert opened.asking.abandoned == 0
