"""One queue's deliveries on a channel whose way out is narrow, and which closes at the worst moment."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from aiormq import Channel
from aiormq.abc import ChannelFrame, DeliveredMessage
from pamqp import commands, frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from prometheus_client import REGISTRY, generate_latest

from services.shared.contract import wire
from services.shared.contract.decisions import Decision, Message, Premature
from services.shared.contract.events import Line, ReserveStock
from services.shared.database.clock import Clock
from services.shared.engine import deliveries
from services.shared.engine.deliveries import Consumer

PREFETCH = 200
# So many frames may wait for the library's writer.
WAY_OUT = 10


class Narrow:
    """A channel, and the broker behind it, which takes a frame when it is told to."""

    number = 1

    def __init__(self) -> None:
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write_queue: asyncio.Queue[ChannelFrame] = asyncio.Queue(WAY_OUT)
        self.unacknowledged: set[int] = set()
        self.errors: list[str] = []

    @property
    def closing(self) -> asyncio.Future[None]:
        """The library's: whoever asks gets one of his own, and may cancel it."""
        return asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    async def basic_qos(self, **_: object) -> None: ...

    async def basic_consume(self, *_: object) -> Basic.ConsumeOk:
        return Basic.ConsumeOk("tag")

    async def close(self) -> None:
        if not self.is_closed:
            self._closed.set_result(None)

    def fill(self) -> None:
        """As others do who share the connection."""
        while not self.write_queue.full():
            self.write_queue.put_nowait(ChannelFrame(payload=b"", should_close=False))

    def read(self) -> None:
        """Takes one frame, or does nothing. An unknown tag is what a broker closes a channel over."""
        if self.write_queue.empty():
            return
        data = self.write_queue.get_nowait().payload
        while data:
            size, _, command = frame.unmarshal(data)
            data = data[size:]
            assert isinstance(command, commands.Basic.Ack)
            self._acknowledged(command.delivery_tag or 0, multiple=bool(command.multiple))

    def _acknowledged(self, tag: int, *, multiple: bool) -> None:
        if tag not in self.unacknowledged:
            self.errors.append(f"unknown delivery tag {tag}")
        self.unacknowledged -= {each for each in self.unacknowledged if each <= tag} if multiple else {tag}


class Clocked:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Copying:
    """Copies by raising what it is given to raise, one after the other, and then by succeeding."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = deque(errors)
        self.keys: list[str] = []

    async def copy(self, _exchange: str, key: str, _body: bytes, _properties: Basic.Properties) -> None:
        if self._errors:
            raise self._errors.popleft()
        self.keys.append(key)


class Handler:
    """What deliveries are submitted to: a test decides what becomes of each."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Decision]] = []

    def submit(self, _: Message) -> "asyncio.Future[Decision]":
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def decided(self, tags: Iterable[int]) -> None:
        for tag in tags:
            self.futures[tag - 1].set_result(Decision())


def delivered(tag: int, published: datetime | None = None) -> DeliveredMessage:
    body = wire.encode(ReserveStock(order_id=f"order-{tag}", products=(Line("p", 1),)))
    properties = Basic.Properties(message_id=f"message-{tag}", timestamp=published)
    header = ContentHeader(properties=properties, body_size=len(body))
    deliver = Basic.Deliver("tag", tag, redelivered=False, exchange="", routing_key="inventory")
    return DeliveredMessage(delivery=deliver, header=header, body=body, channel=cast("Any", None))


async def consuming(channel: Narrow, handler: Handler, copier: Copying, count: int) -> Consumer:
    consumer = Consumer(
        "inventory",
        "inventory",
        cast("Channel", channel),
        handler.submit,
        copier,
        cast("Clock", Clocked()),
        prefetch=PREFETCH,
    )
    await consumer.start()
    for tag in range(1, count + 1):
        channel.unacknowledged.add(tag)
        await consumer._on_message(delivered(tag))  # noqa: SLF001  # as the channel calls it
    return consumer


@pytest.mark.parametrize(("ago", "within"), [(timedelta(minutes=2), "300.0"), (-timedelta(days=1), "1.0")])
async def test_how_old_an_event_is_when_it_is_handled_is_measured(ago: timedelta, within: str) -> None:
    """Of a publisher whose clock is ahead, it is not old."""

    def counted(le: str) -> float:
        labels = {"queue": "inventory", "le": le}
        return REGISTRY.get_sample_value("sagashop_event_age_seconds_bucket", labels) or 0.0

    channel, handler = Narrow(), Handler()
    consumer = await consuming(channel, handler, Copying(), count=0)
    before = {le: counted(le) for le in ("60.0", within)}
    await consumer._on_message(delivered(1, datetime.now(UTC) - ago))  # noqa: SLF001  # as the channel calls it
    handler.decided([1])
    await turns(3)
    assert counted(within) == before[within] + 1
    assert counted("60.0") - before["60.0"] == (within == "1.0")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("later", range(8))
async def test_no_tag_is_acknowledged_twice_while_an_acknowledgement_waits_for_its_way_out(
    later: int,
) -> None:
    """Many are done behind a slow card; it is done, too, before their acknowledgements are out."""
    channel, handler = Narrow(), Handler()
    await consuming(channel, handler, Copying(), count=79)
    channel.fill()
    handler.decided(range(2, 61))
    await turns(5)
    handler.decided([1, *range(61, 80)])
    await turns(later)
    for _ in range(100):
        channel.read()
        await turns(1)
    assert not channel.errors
    assert not channel.unacknowledged


async def test_what_is_undecided_when_the_channel_closes_is_given_up() -> None:
    channel, handler = Narrow(), Handler()
    await consuming(channel, handler, Copying(), count=3)
    handler.decided([2])
    await channel.close()
    await turns(3)
    assert [future.cancelled() for future in handler.futures] == [True, False, True]


async def test_a_delivery_that_cannot_be_handled_is_retried_and_its_neighbours_are_served() -> None:
    class Choosy(Handler):
        def submit(self, message: Message) -> "asyncio.Future[Decision]":
            future = super().submit(message)
            if message.id == "message-2":
                raise RuntimeError("not this one")
            return future

    channel, handler, copier = Narrow(), Choosy(), Copying()
    await consuming(channel, handler, copier, count=3)
    handler.decided([1, 3])
    await turns(10)
    channel.read()
    assert copier.keys == ["inventory.retry.1"]
    assert not channel.unacknowledged


async def test_a_copy_that_the_broker_does_not_take_is_tried_again_before_the_original_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliveries, "COPY_AGAIN_SECONDS", (0,))
    channel, handler, copier = Narrow(), Handler(), Copying(ConnectionError(), ConnectionError())
    await consuming(channel, handler, copier, count=1)
    handler.futures[0].set_exception(Premature("too early"))
    while not copier.keys:
        channel.read()
        assert channel.unacknowledged
        await turns(1)
    await turns(5)
    channel.read()
    assert not channel.unacknowledged


async def test_a_delivery_that_cannot_be_copied_goes_back_to_the_broker_with_its_channel() -> None:
    """Left unacknowledged on a channel that lives, it would stay for as long as that does."""
    channel, handler = Narrow(), Handler()
    await consuming(channel, handler, Copying(ValueError("no such frame")), count=1)
    handler.futures[0].set_exception(Premature("too early"))
    await turns(10)
    assert channel.is_closed
    assert channel.unacknowledged == {1}


async def test_what_a_message_calls_itself_makes_no_series() -> None:
    channel, handler = Narrow(), Handler()
    consumer = await consuming(channel, handler, Copying(), count=0)
    for tag, body in enumerate((b'{"type": "CHOSEN_1", "data": {}}', b"CHOSEN_2"), start=1):
        message = replace(delivered(tag), body=body)
        message.header.properties.message_type = "CHOSEN_3"
        await consumer._on_message(message)  # noqa: SLF001  # as the channel calls it
    await turns(5)
    text = generate_latest().decode()
    assert 'sagashop_consumed_total{queue="inventory",result="invalid",type="unknown"} 2.0' in text
    assert "CHOSEN" not in text
