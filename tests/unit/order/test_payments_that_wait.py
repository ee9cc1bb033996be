"""Orders whose payment is decided on later: how long their stock is held, and what their customer sees."""

from datetime import datetime, timedelta

import pytest
from msgspec import structs

from services.order.bodies import order_body
from services.order.domain import Compensated, Compensation, Terms, domain
from services.order.model import Order, PendingPayment, Status
from services.shared.contract.events import NextAction, PaymentPending
from services.shared.http.auth import User
from tests.unit.memory import Memory
from tests.unit.order import examples as eg

HALF_AN_HOUR = timedelta(minutes=30)
SOON = eg.AT + timedelta(minutes=10)


def shop(order: Order = eg.CONFIRMED) -> Memory:
    return Memory(domain(Terms()), order)


def after(memory: Memory) -> Order:
    return memory.one(Order, eg.ORDER_ID)


def expiring(at: datetime, url: str = "https://bank.example/agree") -> PaymentPending:
    return structs.replace(eg.TO_BE_AGREED, next_action=NextAction("redirect", url, at))


def test_stock_is_held_from_the_first_news_on_and_never_longer() -> None:
    memory = shop()
    memory.handle(eg.PAYMENT_PENDING, at=eg.AT)
    assert after(memory).reserved_until == eg.AT + HALF_AN_HOUR
    memory.handle(eg.TO_BE_AGREED, at=SOON)
    assert after(memory).reserved_until == eg.AT + HALF_AN_HOUR
    assert after(memory).pending_payment == PendingPayment("txn_1", eg.AGREE)


@pytest.mark.parametrize("first", [(), (eg.PAYMENT_PENDING,)])
def test_a_customer_who_has_less_time_has_the_stock_held_for_as_long(
    first: tuple[PaymentPending, ...],
) -> None:
    memory = shop()
    for each in first:
        memory.handle(each, at=eg.AT)
    memory.handle(expiring(SOON), at=eg.AT)
    assert after(memory).reserved_until == SOON
    memory.handle(expiring(SOON + HALF_AN_HOUR, "https://bank.example/again"), at=eg.AT)
    assert after(memory).reserved_until == SOON


@pytest.mark.parametrize(
    ("waited", "outcome"),
    [
        (HALF_AN_HOUR + timedelta(seconds=299), Compensation.NOT_APPLICABLE),
        (HALF_AN_HOUR + timedelta(seconds=300), Compensation.COMPENSATED),
    ],
)
def test_the_timeout_counts_from_then_on(waited: timedelta, outcome: Compensation) -> None:
    memory = shop()
    memory.handle(eg.PAYMENT_PENDING, at=eg.AT)
    decision = memory.handle(eg.time_out(older_than=300), at=eg.AT + waited)
    assert isinstance(decision.reply, Compensated)
    assert decision.reply.outcome is outcome


def test_it_can_be_cancelled_at_any_time() -> None:
    memory = shop()
    memory.handle(eg.PAYMENT_PENDING, at=eg.AT)
    memory.handle(eg.CANCEL, at=eg.AT)
    assert after(memory).status is Status.CANCELLED


@pytest.mark.parametrize("end", [eg.CAPTURED, eg.DECLINED, eg.CANCEL, eg.time_out()])
def test_once_it_is_decided_nobody_is_sent_anywhere_any_more(end: object) -> None:
    memory = shop()
    memory.handle(eg.TO_BE_AGREED, at=eg.AT)
    memory.handle(end, at=eg.AT + timedelta(hours=1))
    assert (after(memory).pending_payment, after(memory).reserved_until) == (None, None)


def test_where_to_agree_is_for_the_customers_eyes_alone() -> None:
    memory = shop()
    memory.handle(expiring(SOON), at=eg.AT)
    owner, staff = User(id=eg.CUSTOMER, email="", roles=()), User(id="eve", email="", roles=("admin",))
    seen = order_body(after(memory), owner)
    assert seen["nextAction"] == {
        "type": "redirect",
        "url": "https://bank.example/agree",
        "expiresAt": SOON,
    }
    hidden = order_body(after(memory), staff)
    assert (hidden["nextAction"], hidden["reservedUntil"]) == (None, SOON)
