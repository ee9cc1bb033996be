"""The saga, as one table: what an order does about every event in every state.

The table runs the service, draws the README's diagram, and is what the tests go through cell by cell.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, cast

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.compensation import accounted
from services.order.model import HistoryEntry, Line, LineChange, Order, Status
from services.order.steps import (
    Trigger,
    all_lines_answered,
    answers_otherwise,
    cancelled_by_customer,
    captured,
    captured_oddly,
    lines_held,
    lines_held_late,
    lines_refused,
    lines_released,
    lines_sold,
    may_be_held_now,
    money_back,
    names_our_lines,
    names_strange_products,
    no_capture_yet,
    order_cancelled,
    order_confirmed,
    order_paid,
    order_refunded,
    paid_as_asked,
    payment_declined,
    refund_asked,
    refund_capture,
    refund_done,
    refund_late_capture,
    refund_open,
    refund_payment,
    refund_requested,
    refused_beside_held,
    refuses_what_is_not_kept,
    release_late,
    release_refunded,
    release_stock,
    reserve_stock,
    same_capture,
    timed_out,
)
from services.shared.contract.decisions import Decision, Message, Verdict
from services.shared.contract.events import (
    Event,
    PaymentFailed,
    PaymentRefunded,
    PaymentSucceeded,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from services.shared.contract.table import (
    NEW,
    STAYS,
    Attention,
    Duplicate,
    Forbid,
    Step,
    Table,
    TooEarly,
    concluded,
    marked,
)

PENDING, CONFIRMED, PAID = Status.PENDING, Status.CONFIRMED, Status.PAID
CANCELLED, REFUNDING, REFUNDED = Status.CANCELLED, Status.REFUNDING, Status.REFUNDED

_CANCEL: Final = Step(CANCELLED, cancelled_by_customer, (release_stock, order_cancelled))
_TIME_OUT: Final = Step(CANCELLED, timed_out, (release_stock, order_cancelled))
# Something was captured that was not asked for: it goes back with the order.
_CANCEL_AND_REFUND: Final = _CANCEL._replace(
    emit=(release_stock, order_cancelled, refund_capture), when=captured_oddly
)
_TIME_OUT_AND_REFUND: Final = _TIME_OUT._replace(
    emit=(release_stock, order_cancelled, refund_capture), when=captured_oddly
)
_NOT_OUR_LINES: Final = Attention("a reservation that is not the order's lines")
_NOT_CONFIRMED_YET: Final = TooEarly("the order is not confirmed yet")
_NOT_PAID_YET: Final = Forbid("the order is not paid yet: cancel it instead")
_DECLINED_LATE: Final = Attention("declined after it was captured")
_BEING_REFUNDED: Final = Forbid("the order is being refunded")
_REFUNDED: Final = Forbid("the order is refunded")
_STOCK_TWICE: Final = (Duplicate(when=names_our_lines), _NOT_OUR_LINES)
_REFUSED_TWICE: Final = (
    Duplicate(when=refuses_what_is_not_kept),
    Attention("refused after it was reserved"),
)
_CAPTURE_TWICE: Final = (Duplicate(when=same_capture), Attention("captured a second time"))

# The rows of a cell are tried in turn; the last one always holds.
SAGA: Final = Table[Order, Trigger, Event](
    {
        (NEW, CreateOrder): (Step(PENDING, emit=(reserve_stock,)),),
        # ---
        (PENDING, StockReserved): (
            Attention("a line is answered otherwise than before", when=answers_otherwise),
            Step(CONFIRMED, lines_held, (order_confirmed,), when=all_lines_answered),
            Step(STAYS, lines_held, when=names_our_lines),
            _NOT_OUR_LINES,
        ),
        (PENDING, StockUnavailable): (
            Attention("refused what is no line of the order", when=names_strange_products),
            Step(CANCELLED, lines_refused, (release_late, order_cancelled), when=refused_beside_held),
            Step(CANCELLED, lines_refused, (order_cancelled,)),
        ),
        (PENDING, StockReleased): (Attention("released before anything was confirmed"),),
        (PENDING, PaymentSucceeded): (_NOT_CONFIRMED_YET,),
        (PENDING, PaymentFailed): (_NOT_CONFIRMED_YET,),
        (PENDING, PaymentRefunded): (_NOT_CONFIRMED_YET,),
        (PENDING, CancelOrder): (_CANCEL,),
        (PENDING, TimeOut): (_TIME_OUT,),
        (PENDING, RequestRefund): (_NOT_PAID_YET,),
        # ---
        (CONFIRMED, StockReserved): _STOCK_TWICE,
        (CONFIRMED, StockUnavailable): _REFUSED_TWICE,
        # Auto compensation was faster than the payment's message.
        (CONFIRMED, StockReleased): (Step(STAYS, lines_released),),
        (CONFIRMED, PaymentSucceeded): (
            Step(PAID, lines_sold, (order_paid,), when=paid_as_asked),
            # Never PAID by itself; and never forgotten: what was taken goes back if the order is cancelled.
            Attention(
                "paid another amount, or for lines that were given back", captured, when=no_capture_yet
            ),
            *_CAPTURE_TWICE,
        ),
        (CONFIRMED, PaymentFailed): (
            _DECLINED_LATE._replace(when=captured_oddly),
            Step(CANCELLED, payment_declined, (release_stock, order_cancelled)),
        ),
        (CONFIRMED, PaymentRefunded): (Attention("refunded before it was paid"),),
        (CONFIRMED, CancelOrder): (_CANCEL_AND_REFUND, _CANCEL),
        (CONFIRMED, TimeOut): (_TIME_OUT_AND_REFUND, _TIME_OUT),
        (CONFIRMED, RequestRefund): (_NOT_PAID_YET,),
        # ---
        (PAID, StockReserved): _STOCK_TWICE,
        (PAID, StockUnavailable): _REFUSED_TWICE,
        (PAID, StockReleased): (Attention("given back after it was sold"),),
        (PAID, PaymentSucceeded): _CAPTURE_TWICE,
        (PAID, PaymentFailed): (_DECLINED_LATE,),
        (PAID, PaymentRefunded): (Attention("refunded without being asked"),),
        (PAID, CancelOrder): (Forbid("the order is paid: ask for a refund instead"),),
        (PAID, TimeOut): (Forbid("the order is paid"),),
        (PAID, RequestRefund): (Step(REFUNDING, refund_asked, (refund_requested, refund_payment)),),
        # ---
        (CANCELLED, StockReserved): (
            Step(STAYS, lines_held_late, (release_late,), when=may_be_held_now),
            Duplicate(),
        ),
        (CANCELLED, StockUnavailable): (Duplicate(),),
        (CANCELLED, StockReleased): (Step(STAYS, lines_released),),
        (CANCELLED, PaymentSucceeded): (
            # The one and only trigger of a late refund.
            Step(STAYS, captured, (refund_late_capture,), when=no_capture_yet),
            *_CAPTURE_TWICE,
        ),
        (CANCELLED, PaymentFailed): (Duplicate(),),
        (CANCELLED, PaymentRefunded): (
            Step(STAYS, money_back, when=refund_open),
            Duplicate(when=refund_done),
            Attention("refunded before it was paid"),
        ),
        (CANCELLED, CancelOrder): (Duplicate(),),
        (CANCELLED, TimeOut): (Duplicate(),),
        (CANCELLED, RequestRefund): (Forbid("the order is cancelled: what was paid comes back by itself"),),
        # ---
        (REFUNDING, StockReserved): _STOCK_TWICE,
        (REFUNDING, StockUnavailable): (
            # Its stock is on its way back: asked for again, it is refused.
            Duplicate(when=refund_done),
            *_REFUSED_TWICE,
        ),
        (REFUNDING, StockReleased): (
            Step(REFUNDED, lines_released, (order_refunded,), when=refund_done),
            Attention("given back before the money was"),
        ),
        (REFUNDING, PaymentSucceeded): _CAPTURE_TWICE,
        (REFUNDING, PaymentFailed): (_DECLINED_LATE,),
        (REFUNDING, PaymentRefunded): (
            Step(STAYS, money_back, (release_refunded,), when=refund_open),
            Duplicate(),
        ),
        (REFUNDING, CancelOrder): (_BEING_REFUNDED,),
        (REFUNDING, TimeOut): (_BEING_REFUNDED,),
        (REFUNDING, RequestRefund): (Duplicate(),),
        # ---
        (REFUNDED, StockReserved): _STOCK_TWICE,
        (REFUNDED, StockUnavailable): (Duplicate(),),
        (REFUNDED, StockReleased): (Duplicate(),),
        (REFUNDED, PaymentSucceeded): _CAPTURE_TWICE,
        (REFUNDED, PaymentFailed): (_DECLINED_LATE,),
        (REFUNDED, PaymentRefunded): (Duplicate(),),
        (REFUNDED, CancelOrder): (_REFUNDED,),
        (REFUNDED, TimeOut): (_REFUNDED,),
        (REFUNDED, RequestRefund): (Duplicate(),),
    },
    state="status",
)


def create(order: Order, message: Message) -> Decision:
    """`order` as it was asked for."""
    return _advance(NEW, order, message)


def advance(order: Order, message: Message) -> Decision:
    """What the order does about `message`. Raises Premature, or Refused for a command the state forbids."""
    return _advance(order.status, order, message)


def _advance(state: StrEnum, order: Order, message: Message) -> Decision:
    trigger = cast("Trigger", message.body)
    outcome = SAGA.advance(state, order, trigger)
    before = None if state is NEW else order
    after = outcome.after
    if outcome.verdict is Verdict.APPLIED:
        after = accounted(after, message, outcome.emitted)
        if after != before:
            after = _with_entry(after, before, message, trigger)
    after = marked(after, message, trigger.type, [outcome.contradiction])
    return concluded(before, after, outcome, message)


def _with_entry(order: Order, before: Order | None, message: Message, trigger: Trigger) -> Order:
    """The step in the history; a new state counts from now."""
    was = before.status if before else None
    entry = HistoryEntry(
        at=message.at,
        event=trigger.type,
        from_=was,
        to=order.status,
        event_id=message.id,
        trace_id=message.trace_id,
        reason=getattr(trigger, "reason", None),
        lines=_changed(before.lines, order.lines) if before else (),
        actor=message.by.actor if message.by else None,
    )
    since = order.state_since if order.status is was else message.at
    # It goes with the confirmation, whose row in the outbox has it from here on, or is never needed.
    token = order.payment_token if order.status is PENDING else None
    return structs.replace(order, state_since=since, history=(*order.history, entry), payment_token=token)


def _changed(before: tuple[Line, ...], after: tuple[Line, ...]) -> tuple[LineChange, ...]:
    """The lines that changed, unless all did, and alike."""
    changed = tuple(
        LineChange(line.product_id, line.state)
        for was, line in zip(before, after, strict=True)
        if line.state is not was.state
    )
    alike = len(changed) == len(after) and len({change.to for change in changed}) == 1
    return () if alike else changed


def replay(history: Iterable[HistoryEntry]) -> StrEnum:
    """The state in which a history ends. Raises ValueError where it cannot have happened."""
    return SAGA.replay((entry.from_, entry.event, entry.to) for entry in history)
