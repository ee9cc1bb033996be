"""`sagactl find`: why something was found."""

from datetime import UTC, datetime

import pytest

from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.finding import hit_of, hit_of_discarded, of_letters
from services.shared.contract.audit import Actor, Kind

ORDER = {
    "_id": "order-1",
    "status": "PAID",
    "email": "ann@example.com",
    "customerId": "ann",
    "history": [{"eventId": "first"}, {"eventId": "second", "traceId": "ab" * 16}],
    "capture": {"transactionId": "txn-1"},
    "lines": [{"productId": "lamp"}],
}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("order-1", "the order itself"),
        ("ann@example.com", "its customer's e-mail address"),
        ("Ann@Example.com", "its customer's e-mail address"),
        ("ann", "its customer"),
        ("second", "a message that it handled"),
        ("ab" * 16, "a trace of it"),
        ("txn-1", "its payment"),
        ("lamp", "a product of it"),
    ],
)
def test_an_order_is_found_by_whatever_it_holds(text: str, why: str) -> None:
    hit = hit_of(ORDER, text)
    assert (hit.what, hit.why, hit.command) == ("order PAID", why, "sagactl explain order-1")


def test_an_order_without_a_payment_is_found_by_its_product() -> None:
    assert hit_of(ORDER | {"capture": None}, "lamp").why == "a product of it"


def test_a_dead_letter_is_found_by_its_id_its_order_and_its_trace() -> None:
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    letter = DeadLetter("orders", "m-1", "order-1", "T", "failed", "no such column", 4, "", trace, b"")
    for text in ("m-1", "order-1", "ab" * 16):
        (hit,) = of_letters([letter], text)
        assert hit.command == "sagactl letters show orders m-1"
    assert list(of_letters([letter], "order-2")) == []


def test_a_discarded_letter_is_found_with_who_when_and_why() -> None:
    letter = Discarded(
        id="place",
        queue="orders",
        message="m-1",
        type="T",
        correlation_id="order-1",
        timestamp=None,
        headers={},
        body=b"",
        by=Actor("ann", Kind.TOOL),
        reason="by mistake",
        at=datetime(2026, 11, 27, 12, tzinfo=UTC),
    )
    hit = hit_of_discarded(letter)
    assert (hit.what, hit.id) == ("discarded letter of orders", "m-1")
    assert hit.why == "discarded by sagactl ann at 2026-11-27 12:00:00 UTC: by mistake"
    assert hit.command == "sagactl letters show orders m-1 --discarded"
