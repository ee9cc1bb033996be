"""Dead letters of one cause are told together, however their reasons differ in what is said of one alone."""

from datetime import datetime
from decimal import Decimal

import pytest

from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.causes import alike, order_in
from sagactl.oncall.jobs.working import as_chosen
from sagactl.oncall.letters import Group, LetterPreview
from services.shared.contract import wire
from services.shared.contract.events import PaymentSucceeded, ProductCreated

NOON, LATER = "2026-11-26T12:00:00+00:00", "2026-11-26T13:00:00+00:00"


def letter(id_: str, reason: str, at: str = NOON, type_: str = PaymentSucceeded.type) -> DeadLetter:
    return DeadLetter("orders", id_, "order-1", type_, "failed", reason, 4, at, "", b"{}")


def test_reasons_that_differ_by_an_id_or_a_number_are_one_cause_and_the_largest_is_first() -> None:
    found = alike(
        [
            letter("a", "no column"),
            letter("b", "row 7 of 019d2b6e-7c1a-7c64-9b8e-5b1f0f6f7b55", LATER),
            letter("c", "row 8 of 019d2b6e-7c1a-7c64-9b8e-5b1f0f6f7b56"),
        ]
    )
    rows, column = map(Group.of, found)
    assert (rows.reason, rows.letters, column.letters) == ("row … of …", 2, 1)
    assert (rows.first, rows.last) == (datetime.fromisoformat(NOON), datetime.fromisoformat(LATER))


def test_no_address_of_a_customer_is_told() -> None:
    (found,) = alike([letter("a", "no mail to ada@shop.example")])
    assert "ada@" not in found.cause.reason


def test_where_no_header_tells_since_when_nothing_is_made_up() -> None:
    (found,) = alike([letter("a", "why", "yesterday")])
    assert found.span == (None, None)
    assert alike([]) == []


@pytest.mark.parametrize(
    ("type_", "order"), [(PaymentSucceeded.type, "order-1"), (ProductCreated.type, ""), ("", "")]
)
def test_a_letter_is_about_an_order_by_its_type(type_: str, order: str) -> None:
    one = letter("a", "why", type_=type_)
    assert order_in(one) == order
    assert LetterPreview.of(one, None).order == order


def test_older_publishers_say_in_the_body_alone_which_order_it_is_about() -> None:
    paid = PaymentSucceeded(order_id="order-2", transaction_id="t", amount=Decimal("9.99"), currency="EUR")
    told = letter("a", "why", type_="")._replace(queue="order-events", subject="", body=wire.encode(paid))
    assert order_in(told) == "order-2"
    assert order_in(told._replace(body=b"nonsense")) == ""
    assert order_in(as_chosen(told)) == ""


def test_what_is_about_no_order_is_said_so() -> None:
    told = LetterPreview.of(letter("a", "why", type_=ProductCreated.type), None)
    assert (told.outcome, "no order" in told.says) == (None, True)
