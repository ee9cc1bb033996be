"""Whatever bytes come, every decoder answers with what they mean or with a refusal, and with nothing else."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiormq.abc import DeliveredMessage
from fastapi.exceptions import RequestValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from services.auth.domain import Family, User
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.payment.ledger import LedgerEntry
from services.payment.payment import Payment
from services.product.domain import Product
from services.shared.contract import wire
from services.shared.contract.audit import Entry
from services.shared.contract.events import CONSUMES, Event
from services.shared.contract.idempotency import IdempotencyKey
from services.shared.database.store import from_document
from services.shared.engine import envelope, lenient
from services.shared.http.cursors import Cursor, cursor_of
from services.shared.telemetry import parse, request_of, state_of, with_request
from tests.unit.shared.test_wire import PUBLISHED

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUES = sorted({queue for queues in CONSUMES.values() for queue in queues})
EVENTS = sorted({event.type for queues in CONSUMES.values() for q in queues.values() for event in q})
NAMES = st.sampled_from(
    [
        *(
            "orderId",
            "productId",
            "products",
            "quantity",
            "totalPrice",
            "currency",
            "email",
            "reason",
            "missing",
        ),
        *("requested", "available", "transactionId", "amount", "refundId", "initialStock", "paymentToken"),
        *("fulfilment", "price", "compensation"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=9), inner, max_size=9)
    ),
    max_leaves=10,
)
NUMBERS = st.sampled_from(["1e999", "-0", "1e-999", "9" * 5000, "0.1e400", "NaN", "Infinity", "1E+2"])


def said(type_: str, data: Any, number: str) -> bytes:
    """As JSON, with a number that Python would not write."""
    return json.dumps({"type": type_, "data": data}).replace('"NUMBER"', number).encode("utf-8", "replace")


BODIES = st.binary(max_size=200) | st.builds(
    said, st.sampled_from(EVENTS) | st.text(max_size=9), JSON | st.just("NUMBER"), NUMBERS
)


def assert_decided(queue: str, body: bytes) -> None:
    """It is an event, or invalid for a reason."""
    outcome: Event | wire.InvalidMessage
    try:
        outcome = wire.decode(queue, body)
    except wire.InvalidMessage as error:
        outcome = error
    assert isinstance(outcome, Event) or str(outcome)


@given(st.sampled_from(QUEUES), BODIES)
def test_a_body_is_an_event_of_its_queue_or_invalid(queue: str, body: bytes) -> None:
    assert_decided(queue, body)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A body that was right, with some bytes changed, left out or put in."""
    body = bytearray(wire.encode(draw(st.sampled_from([event for event, _ in PUBLISHED]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


@given(st.sampled_from(QUEUES), spoiled())
def test_a_body_that_was_spoiled_on_the_way_is_read_or_refused(queue: str, body: bytes) -> None:
    assert_decided(queue, body)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize(
    "deep", [b"[" * 100_000, b'{"type":' * 50_000, b'{"type":"X","data":' + b"[" * 90_000]
)
def test_what_is_nested_without_end_is_refused(queue: str, deep: bytes) -> None:
    with pytest.raises(wire.InvalidMessage):
        wire.decode(queue, deep)


# --- what is around a message -----------------------------------------------------------------------------


@given(st.binary(max_size=120), st.binary(max_size=40), st.sampled_from(QUEUES))
def test_whatever_properties_a_message_has_it_is_delivered_and_can_be_dead(
    properties: bytes, body: bytes, queue: str
) -> None:
    """The bytes after a content header's class and body size."""
    lenient.install()
    header = ContentHeader()
    header.unmarshal(b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + properties)
    deliver = Basic.Deliver(
        consumer_tag="c", delivery_tag=1, redelivered=False, exchange="", routing_key=queue
    )
    message = DeliveredMessage(delivery=deliver, header=header, body=body, channel=None)  # type: ignore[arg-type]  # a channel is not asked
    delivery = envelope.delivery_of(queue, message)
    assert delivery.id
    sent_on(queue, delivery)


AMQP = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=30)),
        *(st.binary(max_size=30), st.decimals(allow_nan=False, allow_infinity=False).map(Decimal)),
        st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # Hypothesis wants naive bounds
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
HEADERS = st.dictionaries(st.sampled_from(sorted(envelope.OURS)) | st.text(max_size=20), AMQP, max_size=6)


@given(st.sampled_from(QUEUES), HEADERS, st.text(max_size=300), st.binary(max_size=20))
def test_whatever_headers_say_a_failed_message_is_sent_on(
    queue: str, headers: dict[str, Any], id_: str, body: bytes
) -> None:
    properties = Basic.Properties(headers=headers, message_type="x", correlation_id=id_)
    sent_on(queue, envelope.Delivery(1, body, properties, headers, "id"))


def sent_on(queue: str, delivery: envelope.Delivery) -> None:
    """To the retries or the dead letters, with properties that the broker can read."""
    for error in (wire.InvalidMessage("no"), RuntimeError()):
        route = envelope.route(queue, delivery, error, NOW)
        copy = envelope.copy_of(delivery, route.headers)
        again = ContentHeader(body_size=0, properties=copy).marshal()
        assert len(again) < 20_000
        assert route.dead is isinstance(error, wire.InvalidMessage) or delivery.count(envelope.ATTEMPTS) >= 3
    assert delivery.may_repeat in {True, False}


@given(st.text(), st.text())
def test_whatever_a_caller_sends_as_its_trace_is_one_or_none(traceparent: str, tracestate: str) -> None:
    context = parse(traceparent)
    assert context is None or context.is_valid
    passed_on = with_request(state_of(tracestate), "request-1") or ""
    assert passed_on.isprintable()
    assert request_of(passed_on) == "request-1"


# --- cursors, and what lies in databases ------------------------------------------------------------------


@given(st.text() | st.binary().map(lambda each: each.decode("latin-1")))
def test_a_cursor_is_one_or_a_refused_request(text: str) -> None:
    found: Cursor | RequestValidationError | None
    try:
        found = cursor_of(text)
    except RequestValidationError as error:
        found = error
    assert isinstance(found, Cursor) or (found is not None and len(found.errors()) == 1)


BSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
    | st.just(NOW),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)  # fmt: skip
STORED = (
    Shipment,
    User,
    Family,
    Product,
    Stock,
    Reservation,
    Order,
    Payment,
    Notification,
    IdempotencyKey,
)


@pytest.mark.parametrize("kind", [*STORED, LedgerEntry, Entry], ids=lambda kind: kind.__name__)
@settings(max_examples=50)
@given(data=st.data())
def test_a_document_is_what_it_should_be_or_invalid(kind: type[Any], data: st.DataObject) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    document = data.draw(st.dictionaries(st.sampled_from(names), BSON, max_size=len(names)))
    try:
        found = from_document(kind, document)
    except msgspec.ValidationError as error:
        found = error
    assert isinstance(found, kind) or str(found)
