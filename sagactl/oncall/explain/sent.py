"""Which events must have been published about an order, by whom, and under which ids.

What the order itself published follows from its history, entry by entry, by the table; what fulfilment was
told to publish, from the commands that it keeps. What they all answered follows from what they handled, and
from what they say today.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from msgspec import structs

from sagactl.oncall.explain.marks import CONSUMER, Marks
from sagactl.oncall.invariants import Case
from services.fulfilment import steps as shipping
from services.fulfilment.shipment import GONE, Deliver, Ship, Shipment
from services.inventory.domain import REFUSED_WITH_THE_ORDER, reserve_answer
from services.inventory.reservation import LineState as Reserved
from services.inventory.reservation import Reservation, ReservedLine
from services.order import refunds, steps
from services.order.commands import CreateOrder, RequestRefund
from services.order.histories import QUEUE_OF, caused_by, is_known
from services.order.model import HistoryEntry, LineState, Order, Progress, Status
from services.order.saga import SAGA, numbered
from services.payment.payment import (
    ASKED_AGAIN,
    UNDECIDED,
    AskAgain,
    Payment,
    PaymentRefund,
    PaymentState,
    RefundState,
    Told,
)
from services.payment.refunds import refund_of
from services.shared.contract import events, money
from services.shared.contract.events import Event, PaymentSucceeded
from services.shared.contract.identity import HTTP, cause, event_id
from services.shared.contract.table import NEW, STAYS, Emit, Step

KINDS: Final[dict[str, type]] = {kind.type: kind for _, kind in SAGA.cells}  # type: ignore[attr-defined]  # triggers
RELEASES: Final = frozenset({steps.release_stock, steps.release_late, refunds.release_refunded})
REFUNDS: Final = frozenset({refunds.refund_payment, steps.refund_capture, steps.refund_late_capture})
# What fulfilment publishes of a command.
TOLD_TO: Final[Mapping[str, Emit]] = {
    Ship.type: shipping.request_shipment,
    Deliver.type: shipping.order_delivered,
}
# What is made of the refund that its entry in the history names.
OF_A_REFUND: Final = frozenset(
    {
        refunds.refund_requested,
        refunds.refund_payment,
        refunds.payment_settled,
        refunds.release_refunded,
        refunds.order_partially_refunded,
    }
)


class Sent(NamedTuple):
    """An event that its publisher's rules made of a cause."""

    id: str
    event: Event
    publisher: str
    # `source/id`.
    cause: str
    at: datetime | None = None


def begun(case: Case) -> Iterator[Sent]:
    """All that its own publisher knows to have been published; a question before its answer."""
    said = by_fulfilment(case.shipment) if case.shipment is not None else ()
    asked = {cause(QUEUE_OF[events.RequestShipment.type], each.id): each for each in said}
    for each in by_order(case.order) if case.order is not None else ():
        if each.cause in asked:
            yield asked.pop(each.cause)
        yield each
    yield from asked.values()


# --- by the order -----------------------------------------------------------------------------------------


def by_order(order: Order) -> Iterator[Sent]:
    """All that it has published so far, as its history says."""
    for step, entry in enumerate(order.history, start=1):
        if not is_known(entry.event):
            continue
        of = caused_by(entry)
        for index, emit in enumerate(emitted(order, entry)):
            unknown = emit in OF_A_REFUND and order.refund_named(_refund(order, entry)) is None
            if unknown or (emit in REFUNDS and order.capture is None):
                continue  # a damaged document: nobody knows what was asked for
            event = numbered(_event(order, entry, emit), step)
            yield Sent(event_id(of, event.type, index), event, "order", of, entry.at)


def emitted(order: Order, entry: HistoryEntry) -> Sequence[Emit]:
    """What the entry's row of the table publishes; nothing where today's table has no such row."""
    state = NEW if entry.from_ is None else entry.from_
    rows = [
        row
        for row in SAGA.cells.get((state, KINDS.get(entry.event, CreateOrder)), ())
        if isinstance(row, Step) and (state if row.to is STAYS else row.to) == entry.to
    ]
    if len(rows) > 1:
        released = any(release.asked_by == entry.event_id for release in order.releases)
        cancelled = entry.to is Status.CANCELLED
        refunded = cancelled and _asked_for_refund(order)
        rows = [
            row
            for row in rows
            if (not RELEASES.isdisjoint(row.emit), not REFUNDS.isdisjoint(row.emit)) == (released, refunded)
        ]
    return rows[0].emit if rows else ()


def _asked_for_refund(order: Order) -> bool:
    """Whether it asked for its money when it was cancelled: it does so once, then or of a late payment."""
    if order.refund is Progress.NONE:
        return False
    late = any(
        each.event == PaymentSucceeded.type and each.from_ is Status.CANCELLED for each in order.history
    )
    return not late


def _event(order: Order, entry: HistoryEntry, emit: Emit) -> Event:
    """What was published at the entry, made of the order as it is today: bodies may differ in what no rule
    looks at.
    """
    # Of all triggers an event is made of the reason and the refund of this one alone.
    trigger = RequestRefund(
        order_id=order.id,
        customer_id=None,
        reason=entry.reason or "",
        refund_request_id=_refund(order, entry),
    )
    return cast("Event", emit(_as_at(order, entry), trigger))


def _refund(order: Order, entry: HistoryEntry) -> str:
    """Of which the entry is: an older release knew one only, which has the order's id."""
    return entry.refund or order.id


def _as_at(order: Order, entry: HistoryEntry) -> Order:
    """With its lines as they were at the entry: those that were not refused were held, and sold with it."""
    if entry.to not in {Status.CONFIRMED, Status.PAID}:
        return order
    state = LineState.HELD if entry.to is Status.CONFIRMED else LineState.SOLD
    kept = tuple(
        line if line.state in {LineState.REFUSED, LineState.REQUESTED} else structs.replace(line, state=state)
        for line in order.lines
    )
    return structs.replace(order, lines=kept)


# --- by fulfilment ----------------------------------------------------------------------------------------


def by_fulfilment(shipment: Shipment) -> Iterator[Sent]:
    """What whoever sends the goods had it say. A shipment that is older than its commands tells nothing."""
    for command in shipment.commands:
        if command.event not in TOLD_TO:
            continue  # of a newer release
        of = cause(HTTP, command.event_id)
        event = cast("Event", TOLD_TO[command.event](shipment, None))
        yield Sent(event_id(of, event.type, 0), event, "fulfilment", of, command.at)


# --- by those who answer it -------------------------------------------------------------------------------


def answers(marks: Marks, queue: str, id_: str, event: Event) -> Sequence[Sent]:
    """What its consumer may have answered, the likeliest first; nothing where it answers nothing."""
    of = cause(queue, id_)
    match event:
        case events.ReserveStock():
            likely, publisher = _reserve_answers(marks.case.reservation, event), "inventory"
        case events.ReleaseStock() | events.PaymentFailed() if queue != QUEUE_OF[events.PaymentFailed.type]:
            likely, publisher = _release_answers(marks.case.reservation, event), "inventory"
        case events.OrderConfirmed() | events.OrderCancelled() if CONSUMER[queue] == "payment":
            likely, publisher = _charge_answers(marks.case.payment, event, of), "payment"
        case events.RefundPayment() if event.settled_outside is None:
            likely, publisher = _refund_answers(marks.case.payment, event), "payment"
        case events.RequestShipment():
            likely, publisher = _shipment_answers(marks.case.order, event), "order"
        case events.ShipmentApproved():
            likely, publisher = _approval_answers(marks.case.shipment, event), "fulfilment"
        case _:
            return ()
    return [Sent(event_id(of, each.type, 0), each, publisher, of) for each in likely]


def asked_again(payment: Payment | None, event: Event) -> Iterator[Sent]:
    """What payment said of itself, as time brought it up: what became of a charge that was decided on later;
    of a refund that the gateway had refused, that it was made at last.
    """
    if payment is not None and isinstance(event, events.OrderConfirmed):
        for told in payment.told:
            if told.type and told.cause.startswith(cause(ASKED_AGAIN, "")):
                answer = _of_a_charge(payment, told.type)
                yield Sent(event_id(told.cause, told.type, 0), answer, "payment", told.cause)
    if payment is None or not isinstance(event, events.RefundPayment) or event.settled_outside:
        return
    refund = refund_of(payment, event)
    if refund is not None and refund.attempt and refund.state is RefundState.REFUNDED:
        ask = AskAgain(payment.id, refund.request_id, refund.amount, refund.attempt)
        of = cause(ASKED_AGAIN, ask.id)
        for answer in _answered(payment, refund):
            yield Sent(event_id(of, answer.type, 0), answer, "payment", of)


def expects_answer(marks: Marks, queue: str, id_: str, event: Event) -> bool:
    """Whether what was handled must have been answered: not where it contradicted what happened, not where
    the order was never to be charged, and not while the payment gateway has not answered.
    """
    home = marks.home(queue)
    if home is None or any(each.event_id == id_ for each in home.attention):
        return False
    if isinstance(home, Payment) and isinstance(event, events.OrderConfirmed | events.OrderCancelled):
        told = _told(home, cause(queue, id_))
        if told or isinstance(event, events.OrderCancelled):
            return any(each.type for each in told)
        return home.state is not PaymentState.VOIDED and home.state not in UNDECIDED
    if isinstance(home, Payment) and isinstance(event, events.RefundPayment):
        refund = None if event.settled_outside else refund_of(home, event)
        return refund is not None and (refund.state is not RefundState.ASKED or refund.attempt > 0)
    return True


def _reserve_answers(found: Reservation | None, event: events.ReserveStock) -> Sequence[Event]:
    lines = [_as_answered(found.line(line.product_id) if found else None, line) for line in event.products]
    answer = reserve_answer(event, tuple(lines))
    if isinstance(answer, events.StockReserved):
        other: Event = events.StockUnavailable(order_id=event.order_id, missing=(), reason="")
    else:
        other = events.StockReserved(order_id=event.order_id, products=event.products)
    return answer, other


def _as_answered(line: ReservedLine | None, wanted: events.Line) -> ReservedLine:
    """The line before anything of it was given back; a line that is not known is one that will be held."""
    if line is None:
        return ReservedLine(product_id=wanted.product_id, state=Reserved.HELD, quantity=wanted.quantity)
    if line.is_given_back and line.reason != REFUSED_WITH_THE_ORDER:
        return structs.replace(line, state=Reserved.HELD)
    return line


def _release_answers(
    found: Reservation | None, event: events.ReleaseStock | events.PaymentFailed
) -> Sequence[Event]:
    order_id = event.order_id
    if isinstance(event, events.ReleaseStock) and event.products:
        id_ = event.refund_request_id
        return (events.StockReleased(order_id=order_id, products=event.products, refund_request_id=id_),)
    lines = found.lines if found else ()
    back = tuple(events.Line(line.product_id, line.quantity) for line in lines if line.is_given_back)
    return (events.StockReleased(order_id=order_id, products=back),)


def _charge_answers(
    payment: Payment | None, event: events.OrderConfirmed | events.OrderCancelled, of: str
) -> Sequence[Event]:
    """As the payment has noted. What it has not goes without saying."""
    if payment is None or not payment.currency:
        return ()
    told = _told(payment, of)
    if told or isinstance(event, events.OrderCancelled):
        return [_of_a_charge(payment, each.type) for each in told if each.type]
    captured = _of_a_charge(payment, events.PaymentSucceeded.type)
    declined = _of_a_charge(payment, events.PaymentFailed.type)
    return (declined, captured) if payment.state is PaymentState.DECLINED else (captured, declined)


def _told(payment: Payment, of: str) -> Sequence[Told]:
    return [each for each in payment.told if each.cause == of]


def _of_a_charge(payment: Payment, type_: str) -> Event:
    known: dict[str, Any] = {
        "order_id": payment.id,
        "transaction_id": payment.transaction_id,
        "amount": money.to_decimal(payment.amount, payment.currency),
        "currency": payment.currency,
    }
    match type_:
        case events.PaymentFailed.type:
            return events.PaymentFailed(**known, reason=payment.reason)
        case events.PaymentPending.type:
            return events.PaymentPending(**known, next_action=payment.next_action)
        case _:
            return events.PaymentSucceeded(**known)


def _refund_answers(payment: Payment | None, event: events.RefundPayment) -> Sequence[Event]:
    """To the first time it was asked for: if it was asked for again, that was refused."""
    if payment is None or not payment.currency:
        return ()
    refund = refund_of(payment, event)
    if refund is None:
        return _answered(payment, PaymentRefund(amount=payment.amount, state=RefundState.REFUNDED))
    refused = structs.replace(refund, state=RefundState.REFUSED)
    done = structs.replace(refund, state=RefundState.REFUNDED)
    first = refused if refund.attempt or refund.state is RefundState.REFUSED else done
    other = done if first is refused else refused
    return (*_answered(payment, first), *_answered(payment, other))


def _answered(payment: Payment, refund: PaymentRefund) -> Sequence[Event]:
    """Nothing while it is being asked for."""
    amount, name = money.to_decimal(refund.amount, payment.currency), refund.request_id or None
    match refund.state:
        case RefundState.REFUNDED:
            refunded = events.PaymentRefunded(
                order_id=payment.id,
                transaction_id=payment.transaction_id,
                refund_id=refund.refund_id,
                amount=amount,
                currency=payment.currency,
                refund_request_id=name,
                attempt=refund.attempt,
            )
            return (refunded,)
        case RefundState.REFUSED:
            failed = events.PaymentRefundFailed(
                order_id=payment.id,
                amount=amount,
                currency=payment.currency,
                reason=refund.reason,
                refund_request_id=name,
            )
            return (failed,)
        case RefundState.ASKED | RefundState.OUTSIDE:
            return ()


def _shipment_answers(order: Order | None, event: events.RequestShipment) -> Sequence[Event]:
    """That nothing may go. That something may is a step of the order's history."""
    if order is None or order.shipped:
        return ()
    return (steps.shipment_refused(order, event),)


def _approval_answers(shipment: Shipment | None, event: events.ShipmentApproved) -> Sequence[Event]:
    if shipment is None or shipment.state not in GONE:
        return ()
    return (shipping.order_shipped(shipment, event),)
