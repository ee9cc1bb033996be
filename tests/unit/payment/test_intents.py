"""What is stored before the gateway is asked."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from services.payment.domain import DOMAIN, intend
from services.payment.payment import Payment, PaymentRefund, PaymentState
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
        stored,
        state=PaymentState.REFUNDING,
        refunds=(PaymentRefund(amount=2000),),
        intended_at=LATER,
        updated_at=LATER,
    )


def test_a_second_refund_is_written_down_beside_the_first_which_stays_the_older() -> None:
    stored = payment(
        PaymentState.REFUNDING,
        transaction_id="txn_1",
        intended_at=NOW,
        refunds=(PaymentRefund(request_id="first", amount=500),),
    )
    more = structs.replace(REFUND, refund_request_id="second", amount=Decimal("15.00"))
    intent = intend(stored, memory.message(more, at=LATER))
    assert intent is not None
    assert [(each.request_id, each.amount) for each in intent.refunds] == [("first", 500), ("second", 1500)]
    assert (intent.intended_at, intent.left) == (NOW, 0)


CANCELLED = OrderCancelled(order_id=ORDER, reason="", email="")


@pytest.mark.parametrize("state", [PaymentState.CAPTURING, PaymentState.PENDING, PaymentState.AUTHORIZED])
def test_a_cancellation_is_written_down_before_the_charge_is_called_off(state: PaymentState) -> None:
    stored = payment(state, intended_at=NOW, ask_at=NOW, pauses=3)
    intent = intend(stored, memory.message(CANCELLED, at=LATER))
    assert intent is not None
    assert (intent.state, intent.intended_at) == (PaymentState.VOIDING, LATER)
    # The message brings it up again.
    assert (intent.ask_at, intent.pauses) == (None, 0)
    assert intend(intent, memory.message(CANCELLED, at=LATER)) is intent


def test_an_older_release_only_took_note_of_a_cancellation_so_the_confirmation_calls_it_off() -> None:
    stored = payment(PaymentState.CAPTURING, cancel_requested=True)
    assert stored.stage is PaymentState.VOIDING
    intent = intend(stored, memory.message(CONFIRMED))
    assert intent is not None
    assert intent.state is PaymentState.VOIDING
    # Once that is written down, the cancellation does.
    assert intend(intent, memory.message(CONFIRMED)) is None


def test_keys_name_the_order_and_what_is_done() -> None:
    stored = payment(PaymentState.CAPTURED)
    assert stored.capture_key == "order_1:capture"
    part = PaymentRefund(request_id="some", amount=500)
    assert stored.refund_key(part) == "order_1:refund:some"
    # Refused before, it is asked for under another key: the gateway says the same under the same.
    assert stored.refund_key(structs.replace(part, attempt=2)) == "order_1:refund:some:2"


def test_all_that_was_captured_goes_back_under_one_key_whoever_asks_for_it() -> None:
    stored = payment(PaymentState.CAPTURED)
    for whole in (PaymentRefund(amount=2000), PaymentRefund(request_id="all", amount=2000)):
        assert stored.refund_key(whole) == "order_1:refund"


def test_refunds_of_what_cost_nothing_have_keys_of_their_own() -> None:
    stored = payment(PaymentState.CAPTURED, amount=0)
    assert stored.refund_key(PaymentRefund(request_id="some", amount=0)) == "order_1:refund:some"
