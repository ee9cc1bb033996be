"""What is sent is a CloudEvent, signed as Standard Webhooks say; others' libraries take it for one."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.notification.cloudevents import (
    MEDIA_TYPE,
    TYPES,
    EventType,
    Happened,
    data_of,
    sequence_of,
    written,
)
from services.notification.deliveries import id_of
from services.notification.signing import SECRET_BYTES, headers, shown
from services.shared.contract.events import CONSUMES, OrderCancelled, OrderPaid, SoldLine

AT = datetime(2026, 11, 26, 9, 30, 0, 120_000, UTC)
PAID = OrderPaid(
    order_id="o1",
    total_price=Decimal("299.90"),
    currency="USD",
    products=(SoldLine("p1", 1, "Lamp", Decimal("299.90")),),
    email="ada@shop.example",
    locale="de-AT",
    sequence=3,
)
SECRET, OTHER = bytes(range(SECRET_BYTES)), bytes(SECRET_BYTES)


def read(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found


def paid(base: str = "https://shop.example/api/") -> bytes:
    return written(Happened("e1", EventType.PAID, "o1", AT, sequence_of(PAID), data_of(PAID)), base)


def test_an_event_is_told_with_all_that_it_says_but_the_customers_address() -> None:
    assert read(paid()) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "https://shop.example/api/orders/o1",
        "type": "sagashop.order.paid.v1",
        "subject": "o1",
        "time": "2026-11-26T09:30:00.120Z",
        "datacontenttype": "application/json",
        "sequence": "0000000003",
        "data": {
            "orderId": "o1",
            "totalPrice": "299.90",
            "currency": "USD",
            "products": [{"productId": "p1", "quantity": 1, "name": "Lamp", "price": "299.90"}],
            "locale": "de-AT",
        },
    }


def test_what_an_older_publisher_sent_has_no_sequence() -> None:
    event = OrderCancelled(order_id="o1", reason="OUT_OF_STOCK", email="ada@shop.example")
    happened = Happened("e1", EventType.CANCELLED, "o1", AT, sequence_of(event), data_of(event))
    body = read(written(happened, "/api"))
    assert "sequence" not in body
    assert (body["source"], body["data"]) == ("/api/orders/o1", {"orderId": "o1", "reason": "OUT_OF_STOCK"})


def test_every_event_that_customers_are_told_of_has_a_name_outside() -> None:
    assert set(TYPES) == {event.type for event in CONSUMES["notification"]["notifications"]}
    assert set(TYPES.values()) == set(EventType)


# Of ids of orders: what CloudEvents allow in a text.
ids = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=64)


@given(ids, st.none() | st.integers(1, 10**9), st.datetimes(timezones=st.just(UTC)))
def test_the_librarys_reader_finds_a_valid_event(order_id: str, sequence: int | None, at: datetime) -> None:
    body = written(Happened("e1", EventType.PAID, order_id, at, sequence, {"a": None}), "/api")
    found = from_structured_event(HTTPMessage({"content-type": MEDIA_TYPE}, body))
    assert (found.get_id(), found.get_type(), found.get_subject()) == ("e1", EventType.PAID, order_id)
    assert found.get_source().isascii()
    assert found.get_time() == at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert found.get_data() == {"a": None}


@given(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)))
def test_sequences_are_compared_as_text(numbers: tuple[int, int]) -> None:
    first, second = (
        read(written(Happened("e", EventType.PAID, "o1", AT, number, {}), "/api"))["sequence"]
        for number in numbers
    )
    assert (first < second) == (numbers[0] < numbers[1])


# --- signatures -------------------------------------------------------------------------------------------


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), st.text(), ids)
def test_the_librarys_receiver_believes_us(secret: bytes, text: str, event_id: str) -> None:
    body = json.dumps(text).encode()
    sent = headers(id_of(event_id, "endpoint"), datetime.now(UTC), body, [secret])
    assert Webhook(shown(secret)).verify(body, dict(sent)) == text


def test_while_a_secret_is_rotated_both_are_believed() -> None:
    sent = dict(headers("id", datetime.now(UTC), paid(), [SECRET, OTHER]))
    for secret in (SECRET, OTHER):
        Webhook(shown(secret)).verify(paid(), sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(b"x" * SECRET_BYTES)).verify(paid(), sent)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_nothing_of_it_can_be_changed(changed: str) -> None:
    sent = dict(headers("id", datetime.now(UTC), paid(), [SECRET]))
    body = paid()
    if changed == "body":
        body = body.replace(b"299.90", b"299.91")
    elif changed == "webhook-timestamp":
        sent[changed] = str(int(sent[changed]) + 1)
    else:
        sent[changed] = "other"
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(SECRET)).verify(body, sent)


def test_an_old_call_is_not_believed_again() -> None:
    sent = headers("id", datetime.now(UTC) - timedelta(minutes=6), paid(), [SECRET])
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(shown(SECRET)).verify(paid(), dict(sent))


@given(st.text(), st.text())
def test_an_id_is_a_header_and_ends_at_no_full_stop_whatever_the_events_is(one: str, other: str) -> None:
    found = id_of(one, "endpoint")
    assert found.isascii()
    assert found.isprintable()
    assert "." not in found
    assert (found == id_of(other, "endpoint")) == (one == other)
    assert found != id_of(one, "endpoint2")
