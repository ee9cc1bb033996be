"""Payments, as one table: what becomes of a payment with every message and every answer of the gateway.

Where a row says Intent, the gateway is asked once the payment is stored; what it answers comes to the table
as Captured, Declined, Refunded or RefundRefused.
"""

from typing import Final

from services.payment.gateway import Captured, Declined, Refunded, RefundRefused
from services.payment.payment import AskAgain, Payment, PaymentState
from services.payment.refunds import (
    can_be_given_back,
    done_before,
    is_asked,
    is_due,
    is_refunded,
    is_refused,
    is_settled,
    leaves_nothing,
    leaves_others_open,
    made_all_the_same,
    of_an_earlier_attempt,
    of_another_capture,
    of_no_refund,
    payment_refund_failed,
    payment_refunded,
    refund_asked,
    refund_asked_again,
    refunded,
    refused,
    same_refund,
    settled,
    settled_before,
    settles_one_of_several,
    settles_outside,
    settles_the_last,
    the_first_time,
)
from services.payment.steps import (
    Trigger,
    asked,
    cancelled,
    captured,
    declined,
    payment_failed,
    payment_succeeded,
    same_charge,
    same_transaction,
)
from services.shared.contract.events import Event, OrderCancelled, OrderConfirmed, RefundPayment
from services.shared.contract.table import (
    NEW,
    STAYS,
    Attention,
    Duplicate,
    Intent,
    Step,
    Table,
    TooEarly,
    always,
)

CAPTURING, CAPTURED, DECLINED = PaymentState.CAPTURING, PaymentState.CAPTURED, PaymentState.DECLINED
VOIDED, REFUNDING, REFUNDED = PaymentState.VOIDED, PaymentState.REFUNDING, PaymentState.REFUNDED

_ANOTHER_CHARGE: Final = Attention("a charge of another amount was asked for")
_NEVER_CAPTURED: Final = Attention("a refund was asked for, but nothing was captured")
_DECLINED_LATE: Final = Attention("declined after it was captured")
_CAPTURED_TWICE: Final = Attention("captured a second time")
_REFUNDED_UNASKED: Final = Attention("refunded without being asked")
_REFUSED_UNASKED: Final = Attention("a refund was refused that was not asked for")
_NOT_ASKED: Final = TooEarly("the gateway answered what is not known to have been asked")

# Whatever was given back of it before. One refund is known by its id, however often it is asked for.
_REFUND_ASKED: Final = (
    Attention("a refund of another capture was asked for", when=of_another_capture),
    Intent(REFUNDING, when=is_asked),
    Duplicate((payment_refunded,), when=is_refunded),
    Duplicate((payment_refund_failed,), when=is_refused),
    Duplicate(when=is_settled),
    Intent(REFUNDING, refund_asked, when=can_be_given_back),
    Attention("more was asked back than is left, or another amount than before"),
)
_SETTLED: Final = Step(CAPTURED, settled, when=settles_outside)
_REFUND_ASKED_OR_SETTLED: Final = (
    _REFUND_ASKED[0],
    _SETTLED._replace(to=REFUNDED, when=settles_the_last),
    _SETTLED._replace(to=STAYS, when=settles_one_of_several),
    _SETTLED,
    *_REFUND_ASKED[1:],
)
_REFUND_ASKED_AGAIN: Final = (Intent(REFUNDING, refund_asked_again, when=is_due), Duplicate())
_REFUNDED_BEFORE: Final = (
    _REFUNDED_UNASKED._replace(when=of_no_refund),
    Duplicate((payment_refunded,), when=same_refund),
    Attention(
        "refunded by the gateway, and before by another way",
        made_all_the_same,
        (payment_refunded,),
        settled_before,
    ),
    Attention("refunded a second time", when=done_before),
)
_REFUSED_BEFORE: Final = (
    _REFUSED_UNASKED._replace(when=of_no_refund),
    Duplicate(when=of_an_earlier_attempt),
    Attention("refused after it was refunded", emit=(payment_refund_failed,), when=done_before),
)
# While none is open, there is nothing else that the gateway could be right about.
_NONE_IS_OPEN: Final = (*_REFUNDED_BEFORE[:-1], _REFUNDED_BEFORE[-1]._replace(when=always))
_NONE_IS_TO_BE_REFUSED: Final = (*_REFUSED_BEFORE[:-1], _REFUSED_BEFORE[-1]._replace(when=always))
_REFUND_DONE: Final = (
    *_REFUNDED_BEFORE,
    Step(REFUNDED, refunded, (payment_refunded,), when=leaves_nothing),
    Step(STAYS, refunded, (payment_refunded,), when=leaves_others_open),
    Step(CAPTURED, refunded, (payment_refunded,)),
)
_REFUND_REFUSED: Final = (
    *_REFUSED_BEFORE,
    Step(STAYS, refused, (payment_refund_failed,), when=the_first_time),
    Step(STAYS, refused),
)

# The rows of a cell are tried in turn; the last one always holds.
PAYMENTS: Final = Table[Payment, Trigger, Event](
    {
        (NEW, OrderConfirmed): (Intent(CAPTURING, asked),),
        (NEW, OrderCancelled): (Step(VOIDED),),
        (NEW, RefundPayment): (TooEarly("a refund was asked for before the charge"),),
        (NEW, AskAgain): (Duplicate(),),
        (NEW, Captured): (_NOT_ASKED,),
        (NEW, Declined): (_NOT_ASKED,),
        (NEW, Refunded): (_NOT_ASKED,),
        (NEW, RefundRefused): (_NOT_ASKED,),
        # ---
        (CAPTURING, OrderConfirmed): (Intent(CAPTURING, when=same_charge), _ANOTHER_CHARGE),
        # Whether it was captured is not known: never a reason to stop asking. If it was, the order, which
        # knows that it is cancelled, asks for the refund.
        (CAPTURING, OrderCancelled): (Step(STAYS, cancelled),),
        (CAPTURING, RefundPayment): (TooEarly("a refund was asked for before the charge was made"),),
        (CAPTURING, AskAgain): (Duplicate(),),
        (CAPTURING, Captured): (Step(CAPTURED, captured, (payment_succeeded,)),),
        (CAPTURING, Declined): (Step(DECLINED, declined, (payment_failed,)),),
        (CAPTURING, Refunded): (_REFUNDED_UNASKED,),
        (CAPTURING, RefundRefused): (_REFUSED_UNASKED,),
        # ---
        (CAPTURED, OrderConfirmed): (Duplicate((payment_succeeded,), when=same_charge), _ANOTHER_CHARGE),
        (CAPTURED, OrderCancelled): (Duplicate(),),
        (CAPTURED, RefundPayment): _REFUND_ASKED,
        (CAPTURED, AskAgain): (Duplicate(),),
        (CAPTURED, Captured): (Duplicate((payment_succeeded,), when=same_transaction), _CAPTURED_TWICE),
        (CAPTURED, Declined): (_DECLINED_LATE,),
        (CAPTURED, Refunded): _NONE_IS_OPEN,
        (CAPTURED, RefundRefused): _NONE_IS_TO_BE_REFUSED,
        # ---
        (DECLINED, OrderConfirmed): (Duplicate((payment_failed,), when=same_charge), _ANOTHER_CHARGE),
        (DECLINED, OrderCancelled): (Duplicate(),),
        (DECLINED, RefundPayment): (_NEVER_CAPTURED,),
        (DECLINED, AskAgain): (Duplicate(),),
        (DECLINED, Captured): (Attention("captured after it was declined"),),
        (DECLINED, Declined): (Duplicate((payment_failed,)),),
        (DECLINED, Refunded): (_REFUNDED_UNASKED,),
        (DECLINED, RefundRefused): (_REFUSED_UNASKED,),
        # ---
        (VOIDED, OrderConfirmed): (Step(STAYS, asked),),
        (VOIDED, OrderCancelled): (Duplicate(),),
        (VOIDED, RefundPayment): (_NEVER_CAPTURED,),
        (VOIDED, AskAgain): (Duplicate(),),
        (VOIDED, Captured): (Attention("captured after it was voided"),),
        (VOIDED, Declined): (Duplicate(),),
        (VOIDED, Refunded): (_REFUNDED_UNASKED,),
        (VOIDED, RefundRefused): (_REFUSED_UNASKED,),
        # ---
        (REFUNDING, OrderConfirmed): (Duplicate(when=same_charge), _ANOTHER_CHARGE),
        (REFUNDING, OrderCancelled): (Duplicate(),),
        (REFUNDING, RefundPayment): _REFUND_ASKED_OR_SETTLED,
        (REFUNDING, AskAgain): _REFUND_ASKED_AGAIN,
        (REFUNDING, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
        (REFUNDING, Declined): (_DECLINED_LATE,),
        (REFUNDING, Refunded): _REFUND_DONE,
        (REFUNDING, RefundRefused): _REFUND_REFUSED,
        # ---
        (REFUNDED, OrderConfirmed): (Duplicate(when=same_charge), _ANOTHER_CHARGE),
        (REFUNDED, OrderCancelled): (Duplicate(),),
        (REFUNDED, RefundPayment): _REFUND_ASKED,
        (REFUNDED, AskAgain): (Duplicate(),),
        (REFUNDED, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
        (REFUNDED, Declined): (_DECLINED_LATE,),
        (REFUNDED, Refunded): _NONE_IS_OPEN,
        (REFUNDED, RefundRefused): _NONE_IS_TO_BE_REFUSED,
    }
)
