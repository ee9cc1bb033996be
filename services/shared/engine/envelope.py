"""What is around a message: its properties and headers, as they come in, and as a copy carries them on.

What others wrote is read, and never encoded again: a copy carries headers of our own, the trace context, and
the rest as readable text. Pure.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from services.shared.contract import topology, wire
from services.shared.contract.decisions import Deferred, Premature, Rejected
from services.shared.engine import lenient

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
# What a failure is called. Some are dead at once, and one never is.
KINDS: Final = ("invalid", "rejected", "premature", "deferred", "failed")
DEAD_AT_ONCE: Final = frozenset({"invalid", "rejected"})
NEVER_DEAD: Final = "deferred"
LAST_STEP: Final = len(topology.RETRY_DELAYS_MS)
ERROR_LIMIT: Final = 500
ORIGINAL_LIMIT: Final = 2000
SHORT_BYTES: Final = 255
# Counters in headers are somebody else's numbers.
MOST_COUNTED: Final = 1_000_000


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
    if kind == NEVER_DEAD:
        deferrals += 1
        step = min(deferrals, LAST_STEP)
    else:
        attempts += 1
        step = LAST_STEP + 1 if kind in DEAD_AT_ONCE else attempts
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
        if text := text_of(headers.get(name)):
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


def delivery_of(queue: str, message: DeliveredMessage) -> Delivery:
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


def copy_of(delivery: Delivery, headers: dict[str, Any]) -> Basic.Properties:
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


def text_of(value: object) -> str | None:
    return (
        value.decode("ascii", "replace")
        if isinstance(value, bytes)
        else value
        if isinstance(value, str)
        else None
    )
