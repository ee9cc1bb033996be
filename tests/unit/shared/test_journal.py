"""What the logs say of a committed step."""

import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.payment.payment import Payment, PaymentState
from services.shared.contract.decisions import Message, Verdict
from services.shared.contract.events import NextAction, PaymentFailed, ProductDeleted
from services.shared.contract.table import Contradiction
from services.shared.engine import journal
from services.shared.engine.journal import Step, line_of
from services.shared.logs import Lines

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
FAILED = Message(
    id="e-1",
    source="order-events",
    body=PaymentFailed(
        order_id="o-1", transaction_id="t", amount=Decimal(1), currency="EUR", reason="declined"
    ),
    at=AT,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate="sagashop=r-1",
)
CAPTURING = Payment(
    id="o-1", state=PaymentState.CAPTURING, amount=3998, currency="EUR", created_at=AT, updated_at=AT
)
DECLINED = structs.replace(CAPTURING, state=PaymentState.DECLINED, reason="card declined")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, line["message"])
        for record in caplog.records
        if isinstance(record.msg, Lines)
        for line in record.msg.lines
    ]


def test_a_step_says_what_came_what_became_of_it_and_why() -> None:
    assert line_of(Step(FAILED, CAPTURING, DECLINED)) == {
        "message": "CAPTURING -> DECLINED on PAYMENT_FAILED: card declined",
        "order_id": "o-1",
        "event": "PAYMENT_FAILED",
        "from": "CAPTURING",
        "to": "DECLINED",
        "reason": "card declined",
        "event_id": "e-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "request_id": "r-1",
    }


def test_what_begins_comes_from_nowhere() -> None:
    line = line_of(Step(FAILED, None, CAPTURING))
    assert line is not None
    assert (line["from"], line["message"]) == (None, "CAPTURING on PAYMENT_FAILED: 39.98 EUR")


def test_a_step_that_stays_says_what_is_new() -> None:
    to_be_agreed = structs.replace(CAPTURING, next_action=NextAction("redirect", "https://bank.example"))
    line = line_of(Step(FAILED, CAPTURING, to_be_agreed))
    assert line is not None
    assert line["message"] == "still CAPTURING on PAYMENT_FAILED: the customer has to act first"


def test_a_commit_whose_answer_was_lost_is_told_of_when_it_is_found() -> None:
    line = line_of(Step(FAILED, None, DECLINED, answer_lost=True))
    assert line is not None
    assert (line["to"], line["reason"]) == ("DECLINED", "committed, though the database's answer was lost")


def test_no_address_of_a_customer_gets_into_the_logs() -> None:
    sent = Notification(
        id="e-1", kind="ORDER_PAID", order_id="o-1", recipient="ada@example.com", subject="Order o-1", at=AT
    )
    assert "ada" not in str(line_of(Step(FAILED, None, sent)))


def test_what_is_about_a_product_is_no_part_of_an_orders_life() -> None:
    deleted = Message(id="e-2", source="inventory-events", body=ProductDeleted(product_id="p"), at=AT)
    assert line_of(Step(deleted, None, Stock(id="p", created=True))) is None


def test_a_contradiction_is_a_warning_and_all_else_in_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    odd = structs.replace(DECLINED, attention=(Contradiction(AT, "PAYMENT_FAILED", "e-1", "declined twice"),))
    journal.write([Step(FAILED, CAPTURING, DECLINED), Step(FAILED, DECLINED, odd, Verdict.ATTENTION)])
    assert told(caplog) == [
        ("INFO", "CAPTURING -> DECLINED on PAYMENT_FAILED: card declined"),
        ("WARNING", "still DECLINED on PAYMENT_FAILED: contradicts what happened: declined twice"),
    ]


def test_above_its_level_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    journal.write([Step(FAILED, CAPTURING, DECLINED)])
    assert told(caplog) == []
