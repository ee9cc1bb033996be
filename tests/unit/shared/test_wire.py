"""The contract on the wire: what we publish, what we accept, and what we say about the rest."""

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contract import events, wire
from services.shared.contract.events import CONSUMES, PUBLISHES, Event, Line, Missing, PricedLine, SoldLine
from tests.unit.shared import older_messages as older

QUEUES_OF = [
    (queue, event) for queues in CONSUMES.values() for queue, consumed in queues.items() for event in consumed
]

# --- what we publish --------------------------------------------------------------------------------------

PUBLISHED = [
    (
        events.ReserveStock(order_id="o1", products=(Line("p1", 2), Line("p2", 1))),
        (
            '{"type":"INVENTORY_RESERVE_REQUEST","data":{"orderId":"o1","products":[{"productId":"p1","quantity":2},'
            '{"productId":"p2","quantity":1}],"fulfilment":"all"}}'
        ),
    ),
    (
        events.ReserveStock(order_id="o1", products=(Line("p1", 2),), fulfilment="partial"),
        (
            '{"type":"INVENTORY_RESERVE_REQUEST","data":{"orderId":"o1","products":[{"productId":"p1","quantity":2}],'
            '"fulfilment":"partial"}}'
        ),
    ),
    (
        events.StockReserved(order_id="o1", products=(Line("p1", 2),), missing=(Missing("p2", 3, 1),)),
        (
            '{"type":"INVENTORY_RESERVED","data":{"orderId":"o1","products":[{"productId":"p1","quantity":2}],'
            '"missing":[{"productId":"p2","requested":3,"available":1}]}}'
        ),
    ),
    (
        events.StockUnavailable(
            order_id="o1",
            missing=(Missing("p1", 2, 0),),
            reason="Insufficient stock. Available: 0, Requested: 2",
        ),
        (
            '{"type":"INVENTORY_RESERVE_FAILED","data":{"orderId":"o1","missing":[{"productId":"p1","requested":2,'
            '"available":0}],"reason":"Insufficient stock. Available: 0, Requested: 2"}}'
        ),
    ),
    (
        events.OrderConfirmed(
            order_id="o1",
            total_price=Decimal("299.99"),
            currency="USD",
            products=(PricedLine("p1", 2, Decimal("99.99")), PricedLine("p2", 1, Decimal("100.01"))),
            payment_token="tok_success",
        ),
        (
            '{"type":"ORDER_CONFIRMED","data":{"orderId":"o1","totalPrice":"299.99","currency":"USD",'
            '"products":[{"productId":"p1","quantity":2,"price":"99.99"},'
            '{"productId":"p2","quantity":1,"price":"100.01"}],"paymentToken":"tok_success"}}'
        ),
    ),
    (
        events.PaymentSucceeded(
            order_id="o1", transaction_id="txn_1", amount=Decimal("299.90"), currency="USD"
        ),
        (
            '{"type":"PAYMENT_SUCCEEDED","data":{"orderId":"o1","transactionId":"txn_1","amount":"299.90",'
            '"currency":"USD"}}'
        ),
    ),
    (
        events.PaymentFailed(
            order_id="o1", transaction_id="txn_1", amount=Decimal(300), currency="JPY", reason="declined"
        ),
        (
            '{"type":"PAYMENT_FAILED","data":{"orderId":"o1","transactionId":"txn_1","amount":"300",'
            '"currency":"JPY","reason":"declined"}}'
        ),
    ),
    (
        events.ReleaseStock(order_id="o1", reason="SAGA_TIMEOUT"),
        '{"type":"INVENTORY_RELEASE_REQUEST","data":{"orderId":"o1","reason":"SAGA_TIMEOUT"}}',
    ),
    (
        events.StockReleased(order_id="o1", products=()),
        '{"type":"INVENTORY_RELEASED","data":{"orderId":"o1","products":[]}}',
    ),
    (
        events.OrderPaid(
            order_id="o1",
            total_price=Decimal("299.99"),
            currency="USD",
            products=(SoldLine("p1", 2),),
            email="ann@example.com",
        ),
        (
            '{"type":"ORDER_PAID","data":{"orderId":"o1","totalPrice":"299.99","currency":"USD",'
            '"products":[{"productId":"p1","quantity":2}],"email":"ann@example.com"}}'
        ),
    ),
    (
        events.OrderPaid(
            order_id="o1",
            total_price=Decimal("299.98"),
            currency="USD",
            products=(SoldLine("p1", 2, "Lamp", Decimal("149.99")),),
            email="ann@example.com",
            locale="de-AT",
        ),
        (
            '{"type":"ORDER_PAID","data":{"orderId":"o1","totalPrice":"299.98","currency":"USD",'
            '"products":[{"productId":"p1","quantity":2,"name":"Lamp","price":"149.99"}],'
            '"email":"ann@example.com","locale":"de-AT"}}'
        ),
    ),
    (
        events.OrderCancelled(order_id="o1", reason="OUT_OF_STOCK", email="ann@example.com"),
        (
            '{"type":"ORDER_CANCELLED","data":{"orderId":"o1","reason":"OUT_OF_STOCK",'
            '"email":"ann@example.com"}}'
        ),
    ),
    (
        events.PaymentPending(
            order_id="o1",
            transaction_id="t1",
            amount=Decimal("1.50"),
            currency="EUR",
            next_action=events.NextAction(
                "redirect", "https://bank.example/agree", datetime(2026, 1, 1, 12, tzinfo=UTC)
            ),
        ),
        (
            '{"type":"PAYMENT_PENDING","data":{"orderId":"o1","transactionId":"t1","amount":"1.50",'
            '"currency":"EUR","nextAction":{"type":"redirect","url":"https://bank.example/agree",'
            '"expiresAt":"2026-01-01T12:00:00Z"}}}'
        ),
    ),
    (
        events.RefundRequested(order_id="o1", reason="broken"),
        '{"type":"ORDER_REFUND_REQUEST","data":{"orderId":"o1","reason":"broken"}}',
    ),
    (
        events.RefundPayment(order_id="o1", amount=Decimal("1.50"), currency="EUR", reason="LATE_PAYMENT"),
        (
            '{"type":"PAYMENT_REFUND","data":{"orderId":"o1","amount":"1.50","currency":"EUR",'
            '"reason":"LATE_PAYMENT"}}'
        ),
    ),
    (
        events.PaymentRefunded(
            order_id="o1", transaction_id="t1", refund_id="r1", amount=Decimal("1.50"), currency="EUR"
        ),
        (
            '{"type":"PAYMENT_REFUNDED","data":{"orderId":"o1","transactionId":"t1","amount":"1.50",'
            '"currency":"EUR","refundId":"r1"}}'
        ),
    ),
    (
        events.RefundRequested(
            order_id="o1",
            reason="broken",
            refund_request_id="q1",
            products=(Line("p1", 1),),
            amount=Decimal("1.50"),
            currency="EUR",
        ),
        (
            '{"type":"ORDER_REFUND_REQUEST","data":{"orderId":"o1","reason":"broken",'
            '"refundRequestId":"q1","products":[{"productId":"p1","quantity":1}],"amount":"1.50",'
            '"currency":"EUR"}}'
        ),
    ),
    (
        events.RefundPayment(
            order_id="o1",
            amount=Decimal("1.50"),
            currency="EUR",
            reason="broken",
            refund_request_id="q1",
            transaction_id="t1",
        ),
        (
            '{"type":"PAYMENT_REFUND","data":{"orderId":"o1","amount":"1.50","currency":"EUR",'
            '"reason":"broken","refundRequestId":"q1","transactionId":"t1"}}'
        ),
    ),
    (
        events.PaymentRefundFailed(
            order_id="o1", amount=Decimal("1.50"), currency="EUR", reason="closed", refund_request_id="q1"
        ),
        (
            '{"type":"PAYMENT_REFUND_FAILED","data":{"orderId":"o1","amount":"1.50","currency":"EUR",'
            '"reason":"closed","refundRequestId":"q1"}}'
        ),
    ),
    (
        events.ReleaseStock(
            order_id="o1", reason="REFUND", refund_request_id="q1", products=(Line("p1", 1),)
        ),
        (
            '{"type":"INVENTORY_RELEASE_REQUEST","data":{"orderId":"o1","reason":"REFUND",'
            '"refundRequestId":"q1","products":[{"productId":"p1","quantity":1}]}}'
        ),
    ),
    (
        events.StockReleased(order_id="o1", products=(Line("p1", 1),), refund_request_id="q1"),
        (
            '{"type":"INVENTORY_RELEASED","data":{"orderId":"o1",'
            '"products":[{"productId":"p1","quantity":1}],"refundRequestId":"q1"}}'
        ),
    ),
    (
        events.OrderPartiallyRefunded(
            order_id="o1",
            refund_request_id="q1",
            products=(Line("p1", 1),),
            amount=Decimal("1.50"),
            refunded_total=Decimal("3.00"),
            currency="EUR",
            email="ann@example.com",
        ),
        (
            '{"type":"ORDER_PARTIALLY_REFUNDED","data":{"orderId":"o1","refundRequestId":"q1",'
            '"products":[{"productId":"p1","quantity":1}],"amount":"1.50","refundedTotal":"3.00",'
            '"currency":"EUR","email":"ann@example.com"}}'
        ),
    ),
    (
        events.OrderRefunded(
            order_id="o1", total_price=Decimal("1.50"), currency="EUR", email="ann@example.com"
        ),
        (
            '{"type":"ORDER_REFUNDED","data":{"orderId":"o1","totalPrice":"1.50","currency":"EUR",'
            '"email":"ann@example.com"}}'
        ),
    ),
    (
        events.ProductCreated(product_id="p1", initial_stock=7),
        '{"type":"PRODUCT_CREATED","data":{"productId":"p1","initialStock":7}}',
    ),
    (
        events.ProductDeleted(product_id="p1"),
        '{"type":"PRODUCT_DELETED","data":{"productId":"p1"}}',
    ),
    (events.RequestShipment(order_id="o1"), '{"type":"SHIPMENT_REQUEST","data":{"orderId":"o1"}}'),
    (
        events.ShipmentApproved(order_id="o1", products=(Line("p1", 2),), sequence=4),
        (
            '{"type":"SHIPMENT_APPROVED","data":{"orderId":"o1","products":[{"productId":"p1","quantity":2}],'
            '"sequence":4}}'
        ),
    ),
    (
        events.ShipmentRefused(order_id="o1", reason="the order is cancelled"),
        '{"type":"SHIPMENT_REFUSED","data":{"orderId":"o1","reason":"the order is cancelled"}}',
    ),
    (
        events.OrderShipped(
            order_id="o1",
            sequence=4,
            products=(SoldLine("p1", 2, "Lamp"),),
            carrier="DHL",
            tracking="JD0146",
            email="ann@example.com",
        ),
        (
            '{"type":"ORDER_SHIPPED","data":{"orderId":"o1","sequence":4,"products":[{"productId":"p1","quantity":2,'
            '"name":"Lamp"}],"carrier":"DHL","tracking":"JD0146","email":"ann@example.com"}}'
        ),
    ),
    (
        events.OrderDelivered(
            order_id="o1", products=(SoldLine("p1", 2),), email="ann@example.com", locale="de-AT"
        ),
        (
            '{"type":"ORDER_DELIVERED","data":{"orderId":"o1","products":[{"productId":"p1","quantity":2}],'
            '"email":"ann@example.com","locale":"de-AT"}}'
        ),
    ),
]


@pytest.mark.parametrize(("event", "body"), PUBLISHED, ids=[type(event).__name__ for event, _ in PUBLISHED])
def test_an_event_is_published_exactly_so(event: Event, body: str) -> None:
    assert wire.encode(event).decode() == body


@pytest.mark.parametrize(("event", "body"), PUBLISHED, ids=[type(event).__name__ for event, _ in PUBLISHED])
def test_every_consumer_of_an_event_reads_what_was_published(event: Event, body: str) -> None:
    queues = [queue for queue, kind in QUEUES_OF if kind is type(event)]
    assert queues, "nobody listens"
    for queue in queues:
        assert wire.decode(queue, body.encode()) == event


@pytest.mark.parametrize("event", [event for event, _ in PUBLISHED], ids=lambda event: type(event).__name__)
def test_an_event_is_found_by_the_order_or_product_it_is_about(event: Event) -> None:
    assert event.subject == ("o1" if isinstance(event, events.OrderEvent) else "p1")


def test_an_event_that_is_about_nothing_is_none() -> None:
    with pytest.raises(NotImplementedError):
        _ = Event().subject


def test_the_examples_above_leave_no_event_out() -> None:
    assert {type(event) for event, _ in PUBLISHED} == {e for each in PUBLISHES.values() for e in each}


def test_whatever_is_consumed_is_published_by_exactly_one_service() -> None:
    publishers = [event for published in PUBLISHES.values() for event in published]
    assert len(publishers) == len(set(publishers))
    assert {event for _, event in QUEUES_OF} == set(publishers)


def test_types_and_queue_names_are_those_of_the_design() -> None:
    assert {(queue, event.type) for queue, event in QUEUES_OF} == {
        ("inventory", "INVENTORY_RESERVE_REQUEST"),
        ("orders", "INVENTORY_RESERVED"),
        ("orders", "INVENTORY_RESERVE_FAILED"),
        ("STOCK_RESERVED", "ORDER_CONFIRMED"),
        ("order-events", "PAYMENT_SUCCEEDED"),
        ("order-events", "PAYMENT_FAILED"),
        ("inventory-events", "PAYMENT_FAILED"),
        ("inventory", "INVENTORY_RELEASE_REQUEST"),
        ("orders", "INVENTORY_RELEASED"),
        ("inventory-events", "ORDER_PAID"),
        ("notifications", "ORDER_PAID"),
        ("notifications", "ORDER_CANCELLED"),
        ("payment-events", "ORDER_CANCELLED"),
        ("notifications", "ORDER_REFUND_REQUEST"),
        ("payment-events", "PAYMENT_REFUND"),
        ("order-events", "PAYMENT_PENDING"),
        ("order-events", "PAYMENT_REFUNDED"),
        ("order-events", "PAYMENT_REFUND_FAILED"),
        ("notifications", "ORDER_PARTIALLY_REFUNDED"),
        ("notifications", "ORDER_REFUNDED"),
        ("inventory-events", "PRODUCT_CREATED"),
        ("inventory-events", "PRODUCT_DELETED"),
        ("fulfilment", "ORDER_PAID"),
        ("fulfilment", "ORDER_REFUNDED"),
        ("order-events", "SHIPMENT_REQUEST"),
        ("fulfilment", "SHIPMENT_APPROVED"),
        ("fulfilment", "SHIPMENT_REFUSED"),
        ("notifications", "ORDER_SHIPPED"),
        ("notifications", "ORDER_DELIVERED"),
    }


# --- the older form ---------------------------------------------------------------------------------------

FAILED = events.PaymentFailed(
    order_id="order_123",
    transaction_id="txn_failed",
    amount=Decimal("299.99"),
    currency="USD",
    reason="Mock gateway declined the payment",
)
OLDER = [
    (
        "inventory",
        older.RESERVE,
        events.ReserveStock(order_id="order_123", products=(Line("product_1", 2),), product_id="product_1"),
    ),
    (
        "inventory",
        older.RELEASE,
        events.ReleaseStock(order_id="order_123", reason="PAYMENT_FAILED", product_id="product_1"),
    ),
    ("orders", older.RESERVED, events.StockReserved(order_id="order_123", products=(Line("product_1", 2),))),
    (
        "orders",
        older.RESERVE_FAILED,
        events.StockUnavailable(
            order_id="order_123",
            missing=(),
            reason="Insufficient stock. Available: 0, Requested: 2",
            product_id="product_1",
        ),
    ),
    (
        "STOCK_RESERVED",
        older.STOCK_RESERVED,
        events.OrderConfirmed(
            order_id="order_123",
            total_price=Decimal("299.99"),
            currency="USD",
            products=(
                PricedLine("product_1", 2, Decimal("99.99")),
                PricedLine("product_2", 1, Decimal("100.01")),
            ),
        ),
    ),
    (
        "order-events",
        older.PAYMENT_SUCCEEDED,
        events.PaymentSucceeded(
            order_id="order_123", transaction_id="txn_abc", amount=Decimal("299.99"), currency="USD"
        ),
    ),
    ("order-events", older.PAYMENT_FAILED, FAILED),
    ("inventory-events", older.PAYMENT_FAILED, FAILED),
    (
        "inventory-events",
        older.PAYMENT_FAILED_COMPENSATION,
        msgspec.structs.replace(FAILED, compensation=True),
    ),
]


@pytest.mark.parametrize(("queue", "body", "event"), OLDER)
def test_an_older_message_is_understood_as_it_is_sent(queue: str, body: bytes, event: Event) -> None:
    assert wire.decode(queue, body) == event


def test_a_message_without_an_id_is_known_by_its_queue_and_its_bytes() -> None:
    expected = sha256(b"inventory\0" + older.RESERVE).hexdigest()
    assert wire.content_id("inventory", older.RESERVE) == expected
    assert wire.content_id("orders", older.RESERVE) != expected
    assert wire.content_id("inventory", older.RESERVE + b" ") != expected


# --- money ------------------------------------------------------------------------------------------------


def succeeded(amount: str) -> bytes:
    return (
        '{"type":"PAYMENT_SUCCEEDED","data":{"orderId":"o","transactionId":"t",'
        f'"amount":{amount},"currency":"USD"}}}}'
    ).encode()


@given(st.integers(0, 10**15), st.booleans())
def test_an_amount_is_read_exactly_whether_it_comes_as_a_number_or_a_string(
    minor: int,
    as_string: bool,  # noqa: FBT001  # drawn by Hypothesis
) -> None:
    text = str(Decimal(minor).scaleb(-2))
    event = wire.decode("order-events", succeeded(f'"{text}"' if as_string else text))
    assert isinstance(event, events.PaymentSucceeded)
    assert event.amount == Decimal(text)


def test_no_binary_float_comes_in_between() -> None:
    body = succeeded("0.1000000000000000055511151231257827")  # what 0.1 is as a float
    with pytest.raises(wire.InvalidMessage, match="at most 2 decimals"):
        wire.decode("order-events", body)


@pytest.mark.parametrize("amount", ['"NaN"', '"Infinity"', "-1", "0.001", "1e400", '"ten"', "null", "true"])
def test_an_amount_that_is_none_is_told_so(amount: str) -> None:
    with pytest.raises(wire.InvalidMessage):
        wire.decode("order-events", succeeded(amount))


# --- what is wrong with the rest --------------------------------------------------------------------------


def reserved_for(order_id: str) -> bytes:
    return wire.encode(events.StockReserved(order_id=order_id, products=(Line("p", 1),)))


def confirmed_for(order_id: str) -> bytes:
    """Without an envelope, as an older publisher sends it."""
    products = [{"productId": "p", "quantity": 1, "price": 10}]
    data = {"orderId": order_id, "totalPrice": 10, "currency": "USD", "products": products}
    return msgspec.json.encode(data)


def created(product_id: str) -> bytes:
    return wire.encode(events.ProductCreated(product_id=product_id))


INVALID = [
    ("orders", b"", "truncated"),
    ("orders", b"not json", "malformed"),
    ("orders", b"\xff\xfe", "malformed"),
    ("orders", b'{"type":"\xff","data":{}}', "not UTF-8"),
    ("orders", b'{"type":"\\ud800x","data":{}}', "malformed"),
    ("orders", b"[]", "Expected `object`"),
    ("orders", b"{}", "missing required field `type`"),
    ("orders", b'{"type":"INVENTORY_RESERVED"}', "missing required field `data`"),
    ("orders", b'{"type":7,"data":{}}', "Expected `str`"),
    ("orders", b'{"type":"ORDER_PAID","data":{}}', "'ORDER_PAID' is not for queue 'orders'"),
    ("nowhere", b'{"type":"ORDER_PAID","data":{}}', "not for queue 'nowhere'"),
    ("orders", b'{"type":"INVENTORY_RESERVED","data":{}}', "missing required field `orderId`"),
    ("orders", b'{"type":"INVENTORY_RESERVED","data":{"orderId":"o"}}', "missing required field `products`"),
    (
        "orders",
        b'{"type":"INVENTORY_RESERVED","data":{"orderId":"o","products":[]}}',
        "Expected `array` of length >= 1",
    ),
    (
        "orders",
        b'{"type":"INVENTORY_RESERVED","data":{"orderId":"o","products":[{"productId":"p","quantity":0}]}}',
        r"Expected `int` >= 1 - at `\$.products\[0\].quantity`",
    ),
    (
        "inventory",
        (
            b'{"type":"INVENTORY_RESERVE_REQUEST","data":{"orderId":"o","products":'
            b'[{"productId":"p","quantity":1},{"productId":"p","quantity":1}]}}'
        ),
        "a product is named twice",
    ),
    (
        "orders",
        (
            b'{"type":"INVENTORY_RESERVED","data":{"orderId":"o","products":[{"productId":"p","quantity":1}],'
            b'"missing":[{"productId":"p","requested":1,"available":0}]}}'
        ),
        "a product is named twice",
    ),
    (
        "inventory",
        (
            b'{"type":"INVENTORY_RESERVE_REQUEST","data":{"orderId":"o","fulfilment":"some","products":'
            b'[{"productId":"p","quantity":1}]}}'
        ),
        "Invalid enum value 'some'",
    ),
    ("inventory", b'{"type":"RESERVE","data":{"orderId":"o","productId":"p"}}', "`quantity`"),
    ("STOCK_RESERVED", b'{"orderId":"o"}', "`totalPrice`"),
    (
        "order-events",
        b'{"type":"PAYMENT_SUCCEEDED","data":{"orderId":"o","transactionId":"t","amount":1,"currency":"ABC"}}',
        "unknown currency 'ABC'",
    ),
    ("orders", b'{"type":"INVENTORY_RESERVED","data":' + b"[" * 100_000, "nested too deeply"),
    ("orders", b'{"type":"INVENTORY_RESERVED","data":{"orderId":"' + b"o" * 65 + b'"}}', "length <= 64"),
    ("orders", b'{"type":"INVENTORY_RESERVED","data":{"orderId":""}}', "length >= 1"),
    # As UTF-8 it would be 256 bytes: one more than an AMQP property holds.
    ("orders", reserved_for("🛒" * 64), r"Expected `str` matching regex .* at `\$.orderId`"),
    ("STOCK_RESERVED", confirmed_for("🛒" * 64), r"at `\$.orderId`"),
    ("inventory-events", created("🛒" * 64), r"at `\$.productId`"),
]


@pytest.mark.parametrize(("queue", "body", "reason"), INVALID, ids=range(len(INVALID)))
def test_a_message_that_does_not_fit_is_refused_with_what_is_wrong_with_it(
    queue: str, body: bytes, reason: str
) -> None:
    with pytest.raises(wire.InvalidMessage, match=reason):
        wire.decode(queue, body)


@given(st.text(min_size=1, max_size=64))
def test_an_id_that_is_accepted_fits_into_an_amqp_property(id_: str) -> None:
    try:
        body = reserved_for(id_)
    except UnicodeEncodeError:
        return  # half a character
    try:
        event = wire.decode("orders", body)
    except wire.InvalidMessage:
        assert len(id_.encode()) > 255
    else:
        assert len(event.subject.encode()) <= 255


def test_the_longest_ids_are_accepted() -> None:
    for id_ in ("🛒" * 63 + "é", "o" * 64, "🛒" * 63, "\n" * 64):
        assert wire.decode("orders", reserved_for(id_)).subject == id_


@pytest.mark.parametrize(
    ("queue", "body"),
    [("order-events", succeeded("1")), ("STOCK_RESERVED", confirmed_for("o"))],
    ids=["with an envelope", "without"],
)
def test_a_byte_order_mark_before_the_body_is_read_over(queue: str, body: bytes) -> None:
    marked = b"\xef\xbb\xbf" + body
    assert wire.decode(queue, marked) == wire.decode(queue, body)
    with pytest.raises(wire.InvalidMessage, match="malformed"):
        wire.decode(queue, b"\xef\xbb\xbf" + marked)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
QUEUES = st.sampled_from(sorted({queue for queue, _ in QUEUES_OF}))
TYPES = st.sampled_from(sorted({event.type for _, event in QUEUES_OF} | {"RESERVE", "RELEASE"}))


@given(
    QUEUES, st.binary() | st.builds(lambda t, d: msgspec.json.encode({"type": t, "data": d}), TYPES, ANY_JSON)
)
def test_whatever_comes_is_an_event_or_an_invalid_message(queue: str, body: bytes) -> None:
    try:
        event = wire.decode(queue, body)
    except wire.InvalidMessage:
        return
    assert event.subject


@pytest.mark.parametrize(("queue", "kind"), QUEUES_OF)
def test_fields_of_later_versions_are_left_alone(queue: str, kind: type[Event]) -> None:
    event = next(event for event, _ in PUBLISHED if type(event) is kind)
    body = msgspec.json.decode(wire.encode(event))
    body["data"]["later"] = body["later"] = {"anything": [1, 2]}
    assert wire.decode(queue, msgspec.json.encode(body)) == event
