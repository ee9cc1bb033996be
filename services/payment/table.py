"""Payments, as one table: what becomes of a payment with every message and every answer of the gateway.

Where a row says Intent, the gateway is asked once the payment is stored; what it answers comes to the table
by its name. Our own call, a later look and the gateway's own word take the same rows, in any order, any
number of times.
"""

from enum import StrEnum
from typing import Final

from services.payment.gateway import (
    Authorized,
    Captured,
    Declined,
    Heard,
    Pending,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import AskAgain, LookAgain, Payment, PaymentState
from services.payment.refunds import (
    all_of_it_cost_nothing,
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
    refunded_for_nothing,
    refunds_asked_right_away,
    refused,
    same_refund,
    settled,
    settled_before,
    settles_one_of_several,
    settles_outside,
    settles_the_last,
    the_first_time,
    undecided,
)
from services.payment.refunds import costs_nothing as refund_costs_nothing
from services.payment.steps import (
    Trigger,
    asked,
    asked_later,
    asked_right_away,
    asks_for_something_new,
    authorized,
    called_off,
    captured,
    captured_after_all,
    costs_nothing,
    declined,
    is_a_dispute,
    is_about_a_charge,
    is_asked_next,
    is_for_the_order,
    is_for_the_order_and_the_same,
    is_of_an_older_release,
    over,
    payment_failed,
    payment_pending,
    payment_succeeded,
    pending,
    same_charge,
    same_transaction,
    taken_for_nothing,
    voided,
    was_never_asked,
)
from services.shared.contract.events import Event, OrderCancelled, OrderConfirmed, RefundPayment
from services.shared.contract.table import (
    NEW,
    STAYS,
    Attention,
    Duplicate,
    Forbid,
    Intent,
    Row,
    Step,
    Table,
    TooEarly,
    always,
)

CAPTURING, PENDING, AUTHORIZED = PaymentState.CAPTURING, PaymentState.PENDING, PaymentState.AUTHORIZED
CAPTURED, DECLINED = PaymentState.CAPTURED, PaymentState.DECLINED
VOIDING, VOIDED = PaymentState.VOIDING, PaymentState.VOIDED
REFUNDING, REFUNDED = PaymentState.REFUNDING, PaymentState.REFUNDED

_ANOTHER_CHARGE: Final = Attention("a charge of another amount was asked for")
_NEVER_CAPTURED: Final = Attention("a refund was asked for, but nothing was captured")
_DECLINED_LATE: Final = Attention("declined after it was captured")
_VOIDED_LATE: Final = Attention("called off after it was captured")
_CAPTURED_TWICE: Final = Attention("captured a second time")
_REFUNDED_UNASKED: Final = Attention("refunded without being asked")
_REFUSED_UNASKED: Final = Attention("a refund was refused that was not asked for")
_REFUNDED_LATER_UNASKED: Final = Attention("a refund is under way that was not asked for")
_DISPUTED: Final = Attention("the customer disputes the charge", when=is_a_dispute)
_UNKNOWN: Final = Forbid("no payment is known of that order")
_NOT_ASKED: Final = TooEarly("the gateway answered what is not known to have been asked")

# Whatever was given back of it before. One refund is known by its id, however often it is asked for.
_REFUND_ASKED: Final = (
    Attention("a refund of another capture was asked for", when=of_another_capture),
    Intent(REFUNDING, when=is_asked),
    Duplicate((payment_refunded,), when=is_refunded),
    Duplicate((payment_refund_failed,), when=is_refused),
    Duplicate(when=is_settled),
    Step(REFUNDED, refunded_for_nothing, (payment_refunded,), when=all_of_it_cost_nothing),
    Step(STAYS, refunded_for_nothing, (payment_refunded,), when=refund_costs_nothing),
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

_REFUND_UNDECIDED: Final = (
    _REFUNDED_LATER_UNASKED._replace(when=of_no_refund),
    Duplicate(when=of_an_earlier_attempt),
    Duplicate(when=done_before),
    Step(STAYS, undecided),
)

# --- whether money is taken --------------------------------------------------------------------------------

_CAPTURED: Final = Step(CAPTURED, captured, (payment_succeeded,))
_DECLINED: Final = Step(DECLINED, declined, (payment_failed,))
_AUTHORIZED: Final = Step(AUTHORIZED, authorized)
# A fence, after which nothing can be captured. If that was faster, the order, which knows that it is
# cancelled, asks for the refund.
_VOID: Final = Intent(VOIDING, called_off)
# Somebody else was told first what became of it: the order is, too.
_DECLINED_BEFORE: Final = (Step(STAYS, over, (payment_failed,), when=is_for_the_order), Step(STAYS, over))
_CAPTURED_BEFORE: Final = (Duplicate((payment_succeeded,), when=is_for_the_order), Duplicate())
_AGAIN: Final = (Duplicate(when=same_charge), _ANOTHER_CHARGE)


def _no_refunds(state: StrEnum) -> dict[tuple[StrEnum, type], tuple[Row, ...]]:
    """What nobody asked for, while nothing is captured."""
    return {
        (state, AskAgain): (Duplicate(),),
        (state, Refunded): (_REFUNDED_UNASKED,),
        (state, RefundPending): (_REFUNDED_LATER_UNASKED,),
        (state, RefundRefused): (_REFUSED_UNASKED,),
    }


def _undecided(state: PaymentState) -> dict[tuple[StrEnum, type], tuple[Row, ...]]:
    """What all states have in common in which money may yet be taken."""
    return {
        **_no_refunds(state),
        (state, RefundPayment): (TooEarly("a refund was asked for before the charge was made"),),
        (state, LookAgain): (Intent(state, when=is_asked_next), Duplicate()),
        (state, Heard): (
            _DISPUTED,
            Step(STAYS, asked_right_away, when=is_about_a_charge),
            Duplicate(),
        ),
        (state, Captured): (_CAPTURED,),
    }


def _over(
    state: PaymentState, what: str, known: tuple[Row, ...]
) -> dict[tuple[StrEnum, type], tuple[Row, ...]]:
    """What the states have in common in which no money was taken, nor will be, and the gateway says that once
    more. If it has taken some all the same it is believed: it goes back with the order.
    """
    return {
        **_no_refunds(state),
        (state, OrderCancelled): (Duplicate(),),
        (state, RefundPayment): (_NEVER_CAPTURED,),
        (state, LookAgain): (Intent(state, when=is_asked_next), Duplicate()),
        (state, Heard): (
            _DISPUTED,
            Step(STAYS, asked_right_away, when=is_about_a_charge),
            Duplicate(),
        ),
        **{(state, answer): known for answer in (Pending, Authorized, Declined, Voided)},
        (state, Captured): (
            Attention("captured without being asked", over, when=was_never_asked),
            Attention(f"captured after it was {what}", captured_after_all, (payment_succeeded,)),
        ),
    }


def _paid(state: PaymentState) -> dict[tuple[StrEnum, type], tuple[Row, ...]]:
    """What the states have in common in which money was taken."""
    return {
        (state, OrderConfirmed): _AGAIN,
        (state, OrderCancelled): (Duplicate(),),
        (state, LookAgain): (Duplicate(),),
        (state, Heard): (_DISPUTED, Duplicate(when=is_about_a_charge), Step(STAYS, refunds_asked_right_away)),
        (state, Pending): (Duplicate(),),
        (state, Authorized): (Duplicate(),),
        (state, Captured): (Duplicate(when=same_transaction), _CAPTURED_TWICE),
        (state, Declined): (_DECLINED_LATE,),
        (state, Voided): (_VOIDED_LATE,),
        (state, RefundPending): _REFUND_UNDECIDED,
    }


# The rows of a cell are tried in turn; the last one always holds.
PAYMENTS: Final = Table[Payment, Trigger, Event](
    {
        (NEW, OrderConfirmed): (
            Step(CAPTURED, taken_for_nothing, (payment_succeeded,), when=costs_nothing),
            Intent(CAPTURING, asked),
        ),
        (NEW, OrderCancelled): (Step(VOIDED),),
        (NEW, RefundPayment): (TooEarly("a refund was asked for before the charge"),),
        (NEW, LookAgain): (_UNKNOWN,),
        (NEW, AskAgain): (_UNKNOWN,),
        (NEW, Heard): (_UNKNOWN,),
        (NEW, Pending): (_NOT_ASKED,),
        (NEW, Authorized): (_NOT_ASKED,),
        (NEW, Captured): (_NOT_ASKED,),
        (NEW, Declined): (_NOT_ASKED,),
        (NEW, Voided): (_NOT_ASKED,),
        (NEW, Refunded): (_NOT_ASKED,),
        (NEW, RefundPending): (_NOT_ASKED,),
        (NEW, RefundRefused): (_NOT_ASKED,),
        # ---
        **_undecided(CAPTURING),
        (CAPTURING, OrderConfirmed): (Intent(CAPTURING, when=same_charge), _ANOTHER_CHARGE),
        (CAPTURING, OrderCancelled): (_VOID,),
        (CAPTURING, Pending): (Step(PENDING, pending, (payment_pending,)),),
        (CAPTURING, Authorized): (_AUTHORIZED,),
        (CAPTURING, Declined): (_DECLINED,),
        (CAPTURING, Voided): (_DECLINED,),
        # ---
        **_undecided(PENDING),
        (PENDING, OrderConfirmed): (Duplicate((payment_pending,), when=same_charge), _ANOTHER_CHARGE),
        (PENDING, OrderCancelled): (_VOID,),
        (PENDING, Pending): (
            Step(STAYS, pending, (payment_pending,), when=asks_for_something_new),
            Step(STAYS, pending),
        ),
        (PENDING, Authorized): (_AUTHORIZED,),
        (PENDING, Declined): (_DECLINED,),
        (PENDING, Voided): (_DECLINED,),
        # ---
        **_undecided(AUTHORIZED),
        (AUTHORIZED, OrderConfirmed): _AGAIN,
        (AUTHORIZED, OrderCancelled): (_VOID,),
        (AUTHORIZED, Pending): (Step(STAYS, asked_later),),
        (AUTHORIZED, Authorized): (Step(STAYS, asked_later),),
        (AUTHORIZED, Declined): (_DECLINED,),
        (AUTHORIZED, Voided): (_DECLINED,),
        # ---
        **_undecided(VOIDING),
        (VOIDING, OrderConfirmed): (_VOID._replace(when=is_of_an_older_release), *_AGAIN),
        (VOIDING, OrderCancelled): (Intent(VOIDING),),
        (VOIDING, Pending): (Step(STAYS, asked_later),),
        (VOIDING, Authorized): (Step(STAYS, asked_later),),
        (VOIDING, Declined): (Step(VOIDED, voided),),
        (VOIDING, Voided): (Step(VOIDED, voided),),
        # ---
        **_over(DECLINED, "declined", _DECLINED_BEFORE),
        (DECLINED, OrderConfirmed): (Duplicate((payment_failed,), when=same_charge), _ANOTHER_CHARGE),
        # ---
        **_over(VOIDED, "called off", (Step(STAYS, over),)),
        (VOIDED, OrderConfirmed): (Step(STAYS, asked),),
        # ---
        **_paid(CAPTURED),
        (CAPTURED, OrderConfirmed): (Duplicate((payment_succeeded,), when=same_charge), _ANOTHER_CHARGE),
        (CAPTURED, RefundPayment): _REFUND_ASKED,
        (CAPTURED, AskAgain): (Duplicate(),),
        (CAPTURED, Pending): _CAPTURED_BEFORE,
        (CAPTURED, Authorized): _CAPTURED_BEFORE,
        (CAPTURED, Captured): (
            Duplicate((payment_succeeded,), when=is_for_the_order_and_the_same),
            Duplicate(when=same_transaction),
            _CAPTURED_TWICE,
        ),
        (CAPTURED, Refunded): _NONE_IS_OPEN,
        (CAPTURED, RefundRefused): _NONE_IS_TO_BE_REFUSED,
        # ---
        **_paid(REFUNDING),
        (REFUNDING, RefundPayment): _REFUND_ASKED_OR_SETTLED,
        (REFUNDING, AskAgain): _REFUND_ASKED_AGAIN,
        (REFUNDING, Refunded): _REFUND_DONE,
        (REFUNDING, RefundRefused): _REFUND_REFUSED,
        # ---
        **_paid(REFUNDED),
        (REFUNDED, RefundPayment): _REFUND_ASKED,
        (REFUNDED, AskAgain): (Duplicate(),),
        (REFUNDED, Refunded): _NONE_IS_OPEN,
        (REFUNDED, RefundRefused): _NONE_IS_TO_BE_REFUSED,
    }
)
