"""What is stored before the gateway is asked."""

from datetime import timedelta

from msgspec import structs

from services.payment.domain import DOMAIN, intend
from services.payment.payment import Payment, PaymentState
from services.shared.contract.events import OrderCancelled
from tests.unit.memory import NOW, Memory
from tests.unit.payment.test_payment_table import CONFIRMED, ORDER, REFUND, payment

LATER = NOW + timedelta(hours=1)
memory = Memory(DOMAIN)


def test_a_confirmed_order_is_written_down_before_it_is_charged() -> None:
    assert intend(None, memory.message(CONFIRMED)) == Payment(
        id=ORDER,
        state=PaymentState.CAPTURING,
        amount=2000,
        currency="USD",
        customer_id="alice",
        intended_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )


def test_an_intent_that_is_stored_is_performed_again_as_it_is() -> None:
    stored = payment(PaymentState.CAPTURING, intended_at=NOW)
    assert intend(stored, memory.message(CONFIRMED, at=LATER)) is stored


def test_a_refund_is_written_down_before_it_is_made() -> None:
    stored = payment(PaymentState.CAPTURED, transaction_id="txn_1", intended_at=NOW)
    intent = intend(stored, memory.message(REFUND, at=LATER))
    assert intent == structs.replace(
        stored, state=PaymentState.REFUNDING, intended_at=LATER, updated_at=LATER
    )


def test_a_cancellation_does_not_make_the_charge_look_younger() -> None:
    stored = payment(PaymentState.CAPTURING, intended_at=NOW)
    cancelled = memory.message(OrderCancelled(order_id=ORDER, reason="", email=""), at=LATER)
    service = Memory(DOMAIN, stored)
    service.decide(cancelled)
    after = service.one(Payment, ORDER)
    assert (after.cancel_requested, after.intended_at, after.updated_at) == (True, NOW, LATER)


def test_keys_name_the_order_and_what_is_done() -> None:
    stored = payment(PaymentState.CAPTURED)
    assert (stored.capture_key, stored.refund_key) == ("order_1:capture", "order_1:refund")
