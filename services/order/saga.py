"""The saga, as one table: what an order does about every event in every state.

The table runs the service, draws the README's diagram, and is what the tests go through cell by cell.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import structs

from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.model import Contradiction, Entry, Order, Status
from services.order.steps import (
    Trigger,
    all_lines_answered,
    always,
    cancelled_by_customer,
    captured_late,
    lines_held,
    lines_refused,
    lines_refused_and_release,
    lines_released,
    lines_sold,
    money_back,
    money_back_and_release,
    names_our_lines,
    no_capture_yet,
    not_kept_anyway,
    order_cancelled,
    order_confirmed,
    order_paid,
    order_refunded,
    paid_as_asked,
    payment_declined,
    refund_asked,
    refund_done,
    refund_late_capture,
    refund_open,
    refund_payment,
    refund_requested,
    refused_beside_held,
    release_again,
    release_answered,
    release_because,
    release_open,
    same_capture,
    timed_out,
)
from services.shared.contract.decisions import Decision, Message, Premature, Refused, Verdict
from services.shared.contract.events import (
    Event,
    PaymentFailed,
    PaymentRefunded,
    PaymentSucceeded,
    StockReleased,
    StockReserved,
    StockUnavailable,
)

PENDING, CONFIRMED, PAID = Status.PENDING, Status.CONFIRMED, Status.PAID
CANCELLED, REFUNDING, REFUNDED = Status.CANCELLED, Status.REFUNDING, Status.REFUNDED

# Whoever sends nonsense for ever does not fill the document.
ATTENTION_LIMIT: Final = 50

Guard: TypeAlias = Callable[[Order, Any], bool]
Record: TypeAlias = Callable[[Order, Any], Order]
Emit: TypeAlias = Callable[[Order, Any], Event]


class Step(NamedTuple):
    """The order moves on (or stays, having learnt something), and says so."""

    to: Status
    record: Record
    emit: tuple[Emit, ...] = ()
    when: Guard = always


class Duplicate(NamedTuple):
    """Known already: ignored, and counted."""

    when: Guard = always


class TooEarly(NamedTuple):
    """Ahead of its cause: to be tried again."""

    when: Guard = always


class Attention(NamedTuple):
    """Contradicts what happened: recorded on the order, for a human to look at."""

    reason: str
    when: Guard = always


class Forbid(NamedTuple):
    """A command that the state does not allow."""

    reason: str
    when: Guard = always


Row: TypeAlias = Step | Duplicate | TooEarly | Attention | Forbid

_STOCK_TWICE: Final = (
    Duplicate(when=names_our_lines),
    Attention("a reservation that is not the order's lines"),
)
_REFUSED_TWICE: Final = (Duplicate(when=not_kept_anyway), Attention("refused after it was reserved"))
_CAPTURE_TWICE: Final = (Duplicate(when=same_capture), Attention("captured a second time"))

# The rows of a cell are tried in turn; the last one always holds.
SAGA: Final[
    dict[tuple[Status, type[Event] | type[CancelOrder | RequestRefund | TimeOut]], tuple[Row, ...]]
] = {
    (PENDING, StockReserved): (
        Step(CONFIRMED, lines_held, (order_confirmed,), when=all_lines_answered),
        Step(PENDING, lines_held, when=names_our_lines),
        Attention("a reservation that is not the order's lines"),
    ),
    (PENDING, StockUnavailable): (
        Step(
            CANCELLED,
            lines_refused_and_release,
            (release_because("LATE_RESERVATION"), order_cancelled),
            when=refused_beside_held,
        ),
        Step(CANCELLED, lines_refused, (order_cancelled,)),
    ),
    (PENDING, StockReleased): (Attention("released before anything was confirmed"),),
    (PENDING, PaymentSucceeded): (TooEarly(),),
    (PENDING, PaymentFailed): (TooEarly(),),
    (PENDING, PaymentRefunded): (TooEarly(),),
    (PENDING, CancelOrder): (
        Step(CANCELLED, cancelled_by_customer, (release_because("CUSTOMER_CANCELLED"), order_cancelled)),
    ),
    (PENDING, TimeOut): (Step(CANCELLED, timed_out, (release_because("SAGA_TIMEOUT"), order_cancelled)),),
    (PENDING, RequestRefund): (Forbid("the order is not paid yet: cancel it instead"),),
    # ---
    (CONFIRMED, StockReserved): _STOCK_TWICE,
    (CONFIRMED, StockUnavailable): _REFUSED_TWICE,
    (CONFIRMED, StockReleased): (Step(CONFIRMED, lines_released),),
    (CONFIRMED, PaymentSucceeded): (
        Step(PAID, lines_sold, (order_paid,), when=paid_as_asked),
        Attention("paid another amount, or for lines that were given back"),
    ),
    (CONFIRMED, PaymentFailed): (
        Step(CANCELLED, payment_declined, (release_because("PAYMENT_FAILED"), order_cancelled)),
    ),
    (CONFIRMED, PaymentRefunded): (Attention("refunded before it was paid"),),
    (CONFIRMED, CancelOrder): (
        Step(CANCELLED, cancelled_by_customer, (release_because("CUSTOMER_CANCELLED"), order_cancelled)),
    ),
    (CONFIRMED, TimeOut): (Step(CANCELLED, timed_out, (release_because("SAGA_TIMEOUT"), order_cancelled)),),
    (CONFIRMED, RequestRefund): (Forbid("the order is not paid yet: cancel it instead"),),
    # ---
    (PAID, StockReserved): _STOCK_TWICE,
    (PAID, StockUnavailable): _REFUSED_TWICE,
    (PAID, StockReleased): (Attention("given back after it was sold"),),
    (PAID, PaymentSucceeded): _CAPTURE_TWICE,
    (PAID, PaymentFailed): (Attention("declined after it was captured"),),
    (PAID, PaymentRefunded): (Attention("refunded without being asked"),),
    (PAID, CancelOrder): (Forbid("the order is paid: ask for a refund instead"),),
    (PAID, TimeOut): (Forbid("the order is paid"),),
    (PAID, RequestRefund): (Step(REFUNDING, refund_asked, (refund_requested, refund_payment)),),
    # ---
    (CANCELLED, StockReserved): (Step(CANCELLED, release_again, (release_because("LATE_RESERVATION"),)),),
    (CANCELLED, StockUnavailable): (Duplicate(),),
    (CANCELLED, StockReleased): (
        Step(CANCELLED, release_answered, when=release_open),
        Duplicate(),
    ),
    (CANCELLED, PaymentSucceeded): (
        # The one and only trigger of a late refund.
        Step(CANCELLED, captured_late, (refund_late_capture,), when=no_capture_yet),
        *_CAPTURE_TWICE,
    ),
    (CANCELLED, PaymentFailed): (Duplicate(),),
    (CANCELLED, PaymentRefunded): (
        Step(CANCELLED, money_back, when=refund_open),
        Duplicate(when=refund_done),
        Attention("refunded before it was paid"),
    ),
    (CANCELLED, CancelOrder): (Duplicate(),),
    (CANCELLED, TimeOut): (Duplicate(),),
    (CANCELLED, RequestRefund): (Forbid("the order is cancelled: what was paid comes back by itself"),),
    # ---
    (REFUNDING, StockReserved): _STOCK_TWICE,
    (REFUNDING, StockUnavailable): (
        # Its stock is on its way back: who asks for it again is refused.
        Duplicate(when=refund_done),
        *_REFUSED_TWICE,
    ),
    (REFUNDING, StockReleased): (
        Step(REFUNDED, release_answered, (order_refunded,), when=refund_done),
        Attention("given back before the money was"),
    ),
    (REFUNDING, PaymentSucceeded): _CAPTURE_TWICE,
    (REFUNDING, PaymentFailed): (Attention("declined after it was captured"),),
    (REFUNDING, PaymentRefunded): (
        Step(REFUNDING, money_back_and_release, (release_because("REFUND"),), when=refund_open),
        Duplicate(),
    ),
    (REFUNDING, CancelOrder): (Forbid("the order is being refunded"),),
    (REFUNDING, TimeOut): (Forbid("the order is being refunded"),),
    (REFUNDING, RequestRefund): (Duplicate(),),
    # ---
    (REFUNDED, StockReserved): _STOCK_TWICE,
    (REFUNDED, StockUnavailable): (Duplicate(),),
    (REFUNDED, StockReleased): (Duplicate(),),
    (REFUNDED, PaymentSucceeded): _CAPTURE_TWICE,
    (REFUNDED, PaymentFailed): (Attention("declined after it was captured"),),
    (REFUNDED, PaymentRefunded): (Duplicate(),),
    (REFUNDED, CancelOrder): (Forbid("the order is refunded"),),
    (REFUNDED, TimeOut): (Forbid("the order is refunded"),),
    (REFUNDED, RequestRefund): (Duplicate(),),
}


def advance(order: Order, message: Message) -> Decision:
    """What the order does about `message`. Raises Premature, or Refused for a command the state forbids."""
    trigger: Trigger = message.body
    row = next(row for row in SAGA[order.status, type(trigger)] if row.when(order, trigger))
    match row:
        case Step():
            return _step(order, message, row)
        case Duplicate():
            return Decision(reply=order, verdict=Verdict.DUPLICATE)
        case TooEarly():
            raise Premature(f"{trigger.type} for an order that is {order.status}")
        case Forbid():
            raise Refused(row.reason)
        case Attention():  # pragma: no branch  # there is no other kind
            return _contradiction(order, message, row.reason)


def _step(order: Order, message: Message, step: Step) -> Decision:
    trigger: Trigger = message.body
    entry = Entry(message.at, trigger.type, order.status, step.to, message.id, message.trace_id)
    after = step.record(order, trigger)
    after = structs.replace(
        after,
        status=step.to,
        state_since=order.state_since if step.to is order.status else message.at,
        updated_at=message.at,
        history=(*order.history, entry),
    )
    emitted = tuple(emit(after, trigger) for emit in step.emit)
    return Decision(changed=(after,), events=emitted, reply=after)


def _contradiction(order: Order, message: Message, reason: str) -> Decision:
    trigger: Trigger = message.body
    if any(each.event_id == message.id for each in order.attention):
        return Decision(reply=order, verdict=Verdict.DUPLICATE)
    seen = Contradiction(message.at, trigger.type, message.id, reason)
    latest = (*order.attention, seen)[-ATTENTION_LIMIT:]
    after = structs.replace(order, attention=latest, updated_at=message.at)
    return Decision(changed=(after,), reply=after, verdict=Verdict.ATTENTION)


# --- reading a history ------------------------------------------------------------------------------------

CREATED: Final = "ORDER_CREATED"


def replay(history: Iterable[Entry]) -> Status:
    """Follows a history through the table and returns where it ends. Raises ValueError where it cannot have
    happened.
    """
    steps = {
        (status, trigger.type, row.to)
        for (status, trigger), rows in SAGA.items()
        for row in rows
        if isinstance(row, Step)
    }
    status: Status | None = None
    for number, entry in enumerate(history):
        if entry.from_ != status:
            raise ValueError(f"entry {number} starts from {entry.from_}, but the order was {status}")
        allowed = (
            (entry.event, entry.to) == (CREATED, PENDING)
            if status is None
            else (status, entry.event, entry.to) in steps
        )
        if not allowed:
            raise ValueError(f"entry {number}: {entry.event} does not lead from {status} to {entry.to}")
        status = entry.to
    if status is None:
        raise ValueError("an order has a history")
    return status
