"""The connection that publishes: events of the outbox, copies of deliveries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final

from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from services.shared.contract.events import EXCHANGE, SCHEMA_VERSION
from services.shared.database.clock import Clock
from services.shared.engine import declaring, envelope, frames
from services.shared.engine.confirms import ConfirmedChannel, Outcome, Outgoing, Sent
from services.shared.engine.links import Connect, Link, open_channel
from services.shared.engine.rows import OutboxEvent
from services.shared.engine.writing import PATIENCE_SECONDS, ignore_late, until_closed

ANSWER_SECONDS: Final = 2.0
log = logging.getLogger(__name__)


class Publishing(Link):
    """Publishes events, and copies of deliveries to retry queues and dead letters."""

    def __init__(
        self,
        url: str,
        service: str,
        clock: Clock,
        *,
        connect: Connect,
        on_declared: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(url, f"{service}, publishing", connect)
        self._clock, self._on_declared = clock, on_declared
        self._asking: Channel | None = None
        self._question: asyncio.Task[Any] | None = None
        self._events: ConfirmedChannel[OutboxEvent] | None = None
        self._copies: ConfirmedChannel[asyncio.Future[Outcome]] | None = None
        # What is on the wire, by id: the broker's returns name nothing else, so the next one waits.
        self._copying: dict[str, asyncio.Future[Outcome]] = {}

    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        self._asking = await open_channel(connection, on_lost, confirms=False)
        try:
            await until_closed(self._asking, declaring.ask_for_exchange(self._asking))
        except (ConnectionError, ChannelNotFoundEntity):
            await declaring.make_exchange(connection)
            raise  # the channel is closed: everything is set up anew
        self._events = ConfirmedChannel(await open_channel(connection, on_lost, confirms=True))
        self._copies = ConfirmedChannel(await open_channel(connection, on_lost, confirms=True))

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
            question.add_done_callback(ignore_late)
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


def _frames(channel: ConfirmedChannel[OutboxEvent], event: OutboxEvent, now: datetime) -> bytes:
    headers: dict[str, str | int] = {envelope.SCHEMA_VERSION: SCHEMA_VERSION}
    if event.traceparent:
        headers[envelope.TRACEPARENT] = event.traceparent
    if event.tracestate:
        headers[envelope.TRACESTATE] = event.tracestate
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
