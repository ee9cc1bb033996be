"""The rules of payment, as one table: what becomes of a payment with every message and every answer of the
gateway. Where the gateway is to be asked, the intent is stored first, and decided on is its answer.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import structs

from services.payment.gateway import Captured, Declined, Refunded
from services.payment.payment import ChargeOutcome, Payment, PaymentState, RefundOutcome
from services.shared.contract import money
from services.shared.contract.decisions import Decision, Domain, Loaded, Message, Premature, Ref, Verdict
from services.shared.contract.events import (
    Event,
    OrderCancelled,
    OrderConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentSucceeded,
    RefundPayment,
)

NONE: Final = None
CAPTURING, CAPTURED, DECLINED = PaymentState.CAPTURING, PaymentState.CAPTURED, PaymentState.DECLINED
VOIDED, REFUNDING, REFUNDED = PaymentState.VOIDED, PaymentState.REFUNDING, PaymentState.REFUNDED

# What came: an event, or the outcome of a charge or a refund.
Trigger: TypeAlias = Any

# --- guards ---------------------------------------------------------------------------------------------


def always(_: Payment, __: Trigger) -> bool:
    return True


def same_charge(payment: Payment, event: OrderConfirmed) -> bool:
    return (payment.amount, payment.currency) == (
        money.to_minor(event.total_price, event.currency),
        event.currency,
    )


def all_of_it(payment: Payment, event: RefundPayment) -> bool:
    return (payment.amount, payment.currency) == (
        money.to_minor(event.amount, event.currency),
        event.currency,
    )


def same_transaction(payment: Payment, outcome: ChargeOutcome) -> bool:
    return payment.transaction_id == outcome.result.transaction_id


def same_refund(payment: Payment, outcome: RefundOutcome) -> bool:
    return payment.refund_id == outcome.result.refund_id


def not_cancelled_yet(payment: Payment, _: Trigger) -> bool:
    return not payment.cancel_requested


# --- what is recorded -----------------------------------------------------------------------------------


def unchanged(payment: Payment, _: Trigger) -> Payment:
    return payment


def asked(payment: Payment, event: OrderConfirmed) -> Payment:
    return structs.replace(
        payment,
        amount=money.to_minor(event.total_price, event.currency),
        currency=event.currency,
        customer_id=event.customer_id,
    )


def cancelled(payment: Payment, _: OrderCancelled) -> Payment:
    return structs.replace(payment, cancel_requested=True)


def captured(payment: Payment, outcome: ChargeOutcome) -> Payment:
    return structs.replace(payment, transaction_id=outcome.result.transaction_id)


def declined(payment: Payment, outcome: ChargeOutcome) -> Payment:
    result = outcome.result
    return structs.replace(
        payment,
        transaction_id=result.transaction_id,
        reason=result.reason if isinstance(result, Declined) else "",
    )


def refunded(payment: Payment, outcome: RefundOutcome) -> Payment:
    return structs.replace(payment, refund_id=outcome.result.refund_id)


# --- what is published ----------------------------------------------------------------------------------


def _amount(payment: Payment) -> Decimal:
    return money.to_decimal(payment.amount, payment.currency)


def payment_succeeded(payment: Payment) -> Event:
    return PaymentSucceeded(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        amount=_amount(payment),
        currency=payment.currency,
    )


def payment_failed(payment: Payment) -> Event:
    return PaymentFailed(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        amount=_amount(payment),
        currency=payment.currency,
        reason=payment.reason,
    )


def payment_refunded(payment: Payment) -> Event:
    return PaymentRefunded(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        refund_id=payment.refund_id,
        amount=_amount(payment),
        currency=payment.currency,
    )


# --- the table ------------------------------------------------------------------------------------------

Guard: TypeAlias = Callable[[Payment, Any], bool]
Record: TypeAlias = Callable[[Payment, Any], Payment]
Emit: TypeAlias = Callable[[Payment], Event]


class Intent(NamedTuple):
    """The gateway is to be asked, once this is stored; if it is already, again with the same key."""

    to: PaymentState
    record: Record = unchanged
    when: Guard = always


class Step(NamedTuple):
    """The payment moves on (or stays, having learnt something), and says so."""

    to: PaymentState
    record: Record = unchanged
    emit: Emit | None = None
    when: Guard = always


class Duplicate(NamedTuple):
    """Known already: nothing changes, and the answer is what it was."""

    emit: Emit | None = None
    when: Guard = always


class TooEarly(NamedTuple):
    """Ahead of its cause: to be tried again."""

    reason: str
    when: Guard = always


class Attention(NamedTuple):
    """Contradicts what happened: recorded on the payment, for a human to look at."""

    reason: str
    when: Guard = always


Row: TypeAlias = Intent | Step | Duplicate | TooEarly | Attention

_ANOTHER_CHARGE: Final = Attention("a charge of another amount was asked for")
_ANOTHER_REFUND: Final = Attention("a refund of another amount was asked for")
_NEVER_CAPTURED: Final = Attention("a refund was asked for, but nothing was captured")
_DECLINED_LATE: Final = Attention("declined after it was captured")
_CAPTURED_TWICE: Final = Attention("captured a second time")
_REFUNDED_UNASKED: Final = Attention("refunded without being asked")
_NOT_ASKED: Final = TooEarly("the gateway answered what is not known to have been asked")

# The rows of a cell are tried in turn; the last one always holds.
PAYMENTS: Final[dict[tuple[PaymentState | None, type], tuple[Row, ...]]] = {
    (NONE, OrderConfirmed): (Intent(CAPTURING, asked),),
    (NONE, OrderCancelled): (Step(VOIDED),),
    (NONE, RefundPayment): (TooEarly("a refund was asked for before the charge"),),
    (NONE, Captured): (_NOT_ASKED,),
    (NONE, Declined): (_NOT_ASKED,),
    (NONE, Refunded): (_NOT_ASKED,),
    # ---
    (CAPTURING, OrderConfirmed): (Intent(CAPTURING, when=same_charge), _ANOTHER_CHARGE),
    # Whether it was captured is not known: never a reason to stop asking. If it was, the order, which knows
    # that it is cancelled, asks for the refund.
    (CAPTURING, OrderCancelled): (Step(CAPTURING, cancelled, when=not_cancelled_yet), Duplicate()),
    (CAPTURING, RefundPayment): (TooEarly("a refund was asked for before the charge was made"),),
    (CAPTURING, Captured): (Step(CAPTURED, captured, payment_succeeded),),
    (CAPTURING, Declined): (Step(DECLINED, declined, payment_failed),),
    (CAPTURING, Refunded): (_REFUNDED_UNASKED,),
    # ---
    (CAPTURED, OrderConfirmed): (Duplicate(payment_succeeded, when=same_charge), _ANOTHER_CHARGE),
    (CAPTURED, OrderCancelled): (Duplicate(),),
    (CAPTURED, RefundPayment): (Intent(REFUNDING, when=all_of_it), _ANOTHER_REFUND),
    (CAPTURED, Captured): (Duplicate(payment_succeeded, when=same_transaction), _CAPTURED_TWICE),
    (CAPTURED, Declined): (_DECLINED_LATE,),
    (CAPTURED, Refunded): (_REFUNDED_UNASKED,),
    # ---
    (DECLINED, OrderConfirmed): (Duplicate(payment_failed, when=same_charge), _ANOTHER_CHARGE),
    (DECLINED, OrderCancelled): (Duplicate(),),
    (DECLINED, RefundPayment): (_NEVER_CAPTURED,),
    (DECLINED, Captured): (Attention("captured after it was declined"),),
    (DECLINED, Declined): (Duplicate(payment_failed),),
    (DECLINED, Refunded): (_REFUNDED_UNASKED,),
    # ---
    (VOIDED, OrderConfirmed): (Duplicate(when=same_charge), Step(VOIDED, asked)),
    (VOIDED, OrderCancelled): (Duplicate(),),
    (VOIDED, RefundPayment): (_NEVER_CAPTURED,),
    (VOIDED, Captured): (Attention("captured after it was voided"),),
    (VOIDED, Declined): (Duplicate(),),
    (VOIDED, Refunded): (_REFUNDED_UNASKED,),
    # ---
    (REFUNDING, OrderConfirmed): (Duplicate(when=same_charge), _ANOTHER_CHARGE),
    (REFUNDING, OrderCancelled): (Duplicate(),),
    (REFUNDING, RefundPayment): (Intent(REFUNDING, when=all_of_it), _ANOTHER_REFUND),
    (REFUNDING, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
    (REFUNDING, Declined): (_DECLINED_LATE,),
    (REFUNDING, Refunded): (Step(REFUNDED, refunded, payment_refunded),),
    # ---
    (REFUNDED, OrderConfirmed): (Duplicate(when=same_charge), _ANOTHER_CHARGE),
    (REFUNDED, OrderCancelled): (Duplicate(),),
    (REFUNDED, RefundPayment): (Duplicate(payment_refunded, when=all_of_it), _ANOTHER_REFUND),
    (REFUNDED, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
    (REFUNDED, Declined): (_DECLINED_LATE,),
    (REFUNDED, Refunded): (
        Duplicate(payment_refunded, when=same_refund),
        Attention("refunded a second time"),
    ),
}


# --- what the engine calls ------------------------------------------------------------------------------


def home(message: Message) -> Ref:
    return Ref(Payment, _order_id(message.body))


def reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def intend(payment: Payment | None, message: Message) -> Payment | None:
    """The payment to store before the gateway is asked; None where there is nothing to ask it."""
    row = _row(payment, message)
    if not isinstance(row, Intent):
        return None
    if payment is not None and payment.state is row.to:
        return payment
    recorded = row.record(_known(payment, message), message.body)
    return structs.replace(recorded, state=row.to, intended_at=message.at, updated_at=message.at)


def decide(loaded: Loaded, message: Message) -> Decision:
    found = loaded.get(Payment, _order_id(message.body))
    row = _row(found, message)
    payment = _known(found, message)
    match row:
        case Intent():
            # It was something else when it was looked at for effects. It comes again, and is looked at again.
            raise Premature("the gateway is to be asked first")
        case TooEarly():
            raise Premature(row.reason)
        case Duplicate():
            return Decision(events=_emitted(row.emit, payment), verdict=Verdict.DUPLICATE)
        case Step():
            after = structs.replace(row.record(payment, message.body), state=row.to, updated_at=message.at)
            return Decision(changed=(after,), events=_emitted(row.emit, after))
    return Decision(changed=(_marked(payment, message.at, row.reason),), verdict=Verdict.ATTENTION)


DOMAIN: Final = Domain(home=home, reads=reads, decide=decide)


def _order_id(trigger: Trigger) -> str:
    event = trigger.event if isinstance(trigger, ChargeOutcome | RefundOutcome) else trigger
    order_id: str = event.order_id
    return order_id


def _row(payment: Payment | None, message: Message) -> Row:
    trigger: Trigger = message.body
    kind = type(trigger.result if isinstance(trigger, ChargeOutcome | RefundOutcome) else trigger)
    rows = PAYMENTS[payment.state if payment else NONE, kind]
    known = _known(payment, message)
    return next(row for row in rows if row.when(known, trigger))


def _known(payment: Payment | None, message: Message) -> Payment:
    """The payment, or a blank one that the table's row gives its first state."""
    at = message.at
    return payment or Payment(id=_order_id(message.body), state=VOIDED, created_at=at, updated_at=at)


def _emitted(emit: Emit | None, payment: Payment) -> tuple[Event, ...]:
    return () if emit is None else (emit(payment),)


def _marked(payment: Payment, at: datetime, reason: str) -> Payment:
    reasons = dict.fromkeys((*payment.attention, reason))
    return structs.replace(payment, attention=tuple(reasons), updated_at=at)
