"""The words that the table of payments is written in: when a row holds, what it records and publishes.

Those about refunds are in `refunds.py`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import structs

from services.payment.gateway import About, Declined, Heard, Pending
from services.payment.payment import (
    FREE,
    AskAgain,
    ChargeOutcome,
    LookAgain,
    Payment,
    PaymentState,
    RefundOutcome,
)
from services.shared.contract import money
from services.shared.contract.decisions import RIGHT_AWAY
from services.shared.contract.events import (
    LONGEST_TEXT,
    Event,
    OrderCancelled,
    OrderConfirmed,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    RefundPayment,
)

# What came: an event, what the clock brings up, what the gateway says by itself, or what it answers.
Trigger: TypeAlias = (
    OrderConfirmed
    | OrderCancelled
    | RefundPayment
    | LookAgain
    | AskAgain
    | Heard
    | ChargeOutcome
    | RefundOutcome
)
FIRST_PAUSE: Final = timedelta(seconds=5)
PAUSES_GROW: Final = 3
# Somebody waits for an answer; nobody waits for what is called off.
LONGEST_PAUSE: Final = timedelta(minutes=5)
LONGEST_PAUSE_OF_VOIDS: Final = timedelta(hours=1)
# Of a charge that ended at the gateway without our asking for that.
LAPSED: Final = "The payment was called off at the gateway, or has lapsed"


def pause(state: PaymentState, times: int) -> timedelta:
    """After the gateway has answered so many times before that it does not know yet."""
    longest = LONGEST_PAUSE_OF_VOIDS if state is PaymentState.VOIDING else LONGEST_PAUSE
    growth: int = PAUSES_GROW ** min(times, 9)
    return min(FIRST_PAUSE * growth, longest)


# --- guards -----------------------------------------------------------------------------------------------


def same_charge(payment: Payment, event: OrderConfirmed) -> bool:
    asked = money.to_minor(event.total_price, event.currency), event.currency
    return (payment.amount, payment.currency) == asked


def same_transaction(payment: Payment, outcome: ChargeOutcome) -> bool:
    return payment.transaction_id == outcome.result.transaction_id


def costs_nothing(_: Payment, event: OrderConfirmed) -> bool:
    return event.total_price == 0


def is_asked_next(payment: Payment, ask: LookAgain) -> bool:
    """It was not answered meanwhile."""
    return ask.number == payment.asked


def is_of_an_older_release(payment: Payment, event: OrderConfirmed) -> bool:
    """Which took note of the cancellation, and left it to the confirmation to ask the gateway."""
    return payment.state is not payment.stage and same_charge(payment, event)


def was_never_asked(payment: Payment, _: ChargeOutcome) -> bool:
    """The order was cancelled before it was to be charged: it is not known what."""
    return not payment.currency


def is_for_the_order(_: Payment, outcome: ChargeOutcome) -> bool:
    """Which waits for an answer to this very message."""
    return isinstance(outcome.event, OrderConfirmed)


def is_for_the_order_and_the_same(payment: Payment, outcome: ChargeOutcome) -> bool:
    return is_for_the_order(payment, outcome) and same_transaction(payment, outcome)


def asks_for_something_new(payment: Payment, outcome: ChargeOutcome) -> bool:
    """Of the customer."""
    result = outcome.result
    assert isinstance(result, Pending)  # noqa: S101  # of the table: by the kind of its cell
    return result.next_action != payment.next_action


def is_a_dispute(_: Payment, heard: Heard) -> bool:
    return heard.about is About.DISPUTE


def is_about_a_charge(_: Payment, heard: Heard) -> bool:
    return heard.about is About.CHARGE


# --- what is recorded -------------------------------------------------------------------------------------


def asked(payment: Payment, event: OrderConfirmed) -> Payment:
    return structs.replace(
        payment,
        amount=money.to_minor(event.total_price, event.currency),
        currency=event.currency,
        customer_id=event.customer_id,
    )


def taken_for_nothing(payment: Payment, event: OrderConfirmed) -> Payment:
    """Gateways refuse to be asked for it."""
    return structs.replace(asked(payment, event), transaction_id=FREE)


def called_off(payment: Payment, _: OrderCancelled | OrderConfirmed) -> Payment:
    """The message brings it up again for as long as the gateway does not answer."""
    return structs.replace(payment, ask_at=None, pauses=0)


def pending(payment: Payment, outcome: ChargeOutcome) -> Payment:
    result = outcome.result
    assert isinstance(result, Pending)  # noqa: S101  # of the table: by the kind of its cell
    known = structs.replace(payment, transaction_id=result.transaction_id, next_action=result.next_action)
    return _asked_later(known, outcome, PaymentState.PENDING)


def authorized(payment: Payment, outcome: ChargeOutcome) -> Payment:
    """It is captured by whoever looks next: a cancellation may come first."""
    return structs.replace(
        payment,
        transaction_id=outcome.result.transaction_id,
        next_action=None,
        ask_at=outcome.at,
        asked=payment.asked + 1,
        pauses=0,
    )


def asked_later(payment: Payment, outcome: ChargeOutcome) -> Payment:
    """It is as it was."""
    return _asked_later(payment, outcome, payment.stage)


def _asked_later(payment: Payment, outcome: ChargeOutcome, state: PaymentState) -> Payment:
    times = payment.pauses if payment.stage is state else 0
    return structs.replace(
        payment, ask_at=outcome.at + pause(state, times), asked=payment.asked + 1, pauses=times + 1
    )


def asked_right_away(payment: Payment, _: Heard) -> Payment:
    return structs.replace(payment, ask_at=RIGHT_AWAY, asked=payment.asked + 1)


def over(payment: Payment, _: ChargeOutcome) -> Payment:
    """Nothing is asked any more."""
    return structs.replace(payment, ask_at=None, next_action=None, pauses=0)


def captured(payment: Payment, outcome: ChargeOutcome) -> Payment:
    transaction_id = outcome.result.transaction_id
    return structs.replace(over(payment, outcome), transaction_id=transaction_id, reason="")


def captured_after_all(payment: Payment, outcome: ChargeOutcome) -> Payment:
    """Though it was said to be over: the money is there."""
    return structs.replace(captured(payment, outcome), state=PaymentState.CAPTURED)


def declined(payment: Payment, outcome: ChargeOutcome) -> Payment:
    """The gateway may say more than an event can."""
    result = outcome.result
    reason = result.reason if isinstance(result, Declined) else LAPSED
    return structs.replace(voided(payment, outcome), reason=reason[:LONGEST_TEXT])


def voided(payment: Payment, outcome: ChargeOutcome) -> Payment:
    """It may not have been asked for anything."""
    transaction_id = outcome.result.transaction_id or payment.transaction_id
    return structs.replace(over(payment, outcome), transaction_id=transaction_id)


# --- what is published ------------------------------------------------------------------------------------


def payment_succeeded(payment: Payment, _: Trigger) -> Event:
    return PaymentSucceeded(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        amount=_amount(payment),
        currency=payment.currency,
    )


def payment_failed(payment: Payment, _: Trigger) -> Event:
    return PaymentFailed(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        amount=_amount(payment),
        currency=payment.currency,
        reason=payment.reason,
    )


def payment_pending(payment: Payment, _: Trigger) -> Event:
    return PaymentPending(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        amount=_amount(payment),
        currency=payment.currency,
        next_action=payment.next_action,
    )


def _amount(payment: Payment) -> Decimal:
    return money.to_decimal(payment.amount, payment.currency)
