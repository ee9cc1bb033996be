"""Consuming: deliveries become messages, their outcomes become acknowledgements, retries or dead letters.

Every delivery ends in one of four ways: committed; copied to a retry queue; copied to the dead letters with
its reason; or, when its channel goes away, delivered again. A copy is confirmed before the original is
acknowledged.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pamqp.commands import Basic

from services.shared import telemetry
from services.shared.contract import topology, wire
from services.shared.contract.decisions import Decision, Deferred, Message, Premature, Rejected, Verdict
from services.shared.contract.events import Event
from services.shared.database.clock import Clock
from services.shared.engine.acks import AckWindow

ATTEMPTS: Final = "x-attempts"
DEFERRALS: Final = "x-deferrals"
FIRST_FAILED_AT: Final = "x-first-failed-at"
ERROR: Final = "x-error"
ERROR_KIND: Final = "x-error-kind"
QUEUE: Final = "x-queue"
TRACEPARENT: Final = "traceparent"
LAST_STEP: Final = len(topology.RETRY_DELAYS_MS)
ERROR_LIMIT: Final = 500
log = logging.getLogger(__name__)


class Copier(Protocol):
    async def copy(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> None:
        """Publishes and awaits the broker's confirm. Raises ConnectionError when there is none."""
        ...


class Delivery(NamedTuple):
    tag: int
    body: bytes
    properties: Basic.Properties
    headers: dict[str, Any]
    id: str

    def count(self, header: str) -> int:
        """How often it was retried before; what others write into our headers is not trusted."""
        value = self.headers.get(header, 0)
        return value if isinstance(value, int) and value >= 0 else 0


class Route(NamedTuple):
    """Where a failed delivery goes, and what its copy says about it."""

    key: str
    headers: dict[str, Any]
    dead: bool
    kind: str


def route(queue: str, delivery: Delivery, error: BaseException, now: datetime) -> Route:
    """The retry ladder: invalid messages are dead at once, unknown outcomes never, others after three."""
    kind = _kind_of(error)
    attempts, deferrals = delivery.count(ATTEMPTS), delivery.count(DEFERRALS)
    if kind == "deferred":
        deferrals += 1
        step = min(deferrals, LAST_STEP)
    else:
        attempts += 1
        step = LAST_STEP + 1 if kind in {"invalid", "rejected"} else attempts
    dead = step > LAST_STEP
    headers = {
        name: value
        for name, value in delivery.headers.items()
        if not name.startswith(("x-death", "x-first-death", "x-last-death"))
    } | {
        ATTEMPTS: attempts,
        DEFERRALS: deferrals,
        FIRST_FAILED_AT: delivery.headers.get(FIRST_FAILED_AT) or now.isoformat(),
        ERROR: (str(error) or type(error).__name__)[:ERROR_LIMIT],
        ERROR_KIND: kind,
        QUEUE: queue,
    }
    key = topology.dead_letter_queue(queue) if dead else topology.retry_queue(queue, step)
    return Route(key, headers, dead, kind)


def _kind_of(error: BaseException) -> str:
    kinds = {
        wire.InvalidMessage: "invalid",
        Rejected: "rejected",
        Premature: "premature",
        Deferred: "deferred",
    }
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "failed")


class Consumer:
    """One queue's deliveries on one channel. A new connection gets a new consumer: tags start again."""

    def __init__(  # an engine has parts
        self,
        service: str,
        queue: str,
        channel: AbstractChannel,
        submit: Callable[[Message], asyncio.Future[Decision]],
        copier: Copier,
        clock: Clock,
    ) -> None:
        self._exchange = topology.retry_exchange(service)
        self._queue, self._channel, self._submit = queue, channel, submit
        self._copier, self._clock = copier, clock
        self._window = AckWindow()
        self._flush_planned = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._tag = ""

    async def start(self, prefetch: int) -> None:
        await self._channel.basic_qos(prefetch_count=prefetch, timeout=topology.TIMEOUT)
        answer = await self._channel.basic_consume(self._queue, self._on_message, timeout=topology.TIMEOUT)
        self._tag = str(answer.consumer_tag)

    async def stop(self, patience: float) -> None:
        """No more deliveries; those at hand are finished and acknowledged."""
        await self._channel.basic_cancel(self._tag, timeout=topology.TIMEOUT)
        deadline = asyncio.get_running_loop().time() + patience
        while len(self._window) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await self._flush()

    # --- in ---------------------------------------------------------------------------------------------

    async def _on_message(self, message: DeliveredMessage) -> None:
        delivery = _delivery(self._queue, message)
        self._window.delivered(delivery.tag)
        try:
            event = wire.decode(self._queue, delivery.body)
        except wire.InvalidMessage as error:
            self._spawn(self._recover(delivery, error))
            return
        span, traceparent = telemetry.start_span(
            f"{self._queue} {event.type}",
            _text(delivery.headers.get(TRACEPARENT)),
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
                last_try=delivery.count(ATTEMPTS) >= LAST_STEP,
            )
        )
        future.add_done_callback(partial(self._on_decided, delivery, event, span))

    # --- out --------------------------------------------------------------------------------------------

    def _on_decided(
        self, delivery: Delivery, event: Event, span: Span, future: asyncio.Future[Decision]
    ) -> None:
        if future.cancelled():  # shutting down: the broker delivers it again
            span.end()
            return
        error = future.exception()
        if error is None:
            verdict = future.result().verdict
            telemetry.CONSUMED.labels(self._queue, event.type, verdict).inc()
            if verdict is Verdict.ATTENTION:
                log.warning(
                    "%s contradicts what happened: see the order", event.type, extra=_about(delivery, event)
                )
            self._settle(delivery)
        else:
            span.set_status(Status(StatusCode.ERROR, str(error)))
            self._spawn(self._recover(delivery, error, event))
        span.end()

    async def _recover(self, delivery: Delivery, error: BaseException, event: Event | None = None) -> None:
        if self._channel.is_closed:
            return  # the broker delivers it again
        way = route(self._queue, delivery, error, self._clock.now())
        try:
            await self._copier.copy(self._exchange, way.key, delivery.body, _copy_of(delivery, way.headers))
        except ConnectionError as gone:
            # Not acknowledged either: the broker delivers it again when it is back.
            log.warning("%s is not copied to %s: %s", delivery.id, way.key, gone)
            return
        (telemetry.DEAD_LETTERS if way.dead else telemetry.RETRIES).labels(self._queue, way.kind).inc()
        telemetry.CONSUMED.labels(self._queue, event.type if event else "unknown", way.kind).inc()
        log.log(
            logging.ERROR if way.dead else logging.INFO,
            "%s goes to %s: %s: %s",
            event.type if event else "message",
            way.key,
            way.kind,
            way.headers[ERROR],
            extra=_about(delivery, event),
            exc_info=error if way.kind == "failed" else None,
        )
        self._settle(delivery)

    def _settle(self, delivery: Delivery) -> None:
        self._window.settle(delivery.tag)
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(lambda: self._spawn(self._flush()))

    async def _flush(self) -> None:
        self._flush_planned = False
        if self._channel.is_closed:
            return
        with suppress(ChannelInvalidStateError):  # closed meanwhile: the broker delivers them again
            for ack in self._window.take():
                await self._channel.basic_ack(ack.tag, multiple=ack.multiple, wait=False)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _delivery(queue: str, message: DeliveredMessage) -> Delivery:
    properties = message.header.properties
    id_ = properties.message_id or wire.content_id(queue, message.body)
    return Delivery(
        message.delivery_tag or 0, bytes(message.body), properties, dict(properties.headers or {}), str(id_)
    )


def _copy_of(delivery: Delivery, headers: dict[str, Any]) -> Basic.Properties:
    original = delivery.properties
    return Basic.Properties(
        content_type=original.content_type,
        delivery_mode=2,
        message_id=delivery.id,
        correlation_id=original.correlation_id,
        message_type=original.message_type,
        timestamp=original.timestamp,
        headers=headers,
    )


def _text(value: object) -> str | None:
    return (
        value.decode("ascii", "replace")
        if isinstance(value, bytes)
        else value
        if isinstance(value, str)
        else None
    )


def _about(delivery: Delivery, event: Event | None) -> dict[str, Any]:
    return {
        "event_id": delivery.id,
        "correlation_id": event.subject if event else delivery.properties.correlation_id,
        "trace_id": (telemetry.trace_id(_text(delivery.headers.get(TRACEPARENT)))),
    }
