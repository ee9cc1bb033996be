"""Payments, as one table: what becomes of a payment with every message and every answer of the gateway.

Where a row says Intent, the gateway is asked once the payment is stored; what it answers comes to the table
as Captured, Declined or Refunded.
"""

from typing import Final

from services.payment.gateway import Captured, Declined, Refunded
from services.payment.payment import Payment, PaymentState
from services.payment.steps import (
    Trigger,
    all_of_it,
    asked,
    cancelled,
    captured,
    declined,
    payment_failed,
    payment_refunded,
    payment_succeeded,
    refunded,
    same_charge,
    same_refund,
    same_transaction,
)
from services.shared.contract.events import Event, OrderCancelled, OrderConfirmed, RefundPayment
from services.shared.contract.table import NEW, STAYS, Attention, Duplicate, Intent, Step, Table, TooEarly

CAPTURING, CAPTURED, DECLINED = PaymentState.CAPTURING, PaymentState.CAPTURED, PaymentState.DECLINED
VOIDED, REFUNDING, REFUNDED = PaymentState.VOIDED, PaymentState.REFUNDING, PaymentState.REFUNDED

_ANOTHER_CHARGE: Final = Attention("a charge of another amount was asked for")
_ANOTHER_REFUND: Final = Attention("a refund of another amount was asked for")
_NEVER_CAPTURED: Final = Attention("a refund was asked for, but nothing was captured")
_DECLINED_LATE: Final = Attention("declined after it was captured")
_CAPTURED_TWICE: Final = Attention("captured a second time")
_REFUNDED_UNASKED: Final = Attention("refunded without being asked")
_NOT_ASKED: Final = TooEarly("the gateway answered what is not known to have been asked")

# The rows of a cell are tried in turn; the last one always holds.
PAYMENTS: Final = Table[Payment, Trigger, Event](
    {
        (NEW, OrderConfirmed): (Intent(CAPTURING, asked),),
        (NEW, OrderCancelled): (Step(VOIDED),),
        (NEW, RefundPayment): (TooEarly("a refund was asked for before the charge"),),
        (NEW, Captured): (_NOT_ASKED,),
        (NEW, Declined): (_NOT_ASKED,),
        (NEW, Refunded): (_NOT_ASKED,),
        # ---
        (CAPTURING, OrderConfirmed): (Intent(CAPTURING, when=same_charge), _ANOTHER_CHARGE),
        # Whether it was captured is not known: never a reason to stop asking. If it was, the order, which
        # knows that it is cancelled, asks for the refund.
        (CAPTURING, OrderCancelled): (Step(STAYS, cancelled),),
        (CAPTURING, RefundPayment): (TooEarly("a refund was asked for before the charge was made"),),
        (CAPTURING, Captured): (Step(CAPTURED, captured, (payment_succeeded,)),),
        (CAPTURING, Declined): (Step(DECLINED, declined, (payment_failed,)),),
        (CAPTURING, Refunded): (_REFUNDED_UNASKED,),
        # ---
        (CAPTURED, OrderConfirmed): (Duplicate((payment_succeeded,), when=same_charge), _ANOTHER_CHARGE),
        (CAPTURED, OrderCancelled): (Duplicate(),),
        (CAPTURED, RefundPayment): (Intent(REFUNDING, when=all_of_it), _ANOTHER_REFUND),
        (CAPTURED, Captured): (Duplicate((payment_succeeded,), when=same_transaction), _CAPTURED_TWICE),
        (CAPTURED, Declined): (_DECLINED_LATE,),
        (CAPTURED, Refunded): (_REFUNDED_UNASKED,),
        # ---
        (DECLINED, OrderConfirmed): (Duplicate((payment_failed,), when=same_charge), _ANOTHER_CHARGE),
        (DECLINED, OrderCancelled): (Duplicate(),),
        (DECLINED, RefundPayment): (_NEVER_CAPTURED,),
        (DECLINED, Captured): (Attention("captured after it was declined"),),
        (DECLINED, Declined): (Duplicate((payment_failed,)),),
        (DECLINED, Refunded): (_REFUNDED_UNASKED,),
        # ---
        (VOIDED, OrderConfirmed): (Step(STAYS, asked),),
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
        (REFUNDING, Refunded): (Step(REFUNDED, refunded, (payment_refunded,)),),
        # ---
        (REFUNDED, OrderConfirmed): (Duplicate(when=same_charge), _ANOTHER_CHARGE),
        (REFUNDED, OrderCancelled): (Duplicate(),),
        (REFUNDED, RefundPayment): (Duplicate((payment_refunded,), when=all_of_it), _ANOTHER_REFUND),
        (REFUNDED, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
        (REFUNDED, Declined): (_DECLINED_LATE,),
        (REFUNDED, Refunded): (
            Duplicate((payment_refunded,), when=same_refund),
            Attention("refunded a second time"),
        ),
    }
)
