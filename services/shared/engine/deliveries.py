"""Consuming: deliveries become messages, their outcomes become acknowledgements, retries or dead letters.

Every delivery ends in one of four ways: committed; copied to a retry queue; copied to the dead letters with
its reason; or, when its channel goes away, delivered again. A copy is confirmed before the original is
acknowledged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import cache, partial
from typing import Any, Final, Protocol

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pamqp.commands import Basic

from services.shared import telemetry
from services.shared.contract import topology, wire
from services.shared.contract.decisions import Decision, Message
from services.shared.contract.events import Event, OrderEvent
from services.shared.database.clock import Clock
from services.shared.engine import frames, metrics
from services.shared.engine.acks import AckWindow
from services.shared.engine.envelope import (
    ATTEMPTS,
    ERROR,
    LAST_STEP,
    TRACEPARENT,
    TRACESTATE,
    Delivery,
    Route,
    copy_of,
    delivery_of,
    route,
    text_of,
)
from services.shared.engine.writing import until_closed, write

# What is ahead of its cause is in order; a payment gateway without an answer and a fault of ours are not.
RETRY_LEVELS: Final = {"premature": logging.INFO, "deferred": logging.WARNING, "failed": logging.WARNING}
COPY_AGAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
log = logging.getLogger(__name__)


class Copier(Protocol):
    async def copy(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> None:
        """Publishes and awaits the broker's confirm. Raises ConnectionError when there is none."""
        ...


class Consumer:
    """One queue's deliveries on one channel. A new connection gets a new consumer: tags start again."""

    def __init__(
        self,
        service: str,
        queue: str,
        channel: Channel,
        submit: Callable[[Message], "asyncio.Future[Decision]"],
        copier: Copier,
        clock: Clock,
        *,
        prefetch: int,
    ) -> None:
        self._exchange = topology.retry_exchange(service)
        self._queue, self._channel, self._submit = queue, channel, submit
        self._copier, self._clock, self._prefetch = copier, clock, prefetch
        self._window = AckWindow(prefetch)
        self._age = metrics.EVENT_AGE.labels(queue)
        # To look a series up by its labels costs as much as to count.
        self._consumed = cache(partial(metrics.CONSUMED.labels, queue))
        self._flushing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._undecided: set[asyncio.Future[Decision]] = set()
        self._tag = ""
        # When a delivery last came in, or came to its end (monotonic seconds).
        self.progressed = time.monotonic()

    async def start(self) -> None:
        channel = self._channel
        channel.closing.add_done_callback(self._on_closed)
        await until_closed(channel, channel.basic_qos(prefetch_count=self._prefetch))
        answer = await until_closed(channel, channel.basic_consume(self._queue, self._on_message))
        self._tag = str(answer.consumer_tag)

    async def stop(self, patience: float) -> None:
        """No more deliveries; those at hand are finished and acknowledged."""
        deadline = time.monotonic() + patience
        await until_closed(self._channel, self._channel.basic_cancel(self._tag), patience)
        while len(self._window) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self._flush()

    def _on_closed(self, _: object) -> None:
        """What is not decided yet is somebody else's now: nobody here need go on with it."""
        for future in list(self._undecided):
            future.cancel()

    @property
    def has_work(self) -> bool:
        return len(self._window) > 0

    # --- in ---------------------------------------------------------------------------------------------

    async def _on_message(self, message: DeliveredMessage) -> None:
        delivery = delivery_of(self._queue, message)
        self._window.delivered(delivery.tag)
        self.progressed = time.monotonic()
        try:
            self._handle(delivery)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this message's alone
            self._spawn(self._recover(delivery, error))

    def _handle(self, delivery: Delivery) -> None:
        try:
            event = _event(self._queue, delivery)
        except wire.InvalidMessage as error:
            self._spawn(self._recover(delivery, error))
            return
        span, traceparent = telemetry.start_span(
            f"{self._queue} {event.type}",
            text_of(delivery.headers.get(TRACEPARENT)),
            SpanKind.CONSUMER,
            {
                "messaging.system": "rabbitmq",
                "messaging.destination.name": self._queue,
                "messaging.message.id": delivery.id,
                "messaging.message.conversation_id": event.subject,
                "correlation.id": event.subject,
            },
        )
        future = self._submit(
            Message(
                id=delivery.id,
                source=self._queue,
                body=event,
                at=self._clock.now(),
                traceparent=traceparent,
                tracestate=telemetry.state_of(text_of(delivery.headers.get(TRACESTATE))),
                last_try=delivery.count(ATTEMPTS) >= LAST_STEP,
                may_repeat=delivery.may_repeat,
            )
        )
        self._undecided.add(future)
        future.add_done_callback(partial(self._on_decided, delivery, event, span))

    # --- out --------------------------------------------------------------------------------------------

    def _on_decided(
        self, delivery: Delivery, event: Event, span: Span, future: asyncio.Future[Decision]
    ) -> None:
        self._undecided.discard(future)
        if future.cancelled():  # the channel is gone: the broker delivers it again
            span.end()
            return
        error = future.exception()
        if error is None:
            self._consumed(event.type, future.result().verdict).inc()
            published = delivery.properties.timestamp
            if published is not None:
                self._age.observe(max((self._clock.now() - published).total_seconds(), 0.0))
            self._settle(delivery)
        else:
            span.set_status(Status(StatusCode.ERROR, str(error)))
            self._spawn(self._recover(delivery, error, event))
        span.end()

    async def _recover(self, delivery: Delivery, error: BaseException, event: Event | None = None) -> None:
        way = route(self._queue, delivery, error, self._clock.now())
        if not await self._copy(delivery, way):
            return  # the channel is gone: the broker delivers it again
        (metrics.DEAD_LETTERS if way.dead else metrics.RETRIES).labels(self._queue, way.kind).inc()
        self._consumed(event.type if event else metrics.UNREADABLE, way.kind).inc()
        log.log(
            logging.ERROR if way.dead else RETRY_LEVELS[way.kind],
            "%s goes to %s: %s: %s",
            event.type if event else "message",
            way.key,
            way.kind,
            way.headers[ERROR],
            extra=_about(delivery, event),
            exc_info=error if way.kind == "failed" else None,
        )
        self._settle(delivery)

    async def _copy(self, delivery: Delivery, way: Route) -> bool:
        """Copies until the broker has it. Answers False when the delivery's own channel is gone."""
        properties = copy_of(delivery, way.headers)
        tries = 0
        while not self._channel.is_closed:
            try:
                await self._copier.copy(self._exchange, way.key, delivery.body, properties)
            except ConnectionError as gone:
                pause = COPY_AGAIN_SECONDS[min(tries, len(COPY_AGAIN_SECONDS) - 1)]
                log.warning("%s is not copied to %s, again in %s s: %s", delivery.id, way.key, pause, gone)
                await asyncio.sleep(pause)
                tries += 1
            except Exception:
                log.exception("%s cannot be copied to %s: its channel is closed", delivery.id, way.key)
                await self._channel.close()
            else:
                return True
        return False

    def _settle(self, delivery: Delivery) -> None:
        self.progressed = time.monotonic()
        self._window.settle(delivery.tag)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(lambda: self._spawn(self._flush()))

    async def _flush(self) -> None:
        """Acknowledges what is settled: one flush at a time, or a tag could be acknowledged twice."""
        self._flushing = True
        try:
            while acks := self._window.take():
                number = self._channel.number
                await write(
                    self._channel,
                    b"".join(frames.ack(number, ack.tag, multiple=ack.multiple) for ack in acks),
                )
        except ConnectionError as error:
            log.debug("the broker delivers again what is not acknowledged: %s", error)
        finally:
            self._flushing = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _event(queue: str, delivery: Delivery) -> Event:
    """Raises InvalidMessage."""
    if delivery.unreadable is not None:
        raise wire.InvalidMessage(delivery.unreadable)
    return wire.decode(queue, delivery.body)


def _about(delivery: Delivery, event: Event | None) -> dict[str, Any]:
    about = delivery.properties.correlation_id if event is None else event.subject
    return {
        # What cannot be read says no more than what it was labelled with.
        "order_id" if isinstance(event, OrderEvent) else "correlation_id": about,
        "event_id": delivery.id,
        "trace_id": telemetry.trace_id(text_of(delivery.headers.get(TRACEPARENT))),
        "request_id": telemetry.request_of(text_of(delivery.headers.get(TRACESTATE))),
    }
