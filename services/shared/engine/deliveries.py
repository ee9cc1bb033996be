"""Consuming: deliveries become messages, their outcomes become acknowledgements, retries or dead letters.

Every delivery ends in one of four ways: committed; copied to a retry queue; copied to the dead letters with
its reason; or, when its channel goes away, delivered again. A copy is confirmed before the original is
acknowledged. What others wrote into properties and headers is read, and never encoded again: a copy carries
headers of our own, the trace context, and the rest as readable text.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from aiormq import Channel
from aiormq.abc import DeliveredMessage
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pamqp.commands import Basic

from services.shared import telemetry
from services.shared.contract import topology, wire
from services.shared.contract.decisions import Decision, Deferred, Message, Premature, Rejected, Verdict
from services.shared.contract.events import Event
from services.shared.database.clock import Clock
from services.shared.engine import frames, lenient
from services.shared.engine.acks import AckWindow
from services.shared.engine.writing import until_closed, write

ATTEMPTS: Final = "x-attempts"
DEFERRALS: Final = "x-deferrals"
FIRST_FAILED_AT: Final = "x-first-failed-at"
ERROR: Final = "x-error"
ERROR_KIND: Final = "x-error-kind"
QUEUE: Final = "x-queue"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SCHEMA_VERSION: Final = "x-schema-version"
# What a publisher wrote into headers that are not ours, as text.
ORIGINAL_HEADERS: Final = "x-original-headers"
# When an operator gave it another chance.
REDRIVEN: Final = "x-redriven"
FAILURE: Final = frozenset({ATTEMPTS, DEFERRALS, FIRST_FAILED_AT, ERROR, ERROR_KIND, QUEUE})
OURS: Final = FAILURE | {TRACEPARENT, TRACESTATE, SCHEMA_VERSION, ORIGINAL_HEADERS, REDRIVEN}
# The broker's notes of its own dead-lettering; on a copy they would count as the copy's.
BROKERS: Final = ("x-death", "x-first-death", "x-last-death")
LAST_STEP: Final = len(topology.RETRY_DELAYS_MS)
ERROR_LIMIT: Final = 500
ORIGINAL_LIMIT: Final = 2000
SHORT_BYTES: Final = 255
# Counters in headers are somebody else's numbers.
MOST_COUNTED: Final = 1_000_000
COPY_AGAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
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
    # Why the properties are not there.
    unreadable: str | None = None
    redelivered: bool = False

    @property
    def may_repeat(self) -> bool:
        """It was here before, or comes from a publisher that does not promise anything."""
        return (
            self.redelivered
            or not {ATTEMPTS, REDRIVEN}.isdisjoint(self.headers)
            or SCHEMA_VERSION not in self.headers
        )

    def count(self, header: str) -> int:
        """How often it was retried before; what others write into our headers is not trusted."""
        value = self.headers.get(header, 0)
        return min(value, MOST_COUNTED) if isinstance(value, int) and value >= 0 else 0


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
    headers = kept(delivery.headers) | {
        ATTEMPTS: attempts,
        DEFERRALS: deferrals,
        FIRST_FAILED_AT: _first_failed_at(delivery, now),
        ERROR: (str(error) or type(error).__name__)[:ERROR_LIMIT],
        ERROR_KIND: kind,
        QUEUE: queue,
    }
    key = topology.dead_letter_queue(queue) if dead else topology.retry_queue(queue, step)
    return Route(key, headers, dead, kind)


def kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What a copy carries of its original's headers: the trace context and ours as they are, others' as text.

    Notes of earlier failures are left out.
    """
    copied: dict[str, Any] = {}
    for name in (TRACEPARENT, TRACESTATE, ORIGINAL_HEADERS, REDRIVEN):
        if text := _text(headers.get(name)):
            copied[name] = text[:ORIGINAL_LIMIT]
    if isinstance(version := headers.get(SCHEMA_VERSION), int):
        copied[SCHEMA_VERSION] = min(max(version, 0), MOST_COUNTED)
    others = {
        name: value for name, value in headers.items() if name not in OURS and not name.startswith(BROKERS)
    }
    if others:
        copied[ORIGINAL_HEADERS] = _readable(others)[:ORIGINAL_LIMIT]
    return copied


def _readable(headers: Mapping[str, Any]) -> str:
    try:
        return json.dumps(headers, default=repr)
    except (ValueError, RecursionError) as error:
        return f"{len(headers)} headers that cannot be shown: {error}"


def _first_failed_at(delivery: Delivery, now: datetime) -> str:
    noted = delivery.headers.get(FIRST_FAILED_AT)
    try:
        return datetime.fromisoformat(str(noted)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):  # it did not fail before, or others wrote into our header
        return now.isoformat()


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
        delivery = _delivery(self._queue, message)
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
                tracestate=telemetry.state_of(_text(delivery.headers.get(TRACESTATE))),
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
        way = route(self._queue, delivery, error, self._clock.now())
        if not await self._copy(delivery, way):
            return  # the channel is gone: the broker delivers it again
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

    async def _copy(self, delivery: Delivery, way: Route) -> bool:
        """Copies until the broker has it. Answers False when the delivery's own channel is gone."""
        properties = _copy_of(delivery, way.headers)
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


def _delivery(queue: str, message: DeliveredMessage) -> Delivery:
    properties = message.header.properties
    id_ = properties.message_id or wire.content_id(queue, message.body)
    return Delivery(
        message.delivery_tag or 0,
        bytes(message.body),
        properties,
        dict(properties.headers or {}),
        str(id_),
        lenient.unreadable(message.header),
        bool(message.redelivered),
    )


def _event(queue: str, delivery: Delivery) -> Event:
    """Raises InvalidMessage."""
    if delivery.unreadable is not None:
        raise wire.InvalidMessage(delivery.unreadable)
    return wire.decode(queue, delivery.body)


def _copy_of(delivery: Delivery, headers: dict[str, Any]) -> Basic.Properties:
    original = delivery.properties
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=delivery.id,
        correlation_id=_short(original.correlation_id),
        message_type=_short(original.message_type),
        timestamp=original.timestamp,
        headers=headers,
    )


def _short(value: object) -> str | None:
    """Text that fits into a property."""
    return value if isinstance(value, str) and len(value.encode()) <= SHORT_BYTES else None


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
