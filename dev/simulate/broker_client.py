"""aio-pika's and aiormq's side of `broker`: connections, and channels with confirms and consumers.

On one connection everything arrives in the order in which it was sent, or not at all. One that is cut may
look good to one end long after the other has given it up.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any, Final, NamedTuple

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import frame as pamqp_frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from dev.simulate.broker import Broker, Queue, Stored
from dev.simulate.clock import Process
from dev.simulate.database_client import OUTSIDE
from dev.simulate.dice import Dice, Fault, Place
from dev.simulate.history import History

# When the two ends of a connection that was cut notice it: mostly at once, at the latest by heartbeats.
NOTICED_SECONDS: Final = 20.0
NOTICED_AT_ONCE: Final = 0.7
CONNECT_SECONDS: Final = 10.0
LARGEST_BODY: Final = 131_064
_ACK: Final = struct.Struct(">BHIHHQBc")
_IS_ACK: Final = struct.pack(">HH", 60, 80)


class Answer(NamedTuple):
    """To a method: as much as the engine looks at."""

    message_count: int = 0
    consumer_tag: str = "consumer"


class Connection:
    """In the place of aio-pika's, for one process."""

    def __init__(self, process: Process, broker: Broker, dice: Dice, history: History) -> None:
        self.process, self.broker, self.history = process, broker, history
        self.place: Place = dice.at(f"{process.name}, connection")
        self.close_callbacks: dict[Callable[..., None], None] = _Callbacks()
        self.channels: list[Channel] = []
        self.is_cut = False
        self._context: Context = process.context.copy()
        self._last = [0.0, 0.0]

    # --- the way there, and back ------------------------------------------------------------------------

    def to_broker(self, work: Callable[..., None], *args: object) -> None:
        if self.process.alive and not self.is_cut:
            self._send(0, OUTSIDE, work, *args)

    def to_client(self, work: Callable[..., None], *args: object) -> None:
        if not self.is_cut:
            self._send(1, self._context, work, *args)

    def _send(self, direction: int, context: Context, work: Callable[..., None], *args: object) -> None:
        loop = asyncio.get_running_loop()
        earliest = max(self._last[direction], self.broker.stalled_until)
        arrival = self._last[direction] = max(earliest, loop.time() + self.place.latency())
        loop.call_at(arrival, self._arrive, work, args, context=context)

    def _arrive(self, work: Callable[..., None], args: tuple[object, ...]) -> None:
        if not self.is_cut:
            work(*args)

    # --- its end ----------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Nothing passes any more; both ends will notice."""
        if self.is_cut:
            return
        self.is_cut = True
        loop = asyncio.get_running_loop()
        loop.call_later(self._notice(), self._forget, context=OUTSIDE)
        loop.call_later(self._notice(), self._lose, context=self._context)

    def _notice(self) -> float:
        at_once = self.place.random.random() < NOTICED_AT_ONCE
        return 0.01 if at_once else NOTICED_SECONDS * self.place.random.random()

    def _forget(self) -> None:
        """The broker's end."""
        for channel in self.channels:
            channel.forget()

    def _lose(self) -> None:
        """The client's end."""
        for channel in self.channels:
            channel.lose()
        for callback in list(self.close_callbacks):
            callback(self, None)

    # --- asked by the engine ----------------------------------------------------------------------------

    def channel(self, **_: object) -> "_Opening":
        channel = Channel(self, len(self.channels) + 1)
        self.channels.append(channel)
        return _Opening(channel)

    async def close(self) -> None:
        if not self.is_cut and self.process.alive:
            self.is_cut = True
            self._forget()
        self._lose()


class _Callbacks(dict[Callable[..., None], None]):
    def add(self, callback: Callable[..., None]) -> None:
        self[callback] = None


class _Opening(NamedTuple):
    under: "Channel"

    async def initialize(self, timeout: float) -> None:  # noqa: ASYNC109  # the library's own
        del timeout
        await self.under.ask(Answer)

    async def get_underlay_channel(self) -> "Channel":
        return self.under


class _Writer:
    """In the place of the queue to the task that writes to the socket."""

    def __init__(self, channel: "Channel") -> None:
        self._channel = channel

    def put_nowait(self, frame: Any) -> None:  # noqa: ANN401  # a ChannelFrame
        self._channel.written(frame.payload)


class Channel:
    """In the place of aiormq's: both ends of it, with what the engine uses of the client's."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection, self._broker, self.number = connection, connection.broker, number
        self.max_content_size = LARGEST_BODY
        self.write_queue = _Writer(self)
        self.delivery_tag = 0
        self.confirmations: dict[int, Any] = {}
        self.message_id_delivery_tag: dict[str, int] = {}
        self.on_consumer_cancel_callbacks = _Callbacks()
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._callback: Callable[[DeliveredMessage], Awaitable[None]] | None = None
        # --- the broker's end
        self._published = self._delivered = 0
        self._prefetch = 0
        self._queue: Queue | None = None
        self._unacknowledged: dict[int, Stored] = {}
        self._gone = False

    # --- its end ----------------------------------------------------------------------------------------

    @property
    def closing(self) -> "asyncio.Future[None]":
        """An observer: cancelling it closes nothing."""
        if self._closing.done():
            return self._closing
        observer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def close(_: object) -> None:
            if not observer.done():
                observer.set_result(None)

        self._closing.add_done_callback(close)
        observer.add_done_callback(lambda _: self._closing.remove_done_callback(close))
        return observer

    @property
    def is_closed(self) -> bool:
        return self._closing.done()

    async def close(self) -> None:
        self._connection.to_broker(self.forget)
        self.lose()

    def lose(self) -> None:
        if not self._closing.done():
            self._closing.set_result(None)

    def forget(self) -> None:
        """The broker's end: what was not acknowledged is delivered again."""
        if self._gone:
            return
        self._gone = True
        self._stop_delivering()
        messages, self._unacknowledged = list(self._unacknowledged.values()), {}
        if self._queue is not None and messages:
            self._broker.give_back(self._queue, messages)

    # --- methods ----------------------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Answer]) -> Answer:
        """A method and its answer. Waits forever where the connection is cut, as the library may."""
        self._connection.process.check()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(result: Answer) -> None:
            if not answer.done():
                answer.set_result(result)

        self._connection.to_broker(lambda: self._connection.to_client(done, work()))
        return await answer

    async def basic_qos(self, *, prefetch_count: int) -> Answer:
        self._prefetch = prefetch_count
        return await self.ask(Answer)

    async def basic_consume(
        self, queue: str, callback: Callable[[DeliveredMessage], Awaitable[None]]
    ) -> Answer:
        self._callback = callback
        return await self.ask(lambda: self._consume(queue))

    async def basic_cancel(self, _: str) -> Answer:
        return await self.ask(self._stop_delivering)

    async def exchange_declare(self, name: str, **_: object) -> Answer:
        del name  # the bindings are all that matters
        return await self.ask(Answer)

    async def queue_declare(self, name: str, *, arguments: Mapping[str, Any], **_: object) -> Answer:
        return await self.ask(lambda: Answer(message_count=self._broker.declare(name, arguments)))

    async def queue_bind(self, queue: str, exchange: str, key: str, **_: object) -> Answer:
        return await self.ask(lambda: self._bind(self._broker.bind, queue, exchange, key))

    async def queue_unbind(self, queue: str, exchange: str, key: str, **_: object) -> Answer:
        return await self.ask(lambda: self._bind(self._broker.unbind, queue, exchange, key))

    def _bind(self, change: Callable[[str, str, str], None], queue: str, exchange: str, key: str) -> Answer:
        change(queue, exchange, key)
        return Answer()

    def _consume(self, name: str) -> Answer:
        queue = self._queue = self._broker.queues[name]
        if not self._gone:
            queue.receivers.append(self)
            self._broker.pump(queue)
        return Answer()

    def _stop_delivering(self) -> Answer:
        if self._queue is not None and self in self._queue.receivers:
            self._queue.receivers.remove(self)
        return Answer()

    # --- deliveries -------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        return len(self._unacknowledged) < self._prefetch

    def deliver(self, _: Queue, message: Stored) -> None:
        self._delivered += 1
        self._unacknowledged[self._delivered] = message
        self._connection.to_client(self._hand_over, self._delivered, message)

    def _hand_over(self, tag: int, message: Stored) -> None:
        assert self._callback is not None  # noqa: S101  # it consumes
        if self.is_closed:
            return
        again = ", again" if message.returns else ""
        self._connection.history.note(self._connection.process.name, f"gets {message}{again}")
        method = Basic.Deliver("consumer", tag, redelivered=message.returns > 0)
        header = ContentHeader(properties=message.properties, body_size=len(message.body))
        delivered = DeliveredMessage(method, header, message.body, None)  # type: ignore[arg-type]  # nobody asks it for its channel
        asyncio.get_running_loop().create_task(self._callback(delivered))  # type: ignore[arg-type]  # a coroutine

    def _acknowledge(self, tag: int, *, multiple: bool) -> None:
        if self._gone or self._queue is None:
            return
        if tag not in self._unacknowledged:
            self._connection.history.note("broker", f"unknown delivery tag {tag}: channel closed")
            raise AssertionError(
                f"tag {tag} is acknowledged, and was not open: the broker closes the channel"
            )
        tags = [each for each in self._unacknowledged if each <= tag] if multiple else [tag]
        for each in tags:
            self._broker.acknowledge(self._queue, self._unacknowledged.pop(each))
        self._broker.pump(self._queue)

    # --- frames -----------------------------------------------------------------------------------------

    def written(self, data: bytes) -> None:
        """What the engine has written to its socket."""
        self._connection.process.check()
        while data:
            if data[7:11] == _IS_ACK:
                tag, multiple = _ACK.unpack_from(data)[5:7]
                data = data[_ACK.size :]
                self._connection.to_broker(self._acknowledge_frame, tag, bool(multiple))
            else:
                data = self._publish(data)

    def _acknowledge_frame(self, tag: int, multiple: bool) -> None:  # noqa: FBT001  # a frame's bit
        self._acknowledge(tag, multiple=multiple)

    def _publish(self, data: bytes) -> bytes:
        """Reads a message off the bytes, and returns the rest."""
        size, _, method = pamqp_frame.unmarshal(data)
        data = data[size:]
        assert isinstance(method, Basic.Publish)  # noqa: S101  # all else is asked for by methods
        size, _, header = pamqp_frame.unmarshal(data)
        data = data[size:]
        assert isinstance(header, ContentHeader)  # noqa: S101  # so says the protocol
        body = b""
        while len(body) < header.body_size:
            size, _, part = pamqp_frame.unmarshal(data)
            data = data[size:]
            assert isinstance(part, ContentBody)  # noqa: S101  # so says the protocol
            body += part.value
        stored = Stored(header.properties, body)
        self._connection.to_broker(self._on_publish, method.exchange, method.routing_key, stored)
        return data

    def _on_publish(self, exchange: str, key: str, message: Stored) -> None:
        self._published += 1
        tag = self._published
        connection = self._connection
        fault = connection.place.fate(Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.REFUSED, Fault.RETURNED)
        if fault is not None:
            connection.history.note("broker", f"{message} from {connection.process.name}: {fault}")
        if fault is Fault.CUT_BEFORE:
            connection.cut()
            return
        if fault is Fault.REFUSED:
            # Of two queues one may have taken it.
            if connection.place.random.random() < 1 / 2:
                self._broker.publish(exchange, key, message)
            connection.to_client(self._confirmed, tag, False)  # noqa: FBT003  # not accepted
            return
        routed = fault is not Fault.RETURNED and self._broker.publish(exchange, key, message)
        if fault is Fault.CUT_AFTER:
            connection.cut()
            return
        if not routed:
            connection.to_client(self._returned, message)
        connection.to_client(self._confirmed, tag, True)  # noqa: FBT003  # accepted

    # --- confirms, as aiormq handles them ---------------------------------------------------------------

    def _returned(self, message: Stored) -> None:
        tag = self.message_id_delivery_tag.get(message.id)
        confirmation = self.confirmations.pop(tag, None) if tag is not None else None
        if confirmation is not None:
            method = Basic.Return(312, "NO_ROUTE")
            header = ContentHeader(properties=message.properties, body_size=len(message.body))
            returned = DeliveredMessage(method, header, message.body, None)  # type: ignore[arg-type]  # see above
            confirmation.set_exception(PublishError(returned, method))

    def _confirmed(self, tag: int, accepted: bool) -> None:  # noqa: FBT001  # ack or nack
        confirmation = self.confirmations.pop(tag, None)
        if confirmation is None or confirmation.done():
            return
        if accepted:
            confirmation.set_result(None)
        else:
            confirmation.set_exception(DeliveryError(None, Basic.Nack()))
