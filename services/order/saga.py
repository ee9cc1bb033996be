"""The saga, as one table: what an order does about every event in every state.

The table runs the service, draws the README's diagram, and is what the tests go through cell by cell.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import structs

from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.model import Contradiction, Entry, Line, LineState, Order, Progress, Status
from services.shared import events, money
from services.shared.decisions import Decision, Message, Premature, Refused, Verdict
from services.shared.events import (
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

# What came: an event or a command, always about one order.
Trigger: TypeAlias = Any
# Whoever sends nonsense for ever does not fill the document.
ATTENTION_LIMIT: Final = 50

# --- guards -----------------------------------------------------------------------------------------------


def always(_: Order, __: Trigger) -> bool:
    return True


def names_our_lines(order: Order, event: StockReserved) -> bool:
    """Every product and quantity is a line of the order, and nothing is missing that must not be."""
    ours = {line.product_id: line.quantity for line in order.lines}
    answered = [(line.product_id, line.quantity) for line in event.products]
    answered += [(line.product_id, line.requested) for line in event.missing]
    allowed = order.fulfilment == "partial" or not event.missing
    return allowed and all(ours.get(product_id) == quantity for product_id, quantity in answered)


def all_lines_answered(order: Order, event: StockReserved) -> bool:
    return names_our_lines(order, event) and all(
        line.state is not LineState.REQUESTED for line in lines_held(order, event).lines
    )


def one_product_refused(_: Order, event: StockUnavailable) -> bool:
    """The older, per-product form: other lines are held, or may become so."""
    return event.product_id is not None


def some_line_held(order: Order, _: Trigger) -> bool:
    return any(line.state is LineState.HELD for line in order.lines)


def refused_beside_held(order: Order, event: StockUnavailable) -> bool:
    return one_product_refused(order, event) or some_line_held(order, event)


def not_kept_anyway(order: Order, event: StockUnavailable) -> bool:
    """Asked for again, by itself perhaps, what was refused or given back before is refused."""
    gone = {line.product_id for line in order.lines if line.state in {LineState.REFUSED, LineState.RELEASED}}
    named = {event.product_id} if event.product_id else {line.product_id for line in event.missing}
    return bool(named) and named <= gone


def paid_as_asked(order: Order, event: PaymentSucceeded) -> bool:
    return event.currency == order.currency and _minor(event) == order.total and _nothing_released(order)


def _nothing_released(order: Order) -> bool:
    return all(line.state is not LineState.RELEASED for line in order.lines)


def same_capture(order: Order, event: PaymentSucceeded) -> bool:
    return order.transaction_id == event.transaction_id


def no_capture_yet(order: Order, _: Trigger) -> bool:
    return order.transaction_id is None


def release_open(order: Order, _: Trigger) -> bool:
    return order.releases_open > 0


def refund_open(order: Order, _: Trigger) -> bool:
    return order.refund is Progress.PENDING


def refund_done(order: Order, _: Trigger) -> bool:
    return order.refund is Progress.DONE


# --- what is recorded -------------------------------------------------------------------------------------


def lines_held(order: Order, event: StockReserved) -> Order:
    answers = {line.product_id: LineState.HELD for line in event.products}
    answers |= {line.product_id: LineState.REFUSED for line in event.missing}
    order = _lines(order, lambda line: answers.get(line.product_id, line.state))
    # What is not there is not charged.
    served = (line for line in order.lines if line.state is not LineState.REFUSED)
    return structs.replace(order, total=sum(line.price * line.quantity for line in served))


def lines_refused(order: Order, event: StockUnavailable) -> Order:
    """All that were asked for together, or the one product of the older form."""

    def refused(line: Line) -> bool:
        return line.state is LineState.REQUESTED and event.product_id in {None, line.product_id}

    order = _lines(order, lambda line: LineState.REFUSED if refused(line) else line.state)
    return _cancelled(order, "OUT_OF_STOCK", event.reason)


def lines_refused_and_release(order: Order, event: StockUnavailable) -> Order:
    return _release_asked(lines_refused(order, event))


def lines_sold(order: Order, event: PaymentSucceeded) -> Order:
    order = _lines(order, lambda line: LineState.SOLD if line.state is LineState.HELD else line.state)
    return structs.replace(order, transaction_id=event.transaction_id)


def lines_released(order: Order, event: StockReleased) -> Order:
    """Inventory says what it gave back; where it had held nothing, there was nothing to give."""
    named = {line.product_id for line in event.products}

    def given_back(line: Line) -> bool:
        return line.product_id in named and line.state is not LineState.REFUSED

    order = _lines(order, lambda line: LineState.RELEASED if given_back(line) else line.state)
    return structs.replace(order, stock_compensation=Progress.DONE)


def release_answered(order: Order, event: StockReleased) -> Order:
    still_open = order.releases_open - 1
    order = structs.replace(lines_released(order, event), releases_open=still_open)
    return structs.replace(order, stock_compensation=Progress.PENDING) if still_open else order


def payment_declined(order: Order, event: PaymentFailed) -> Order:
    return _release_asked(_cancelled(order, "PAYMENT_FAILED", event.reason))


def cancelled_by_customer(order: Order, _: CancelOrder) -> Order:
    return _release_asked(_cancelled(order, "CUSTOMER_CANCELLED", None))


def timed_out(order: Order, command: TimeOut) -> Order:
    return _release_asked(_cancelled(order, "SAGA_TIMEOUT", command.reason))


def release_again(order: Order, event: StockReserved) -> Order:
    return _release_asked(lines_held(order, event) if names_our_lines(order, event) else order)


def captured_late(order: Order, event: PaymentSucceeded) -> Order:
    return structs.replace(order, transaction_id=event.transaction_id, refund=Progress.PENDING)


def refund_asked(order: Order, _: RequestRefund) -> Order:
    return structs.replace(order, refund=Progress.PENDING)


def money_back(order: Order, _: PaymentRefunded) -> Order:
    return structs.replace(order, refund=Progress.DONE)


def money_back_and_release(order: Order, event: PaymentRefunded) -> Order:
    return _release_asked(money_back(order, event))


def _lines(order: Order, state_of: Callable[[Line], LineState]) -> Order:
    lines = tuple(structs.replace(line, state=state_of(line)) for line in order.lines)
    return structs.replace(order, lines=lines)


def _cancelled(order: Order, reason: str, detail: str | None) -> Order:
    return structs.replace(order, cancellation_reason=reason, cancellation_detail=detail)


def _release_asked(order: Order) -> Order:
    return structs.replace(order, stock_compensation=Progress.PENDING, releases_open=order.releases_open + 1)


# --- what is published ------------------------------------------------------------------------------------


def order_confirmed(order: Order, _: Trigger) -> Event:
    priced = (
        events.PricedLine(line.product_id, line.quantity, money.to_decimal(line.price, order.currency))
        for line in order.lines
        if line.state is LineState.HELD
    )
    return events.OrderConfirmed(
        order_id=order.id,
        customer_id=order.customer_id,
        total_price=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        products=tuple(priced),
        payment_token=order.payment_token,
    )


def order_paid(order: Order, _: Trigger) -> Event:
    return events.OrderPaid(
        order_id=order.id,
        total_price=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        products=tuple(
            events.Line(line.product_id, line.quantity)
            for line in order.lines
            if line.state is LineState.SOLD
        ),
        email=order.email,
    )


def order_cancelled(order: Order, _: Trigger) -> Event:
    return events.OrderCancelled(order_id=order.id, reason=order.cancellation_reason or "", email=order.email)


def order_refunded(order: Order, _: Trigger) -> Event:
    return events.OrderRefunded(
        order_id=order.id,
        total_price=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        email=order.email,
    )


def refund_requested(order: Order, command: RequestRefund) -> Event:
    return events.RefundRequested(order_id=order.id, reason=command.reason)


def refund_late_capture(order: Order, event: PaymentSucceeded) -> Event:
    return events.RefundPayment(
        order_id=order.id, amount=event.amount, currency=event.currency, reason="LATE_PAYMENT"
    )


def refund_payment(order: Order, command: RequestRefund) -> Event:
    return events.RefundPayment(
        order_id=order.id,
        amount=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        reason=command.reason,
    )


def release_because(reason: str) -> Callable[[Order, Trigger], Event]:
    def release_stock(order: Order, _: Trigger) -> Event:
        return events.ReleaseStock(order_id=order.id, reason=reason)

    return release_stock


# --- the table --------------------------------------------------------------------------------------------

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


def _minor(event: PaymentSucceeded) -> int:
    return money.to_minor(event.amount, event.currency)


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
