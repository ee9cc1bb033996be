"""The saga, as one table: what an order does about every event in every state.

The table runs the service, draws the README's diagram, and is what the tests go through cell by cell.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, cast

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.compensation import accounted
from services.order.model import HistoryEntry, Line, LineChange, Order, Status
from services.order.refunds import (
    asked_before,
    goods_back,
    is_done,
    is_not_refused,
    is_one_too_many,
    is_refused,
    is_the_last,
    late_money_back,
    money_back,
    money_is_back,
    money_is_not_back,
    named,
    of_all_that_is_left,
    of_an_earlier_attempt,
    of_lines,
    of_more_than_is_left,
    order_partially_refunded,
    order_refunded,
    payment_settled,
    refund_asked,
    refund_payment,
    refund_refused,
    refund_requested,
    release_refunded,
    settled_before,
    settled_outside,
    settled_so_before,
    was_not_asked,
    with_goods,
)
from services.order.steps import (
    Trigger,
    all_lines_answered,
    answers_otherwise,
    cancelled_by_customer,
    captured,
    captured_oddly,
    goods_shipped,
    is_known_to_be_pending,
    is_shipped,
    lines_held,
    lines_held_late,
    lines_refused,
    lines_released,
    lines_sold,
    may_be_held_now,
    names_our_lines,
    names_strange_products,
    no_capture_yet,
    nothing_left_to_ship,
    order_cancelled,
    order_confirmed,
    order_paid,
    paid_as_asked,
    payment_declined,
    payment_waits,
    refund_capture,
    refund_done,
    refund_late_capture,
    refund_open,
    refused_beside_held,
    refuses_what_is_not_kept,
    release_late,
    release_stock,
    reserve_stock,
    same_capture,
    shipment_approved,
    shipment_refused,
    timed_out,
)
from services.shared.contract.decisions import Decision, Message, Verdict
from services.shared.contract.events import (
    Event,
    OrderNews,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
    RequestShipment,
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
    Row,
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
_NOT_PAID_YET: Final = (
    Forbid("the whole order is being charged: cancel all of it, or wait until it is paid", when=of_lines),
    Forbid("the order is not paid yet: cancel it instead"),
)
_DECLINED_LATE: Final = Attention("declined after it was captured")
_BEING_REFUNDED: Final = Forbid("the order is being refunded")
_REFUNDED: Final = Forbid("the order is refunded")
_STOCK_TWICE: Final = (Duplicate(when=names_our_lines), _NOT_OUR_LINES)
_REFUSED_TWICE: Final = (
    Duplicate(when=refuses_what_is_not_kept),
    Attention("refused after it was reserved"),
)
_CAPTURE_TWICE: Final = (Duplicate(when=same_capture), Attention("captured a second time"))

_REFUSED_UNASKED: Final = Attention("a refund was refused that was not asked for")
_NOTHING_REFUSED: Final = Forbid("only a refund that the payment gateway refuses can be settled outside")

# --- shipment: whoever sends the goods asks first, and asked again is told the same -------------------------

_NOT_SHIPPED_YET: Final = TooEarly("the order is not paid yet: nothing of it is to be sent")
_APPROVED: Final = Duplicate(emit=(shipment_approved,), when=is_shipped)
_REFUSED_TO_SHIP: Final = Duplicate(emit=(shipment_refused,))

# --- refunds of an order that is paid: any number of them, side by side ------------------------------------

_ASK_FOR_REFUND: Final = Step(STAYS, refund_asked, (refund_requested, refund_payment))
_TOO_MUCH: Final = Forbid("more pieces than are left to be refunded", when=of_more_than_is_left)
_REFUND_ASKED: Final = (
    Duplicate(when=asked_before),
    _TOO_MUCH,
    Forbid("an order has 100 refunds at most: ask for all that is left", when=is_one_too_many),
    _ASK_FOR_REFUND._replace(to=REFUNDING, when=of_all_that_is_left),
    _ASK_FOR_REFUND,
)
_NOTHING_LEFT_TO_ASK: Final = (Duplicate(when=asked_before), _TOO_MUCH, Duplicate())
_REFUSED_BY_GATEWAY: Final = (
    _REFUSED_UNASKED._replace(when=was_not_asked),
    Duplicate(when=is_refused),
    Duplicate(when=of_an_earlier_attempt),
    Attention("a refund was refused whose money was back", when=money_is_back),
    Step(STAYS, refund_refused),
)
_SETTLED_OUTSIDE: Final = (
    Duplicate(when=settled_so_before),
    _NOTHING_REFUSED._replace(when=is_not_refused),
)


def _done(step: Step, state: Status) -> tuple[Row, ...]:
    """The customer is told; of the last refund of an order of which nothing is left, that it was the last."""
    some = step._replace(emit=(*step.emit, order_partially_refunded))
    all_ = step._replace(to=REFUNDED, emit=(*step.emit, order_refunded), when=is_the_last)
    return (all_, some) if state is REFUNDING else (some,)


def _money_back(step: Step, state: Status) -> tuple[Row, ...]:
    """Then the goods, if any come back."""
    return (step._replace(emit=(*step.emit, release_refunded), when=with_goods), *_done(step, state))


def _refunds(state: Status) -> dict[tuple[StrEnum, type], tuple[Row, ...]]:
    """What PAID and REFUNDING have in common."""
    return {
        (state, PaymentRefunded): (
            Attention("refunded without being asked, or another amount", when=was_not_asked),
            Attention("refunded by the gateway, and before by another way", when=settled_before),
            Duplicate(when=money_is_back),
            *_money_back(Step(STAYS, money_back), state),
        ),
        (state, PaymentRefundFailed): _REFUSED_BY_GATEWAY,
        (state, SettleOutside): (
            *_SETTLED_OUTSIDE,
            *_money_back(Step(STAYS, settled_outside, (payment_settled,)), state),
        ),
        (state, StockReleased): (
            Attention("given back without a refund", when=was_not_asked),
            Duplicate(when=is_done),
            Attention("given back before the money was", when=money_is_not_back),
            *_done(Step(STAYS, goods_back), state),
        ),
    }


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
        (PENDING, PaymentPending): (_NOT_CONFIRMED_YET,),
        (PENDING, PaymentRefunded): (_NOT_CONFIRMED_YET,),
        (PENDING, RequestShipment): (_NOT_SHIPPED_YET,),
        (PENDING, CancelOrder): (_CANCEL,),
        (PENDING, TimeOut): (_TIME_OUT,),
        (PENDING, RequestRefund): _NOT_PAID_YET,
        (PENDING, PaymentRefundFailed): (_REFUSED_UNASKED,),
        (PENDING, SettleOutside): (_NOTHING_REFUSED,),
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
        # The gateway decides later: the stock is held for that, and it may be cancelled meanwhile.
        (CONFIRMED, PaymentPending): (Duplicate(when=is_known_to_be_pending), Step(STAYS, payment_waits)),
        (CONFIRMED, PaymentRefunded): (Attention("refunded before it was paid"),),
        (CONFIRMED, RequestShipment): (_NOT_SHIPPED_YET,),
        (CONFIRMED, CancelOrder): (_CANCEL_AND_REFUND, _CANCEL),
        (CONFIRMED, TimeOut): (_TIME_OUT_AND_REFUND, _TIME_OUT),
        (CONFIRMED, RequestRefund): _NOT_PAID_YET,
        (CONFIRMED, PaymentRefundFailed): (_REFUSED_UNASKED,),
        (CONFIRMED, SettleOutside): (_NOTHING_REFUSED,),
        # ---
        (PAID, StockReserved): _STOCK_TWICE,
        (PAID, StockUnavailable): _REFUSED_TWICE,
        **_refunds(PAID),
        (PAID, PaymentSucceeded): _CAPTURE_TWICE,
        (PAID, PaymentFailed): (_DECLINED_LATE,),
        (PAID, PaymentPending): (Duplicate(),),
        (PAID, RequestShipment): (
            _APPROVED,
            _REFUSED_TO_SHIP._replace(when=nothing_left_to_ship),
            Step(STAYS, goods_shipped, (shipment_approved,)),
        ),
        (PAID, CancelOrder): (Forbid("the order is paid: ask for a refund instead"),),
        (PAID, TimeOut): (Forbid("the order is paid"),),
        (PAID, RequestRefund): _REFUND_ASKED,
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
        (CANCELLED, PaymentPending): (Duplicate(),),
        (CANCELLED, RequestShipment): (_REFUSED_TO_SHIP,),
        (CANCELLED, PaymentRefunded): (
            Step(STAYS, late_money_back, when=refund_open),
            Duplicate(when=refund_done),
            Attention("refunded before it was paid"),
        ),
        (CANCELLED, PaymentRefundFailed): _REFUSED_BY_GATEWAY,
        (CANCELLED, SettleOutside): (*_SETTLED_OUTSIDE, Step(STAYS, settled_outside, (payment_settled,))),
        (CANCELLED, CancelOrder): (Duplicate(),),
        (CANCELLED, TimeOut): (Duplicate(),),
        (CANCELLED, RequestRefund): (
            Forbid("the order is cancelled: anything charged comes back by itself"),
        ),
        # ---
        (REFUNDING, StockReserved): _STOCK_TWICE,
        (REFUNDING, StockUnavailable): (
            # Its stock is on its way back: asked for again, it is refused.
            Duplicate(when=refund_done),
            *_REFUSED_TWICE,
        ),
        **_refunds(REFUNDING),
        (REFUNDING, PaymentSucceeded): _CAPTURE_TWICE,
        (REFUNDING, PaymentFailed): (_DECLINED_LATE,),
        (REFUNDING, PaymentPending): (Duplicate(),),
        (REFUNDING, RequestShipment): (_APPROVED, _REFUSED_TO_SHIP),
        (REFUNDING, CancelOrder): (_BEING_REFUNDED,),
        (REFUNDING, TimeOut): (_BEING_REFUNDED,),
        (REFUNDING, RequestRefund): _NOTHING_LEFT_TO_ASK,
        # ---
        (REFUNDED, StockReserved): _STOCK_TWICE,
        (REFUNDED, StockUnavailable): (Duplicate(),),
        (REFUNDED, StockReleased): (Duplicate(),),
        (REFUNDED, PaymentSucceeded): _CAPTURE_TWICE,
        (REFUNDED, PaymentFailed): (_DECLINED_LATE,),
        (REFUNDED, PaymentPending): (Duplicate(),),
        (REFUNDED, RequestShipment): (_APPROVED, _REFUSED_TO_SHIP),
        (REFUNDED, PaymentRefunded): (Duplicate(),),
        (REFUNDED, PaymentRefundFailed): (
            Duplicate(when=of_an_earlier_attempt),
            Attention("a refund was refused whose money was back"),
        ),
        (REFUNDED, CancelOrder): (_REFUNDED,),
        (REFUNDED, TimeOut): (_REFUNDED,),
        (REFUNDED, RequestRefund): _NOTHING_LEFT_TO_ASK,
        (REFUNDED, SettleOutside): (Duplicate(when=settled_so_before), _NOTHING_REFUSED),
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
    trigger = named(order, cast("Trigger", message.body))
    outcome = SAGA.advance(state, order, trigger)
    before = None if state is NEW else order
    after = outcome.after
    if outcome.verdict is Verdict.APPLIED:
        after = accounted(after, message, outcome.emitted)
        if after != before:
            after = _with_entry(after, before, message, trigger)
    after = marked(after, message, trigger.type, [outcome.contradiction])
    told = tuple(numbered(event, len(after.history)) for event in outcome.emitted)
    return concluded(before, after, outcome._replace(emitted=told), message)


def numbered(event: Event, steps: int) -> Event:
    """With the length of the history that it comes of, where that is told."""
    return structs.replace(event, sequence=steps) if isinstance(event, OrderNews) else event


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
        refund=getattr(trigger, "refund_request_id", None),
        actor=message.by.actor if message.by else None,
    )
    since = order.state_since if order.status is was else message.at
    # It goes with the confirmation, whose row in the outbox has it from here on, or is never needed.
    token = order.payment_token if order.status is PENDING else None
    order = structs.replace(order, state_since=since, history=(*order.history, entry), payment_token=token)
    if order.status is CONFIRMED or order.pending_payment is None:
        return order
    return structs.replace(order, pending_payment=None, reserved_until=None)


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
