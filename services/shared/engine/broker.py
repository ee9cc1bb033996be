"""The connections to RabbitMQ: one for publishing, one for consuming, each made again whenever it is lost.

Two, since the broker stops reading from a connection that publishes while it has too little memory or disk:
acknowledgements on another connection still go through, and end that shortage. Each connection is a
generation of its own: channels, delivery tags and outstanding confirms die with it. What was not confirmed
stays in the outbox, what was not acknowledged is delivered again.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol, cast

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from services.shared.contract.decisions import Decision, Message
from services.shared.contract.events import EXCHANGE, SCHEMA_VERSION, Event
from services.shared.database.clock import Clock
from services.shared.engine import declaring, frames, lenient
from services.shared.engine.confirms import ConfirmedChannel, Outcome, Outgoing, Sent
from services.shared.engine.deliveries import SCHEMA_VERSION as SCHEMA_VERSION_HEADER
from services.shared.engine.deliveries import TRACEPARENT, TRACESTATE, Consumer
from services.shared.engine.rows import OutboxEvent
from services.shared.engine.writing import PATIENCE_SECONDS, until_closed

# A broker may stand still for half a minute and keeps its connections; after three heartbeats it is gone. It
# notices as soon that a consumer is gone, and delivers to others what that one had.
HEARTBEAT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10.0
RECONNECT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
REDECLARE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 5.0
# Deliveries that cannot be handled here go back to the broker. Once per outage: it counts their returns.
WITHOUT_DATABASE_SECONDS: Final = 20.0
DRAIN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 2.0
# Work that waits, and of which nothing has moved for so long, is not done here any more.
STUCK_SECONDS: Final = 60.0
log = logging.getLogger(__name__)

Submit = Callable[[Message], "asyncio.Future[Decision]"]


class Database(Protocol):
    """What is to be known of the database, to consume or not."""

    def lost_for(self) -> float:
        """For how many seconds nothing has been committed, though something was to be."""
        ...

    async def answers(self) -> None:
        """Waits until the database answers."""
        ...


class Link(ABC):
    """A connection that is made again whenever it is lost."""

    def __init__(self, url: str, name: str) -> None:
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=HEARTBEAT_SECONDS)
        self._name = name
        self._connection: AbstractConnection | None = None
        # Set while the connection is good, and never before its set-up is complete.
        self._up = asyncio.Event()
        # Since when it is up, or down (monotonic seconds).
        self.since = time.monotonic()
        self.connected_once = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def wait_connected(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Connects and serves, again and again."""
        failures = 0
        while True:
            lost = asyncio.Event()
            try:
                await self._connect(lost)
                failures = 0
                await self._serve(lost)
                log.warning("%s: the connection or a channel of it is gone", self._name)
            except Exception as error:  # noqa: BLE001  # a connection that dies raises whatever the library has
                log.warning("%s: the broker is unavailable: %s: %s", self._name, type(error).__name__, error)
            except asyncio.CancelledError:
                # The client library cancels what waits for a connection that it gives up.
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                log.warning("%s: the client library gave the connection up", self._name)
            finally:
                self._mark(up=False)
                await self.close()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def close(self) -> None:
        """Closes the connection; a broker that does not answer is not waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            closing.add_done_callback(_retrieved)
            await asyncio.wait({closing}, timeout=CLOSE_SECONDS)

    async def _connect(self, lost: asyncio.Event) -> None:
        connection = self._connection = await aio_pika.connect(
            str(self._url),
            timeout=CONNECT_SECONDS,
            client_properties={"connection_name": f"sagashop {self._name}"},
        )

        def on_lost(*_: object) -> None:
            lost.set()
            # One that takes long to close must not speak of its successor.
            if self._connection is connection:
                self._mark(up=False)

        connection.close_callbacks.add(on_lost)
        await self._set_up(connection, on_lost)
        if not lost.is_set():
            self._mark(up=True)

    def _mark(self, *, up: bool) -> None:
        if up != self.connected:
            self.since = time.monotonic()
        if up:
            self._up.set()
            self.connected_once.set()
        else:
            self._up.clear()

    @abstractmethod
    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        """Opens the channels; `on_lost` is to be called when one of them is gone."""

    async def _serve(self, lost: asyncio.Event) -> None:
        await lost.wait()


async def _channel(
    connection: AbstractConnection, on_lost: Callable[..., None], *, confirms: bool
) -> Channel:
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await channel.initialize(timeout=CONNECT_SECONDS)
    # Publishing in batches and multiple acknowledgements are one layer below.
    underlay = cast("Channel", await channel.get_underlay_channel())
    underlay.closing.add_done_callback(on_lost)
    return underlay


class Publishing(Link):
    """Publishes events, and copies of deliveries to retry queues and dead letters."""

    def __init__(
        self, url: str, service: str, clock: Clock, *, on_declared: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(url, f"{service}, publishing")
        self._clock, self._on_declared = clock, on_declared
        self._asking: Channel | None = None
        self._question: asyncio.Task[Any] | None = None
        self._events: ConfirmedChannel[OutboxEvent] | None = None
        self._copies: ConfirmedChannel[asyncio.Future[Outcome]] | None = None
        # What is on the wire, by id: the broker's returns name nothing else, so the next one waits.
        self._copying: dict[str, asyncio.Future[Outcome]] = {}

    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        self._asking = await _channel(connection, on_lost, confirms=False)
        await until_closed(self._asking, declaring.declare_exchange(self._asking))
        self._events = ConfirmedChannel(await _channel(connection, on_lost, confirms=True))
        self._copies = ConfirmedChannel(await _channel(connection, on_lost, confirms=True))

    async def _serve(self, lost: asyncio.Event) -> None:
        log.info("connected for publishing")
        await self._on_declared()
        await super()._serve(lost)

    @property
    def connected(self) -> bool:
        return super().connected and self._events is not None and not self._events.is_closed

    async def answers(self) -> bool:
        """Whether the broker answers within ANSWER_SECONDS: a connection to one that stands looks good."""
        channel = self._asking
        if channel is None or channel.is_closed:
            return False
        question = self._question
        if question is None or question.done():
            # Without a limit: the library closes the channel over it, and under an alarm it may take long.
            asked = channel.exchange_declare(EXCHANGE, passive=True)
            question = asyncio.create_task(until_closed(channel, asked, None))
            question.add_done_callback(_retrieved)
            self._question = question
        # Not cancelled when it takes longer: the library would close the channel over it.
        await asyncio.wait({question}, timeout=ANSWER_SECONDS)
        return question.done() and not question.cancelled() and question.exception() is None

    async def send(self, events: Sequence[OutboxEvent], sent: Sent[OutboxEvent]) -> None:
        """Puts events on the wire. `sent` is called once with what became of each."""
        channel = self._events
        if channel is None or channel.is_closed:
            for event in events:
                sent(event, Outcome.LOST)
            return
        now = self._clock.now()
        outgoing: list[Outgoing[OutboxEvent]] = []
        for event in events:
            try:
                outgoing.append(Outgoing(event, event.id, _frames(channel, event, now)))
            except (ValueError, TypeError, OverflowError):
                log.exception("%s cannot be encoded and is set aside", event.id)
                sent(event, Outcome.UNSENDABLE)
        await channel.send(outgoing, sent)

    async def copy(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> None:
        """Publishes and awaits the confirm. Raises ConnectionError when there is none."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.wait_connected()
        except TimeoutError as error:
            raise ConnectionError("the broker is unavailable") from error
        id_ = str(properties.message_id)
        while (before := self._copying.get(id_)) is not None:
            await asyncio.wait({before})
        channel = self._copies
        if channel is None or channel.is_closed:
            raise ConnectionError("the connection was lost")
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        message = Outgoing(outcome, id_, _copy_frames(channel, exchange, key, body, properties))
        self._copying[id_] = outcome
        try:
            await channel.send([message], _resolve)
            result = await outcome
        finally:
            del self._copying[id_]
        if result is not Outcome.CONFIRMED:
            raise ConnectionError(result)


def _resolve(future: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


class Consuming(Link):
    """Consumes the service's queues, and declares them again now and then."""

    def __init__(
        self,
        url: str,
        service: str,
        clock: Clock,
        *,
        subscriptions: Mapping[str, Iterable[type[Event]]],
        submit: Mapping[str, Submit],
        copier: Publishing,
        prefetch: int,
        database: Database,
    ) -> None:
        super().__init__(url, f"{service}, consuming")
        self._database = database
        self._service, self._clock, self._copier = service, clock, copier
        self._subscriptions, self._submit, self._prefetch = subscriptions, submit, prefetch
        self._declaring: Channel | None = None
        self._consumers: dict[str, Consumer] = {}
        # Queues of which messages wait that are not delivered: at the last look, and at that before it, too.
        self._waiting: set[str] = set()
        self._untouched: set[str] = set()
        self._draining = False

    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        self._consumers, self._waiting, self._untouched = {}, set(), set()
        self._declaring = await _channel(connection, on_lost, confirms=False)
        await self._declare()
        for queue in self._subscriptions:
            channel = await _channel(connection, on_lost, confirms=False)
            # A consumer without a queue is no consumer.
            channel.on_consumer_cancel_callbacks.add(on_lost)
            consumer = Consumer(
                self._service,
                queue,
                channel,
                self._submit[queue],
                self._copier,
                self._clock,
                prefetch=self._prefetch,
            )
            self._consumers[queue] = consumer
            await consumer.start()

    async def _serve(self, lost: asyncio.Event) -> None:
        log.info("connected, consuming %s", ", ".join(self._subscriptions))
        declared = time.monotonic()
        while not lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), LOOK_SECONDS)
            if self._database.lost_for() > WITHOUT_DATABASE_SECONDS:
                log.warning("without the database nothing is consumed here: the broker has others, perhaps")
                return
            due = time.monotonic() - declared > REDECLARE_SECONDS
            if due and not lost.is_set() and not self._draining:
                # One binding of two may have been deleted: publishing does not notice.
                counts = await self._declare()
                standing = {queue for queue, count in counts.items() if self._stands(queue, count)}
                self._waiting, self._untouched = standing, standing & self._waiting
                declared = time.monotonic()

    async def _connect(self, lost: asyncio.Event) -> None:
        if self._draining:
            await asyncio.Event().wait()  # until all parts are stopped
        await self._database.answers()
        await super()._connect(lost)

    async def _declare(self) -> dict[str, int]:
        channel = self._declaring
        assert channel is not None  # noqa: S101  # it is opened first
        return await until_closed(
            channel, declaring.declare(channel, self._service, self._subscriptions), 2 * PATIENCE_SECONDS
        )

    def _stands(self, queue: str, waiting: int) -> bool:
        consumer = self._consumers.get(queue)
        if consumer is None or not (waiting > 0 or consumer.has_work):
            return False
        return time.monotonic() - consumer.progressed > STUCK_SECONDS

    @property
    def stuck(self) -> set[str]:
        """Queues whose messages wait, and have done so for a minute, though the connection is good."""
        held = {queue for queue in self._consumers if self._stands(queue, 0)}
        return held | self._untouched if self.connected else set()

    async def drain(self) -> None:
        """Takes no more deliveries; those at hand are finished."""
        self._draining = True
        consumers, self._consumers = self._consumers, {}
        stops = [consumer.stop(DRAIN_SECONDS) for consumer in consumers.values()]
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, BaseException):
                log.warning("while draining: %r", result)


def _frames(channel: ConfirmedChannel[OutboxEvent], event: OutboxEvent, now: datetime) -> bytes:
    headers: dict[str, str | int] = {SCHEMA_VERSION_HEADER: SCHEMA_VERSION}
    if event.traceparent:
        headers[TRACEPARENT] = event.traceparent
    if event.tracestate:
        headers[TRACESTATE] = event.tracestate
    return frames.publish(
        channel.number,
        EXCHANGE,
        event.type,
        event.body.encode(),
        message_id=event.id,
        correlation_id=event.subject,
        timestamp=now,
        headers=headers,
        largest=channel.largest_body,
    )


def _copy_frames(
    channel: ConfirmedChannel[Any], exchange: str, key: str, body: bytes, properties: Basic.Properties
) -> bytes:
    most = channel.largest_body
    content = [ContentBody(body[at : at + most]) for at in range(0, len(body), most)]
    publish = Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
    header = ContentHeader(properties=properties, body_size=len(body))
    frame = ChannelFrame.marshall(channel_number=channel.number, frames=[publish, header, *content])
    return frame.payload


def _retrieved(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("while closing: %s", error)


lenient.install()
