"""The words that the table of payments is written in: when a row holds, what it records and publishes.

Those about refunds are in `refunds.py`.
"""

from decimal import Decimal
from typing import TypeAlias

from msgspec import structs

from services.payment.gateway import Captured, Declined
from services.payment.payment import AskAgain, Payment, RefundOutcome
from services.shared.contract import money
from services.shared.contract.events import (
    LONGEST_TEXT,
    Event,
    OrderCancelled,
    OrderConfirmed,
    PaymentFailed,
    PaymentSucceeded,
    RefundPayment,
)

# What came: an event, or the gateway's answer. That to a refund says which of them it is about.
Trigger: TypeAlias = (
    OrderConfirmed | OrderCancelled | RefundPayment | AskAgain | Captured | Declined | RefundOutcome
)

# --- guards -----------------------------------------------------------------------------------------------


def same_charge(payment: Payment, event: OrderConfirmed) -> bool:
    asked = money.to_minor(event.total_price, event.currency), event.currency
    return (payment.amount, payment.currency) == asked


def same_transaction(payment: Payment, answer: Captured) -> bool:
    return payment.transaction_id == answer.transaction_id


# --- what is recorded -------------------------------------------------------------------------------------


def asked(payment: Payment, event: OrderConfirmed) -> Payment:
    return structs.replace(
        payment,
        amount=money.to_minor(event.total_price, event.currency),
        currency=event.currency,
        customer_id=event.customer_id,
    )


def cancelled(payment: Payment, _: OrderCancelled) -> Payment:
    return structs.replace(payment, cancel_requested=True)


def captured(payment: Payment, answer: Captured) -> Payment:
    return structs.replace(payment, transaction_id=answer.transaction_id)


def declined(payment: Payment, answer: Declined) -> Payment:
    """The gateway may say more than an event can."""
    reason = answer.reason[:LONGEST_TEXT]
    return structs.replace(payment, transaction_id=answer.transaction_id, reason=reason)


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


def _amount(payment: Payment) -> Decimal:
    return money.to_decimal(payment.amount, payment.currency)
