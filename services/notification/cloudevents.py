"""What happened to an order, as those outside are told it: a CloudEvent in JSON. Pure.

https://cloudevents.io, version 1.0, structured mode, with the extension `sequence`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec

from services.shared.contract.events import (
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderNews,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    OrderShipped,
    RefundRequested,
)

Data: TypeAlias = dict[str, Any]
MEDIA_TYPE: Final = "application/cloudevents+json"


class EventType(StrEnum):
    """The types of events that an endpoint can receive. A name ends with the version of its data."""

    PAID = "sagashop.order.paid.v1"
    CANCELLED = "sagashop.order.cancelled.v1"
    REFUND_REQUESTED = "sagashop.order.refund_requested.v1"
    PARTIALLY_REFUNDED = "sagashop.order.partially_refunded.v1"
    REFUNDED = "sagashop.order.refunded.v1"
    SHIPPED = "sagashop.order.shipped.v1"
    DELIVERED = "sagashop.order.delivered.v1"


# By which an administrator tries an endpoint.
TEST: Final = "sagashop.webhook.test.v1"
# What each is called outside.
_NAMES: Final[Mapping[type[OrderEvent], EventType]] = {
    OrderPaid: EventType.PAID,
    OrderCancelled: EventType.CANCELLED,
    RefundRequested: EventType.REFUND_REQUESTED,
    OrderPartiallyRefunded: EventType.PARTIALLY_REFUNDED,
    OrderRefunded: EventType.REFUNDED,
    OrderShipped: EventType.SHIPPED,
    OrderDelivered: EventType.DELIVERED,
}
# By the event's own type.
TYPES: Final[Mapping[str, EventType]] = {event.type: name for event, name in _NAMES.items()}
_EVENTS: Final[Mapping[str, type[OrderEvent]]] = {event.type: event for event in _NAMES}
# What names the customer is not told, and what is told beside the data is not told twice.
_LEFT_OUT: Final = ("email", "sequence")
# As text, sequences are in the order of their numbers up to ten digits.
_DIGITS: Final = 10


def data_of(event: OrderEvent) -> Data:
    """Amounts are text, as everywhere in the API."""
    data: Data = msgspec.to_builtins(event)
    return {name: value for name, value in data.items() if name not in _LEFT_OUT}


def event_of(kind: str, data: Data, email: str) -> OrderEvent:
    """What `data_of` was told of, to this address; without its sequence. `kind`: one of TYPES."""
    return msgspec.convert({**data, "email": email}, _EVENTS[kind])


def sequence_of(event: OrderEvent) -> int | None:
    return event.sequence if isinstance(event, OrderNews) else None


class Happened(NamedTuple):
    """What is told, and by which name."""

    id: str
    type: str
    # Of what: of an order, but for the try of an endpoint.
    subject: str
    at: datetime
    sequence: int | None
    data: Data
    # What subjects are called in the API's paths.
    kind: str = "orders"


def written(event: Happened, base: str) -> bytes:
    """The same to the byte whenever it is asked for. `base`: the URL, or the path, that the API is at."""
    attributes = {
        "specversion": "1.0",
        "id": event.id,
        # The extension puts in order what is of one source: here, of one order.
        "source": f"{base.rstrip('/')}/{event.kind}/{quote(event.subject, safe='')}",
        "type": event.type,
        "subject": event.subject,
        "time": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **({} if event.sequence is None else {"sequence": f"{event.sequence:0{_DIGITS}d}"}),
        "data": event.data,
    }
    return msgspec.json.encode(attributes)
