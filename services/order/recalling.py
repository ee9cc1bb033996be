"""What may have come: messages and commands, as far as an order's history and the order itself tell of them.

A history keeps of what came its name, its id, its reason and the lines that it changed, and not its body.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import (
    Capture,
    HistoryEntry,
    Line,
    LineState,
    Order,
    Progress,
    Refund,
    Status,
)
from services.order.refunds import products
from services.order.steps import Trigger
from services.shared.contract import events, money
from services.shared.contract.table import Contradiction


def as_placed(order: Order) -> Order:
    """The order before anything had come."""
    lines = tuple(structs.replace(line, state=LineState.REQUESTED) for line in order.lines)
    return structs.replace(
        order,
        status=Status.PENDING,
        lines=lines,
        total=sum(line.price * line.quantity for line in lines),
        pending_payment=None,
        reserved_until=None,
        cancellation_reason=None,
        cancellation_detail=None,
        refund_reason=None,
        capture=None,
        releases=(),
        shipped=(),
        refund=Progress.NONE,
        refunds=(),
        history=(),
        attention=(),
    )


def odd_capture(order: Order) -> Contradiction | None:
    """The contradiction by which the order knows its capture, where no step tells of it: the first one."""
    type_ = events.PaymentSucceeded.type
    if order.capture is None or any(entry.event == type_ for entry in order.history):
        return None
    return next((each for each in order.attention if each.event == type_), None)


def triggers(order: Order, before: Order, entry: HistoryEntry) -> Iterator[Trigger]:
    """All that may have made `before` take the step, the likeliest first; `order` is what became of it.

    Nothing, of an event that this release does not know.
    """
    recall = _RECALL.get(entry.event)
    return iter(()) if recall is None else recall(order, before, entry)


def _created(order: Order, before: Order, _: HistoryEntry) -> Iterator[CreateOrder]:
    yield CreateOrder(
        order_id=order.id,
        customer_id=order.customer_id,
        email=order.email,
        lines=before.lines,
        currency=order.currency,
        fulfilment=order.fulfilment,
        payment_token=None,
    )


def _cancelled(order: Order, _: Order, __: HistoryEntry) -> Iterator[CancelOrder]:
    yield CancelOrder(order_id=order.id, customer_id=None)


def _refund(order: Order, entry: HistoryEntry) -> Refund | None:
    """Which the entry is about: an older release knew one only, which has the order's id."""
    return order.refund_named(entry.refund or order.id)


def _refund_asked(order: Order, _: Order, entry: HistoryEntry) -> Iterator[RequestRefund]:
    refund = _refund(order, entry)
    yield RequestRefund(
        order_id=order.id,
        customer_id=None,
        reason=entry.reason or "",
        refund_request_id=refund.id if refund else order.id,
        lines=refund.lines if refund else (),
        request_hash=refund.request if refund else "",
    )


def _settled(order: Order, _: Order, entry: HistoryEntry) -> Iterator[SettleOutside]:
    if (refund := _refund(order, entry)) is not None:
        yield SettleOutside(
            order_id=order.id,
            refund_request_id=refund.id,
            reference=refund.outside,
            reason=entry.reason or "",
        )


def _refund_failed(order: Order, _: Order, entry: HistoryEntry) -> Iterator[events.PaymentRefundFailed]:
    if (refund := _refund(order, entry)) is not None:
        yield events.PaymentRefundFailed(
            order_id=order.id,
            amount=money.to_decimal(refund.amount, order.refund_currency),
            currency=order.refund_currency,
            reason=entry.reason or "",
            refund_request_id=refund.id,
        )


def _timed_out(order: Order, before: Order, entry: HistoryEntry) -> Iterator[TimeOut]:
    yield TimeOut(order_id=order.id, status=before.status, older_than=0, reason=entry.reason or "")


def _declined(order: Order, _: Order, entry: HistoryEntry) -> Iterator[events.PaymentFailed]:
    yield events.PaymentFailed(
        order_id=order.id,
        transaction_id="",
        amount=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        reason=entry.reason or "",
    )


def _captured(order: Order, _: Order, __: HistoryEntry) -> Iterator[events.PaymentSucceeded]:
    yield succeeded(order)


def _pending(order: Order, _: Order, entry: HistoryEntry) -> Iterator[events.PaymentPending]:
    """What the customer had to do is forgotten once it is decided; that it was something new is not."""
    yield events.PaymentPending(
        order_id=order.id,
        transaction_id=entry.event_id,
        amount=money.to_decimal(order.total, order.currency),
        currency=order.currency,
    )


def _money_back(order: Order, _: Order, entry: HistoryEntry) -> Iterator[events.PaymentRefunded]:
    capture, refund = _capture(order), _refund(order, entry)
    yield events.PaymentRefunded(
        order_id=order.id,
        transaction_id=capture.transaction_id,
        refund_id="",
        amount=money.to_decimal(refund.amount if refund else capture.amount, capture.currency),
        currency=capture.currency,
        refund_request_id=refund.id if refund else None,
        attempt=refund.attempt if refund else 0,
    )


def _shipped(order: Order, _: Order, __: HistoryEntry) -> Iterator[events.RequestShipment]:
    yield events.RequestShipment(order_id=order.id)


def _changed(order: Order, entry: HistoryEntry, to: LineState) -> tuple[Line, ...]:
    changed = {change.product_id for change in entry.lines if change.to is to}
    return tuple(line for line in order.lines if line.product_id in changed)


def _reserved(order: Order, _: Order, entry: HistoryEntry) -> Iterator[events.StockReserved]:
    """Without a list all lines changed, or none: then it was about no line of ours."""
    held = _changed(order, entry, LineState.HELD) if entry.lines else order.lines
    refused = _changed(order, entry, LineState.REFUSED)
    missing = tuple(events.Missing(line.product_id, line.quantity, 0) for line in refused)
    yield events.StockReserved(order_id=order.id, products=products(held), missing=missing)
    if not entry.lines:
        yield events.StockReserved(order_id=order.id, products=(events.Line("", 1),))


def _unavailable(order: Order, before: Order, entry: HistoryEntry) -> Iterator[events.StockUnavailable]:
    """Of all lines, or, in the older form, of one: that which changed, or one that did not."""
    reason = entry.reason or ""
    yield events.StockUnavailable(order_id=order.id, missing=(), reason=reason)
    one = [change.product_id for change in entry.lines]
    if not one:
        there = [line.product_id for line in before.lines if line.state is not LineState.REQUESTED]
        one = there[:1] or [line.product_id for line in order.lines]
    if len(one) == 1:
        yield events.StockUnavailable(order_id=order.id, missing=(), reason=reason, product_id=one[0])


def _released(order: Order, before: Order, entry: HistoryEntry) -> Iterator[events.StockReleased]:
    """Of a refund, what comes back by it. Without a list all lines changed, or none."""
    refund = _refund(order, entry)
    if refund is not None and before.status in {Status.PAID, Status.REFUNDING}:
        yield events.StockReleased(
            order_id=order.id, products=products(refund.goods), refund_request_id=refund.id
        )
    back = _changed(order, entry, LineState.RELEASED) if entry.lines else order.lines
    yield events.StockReleased(order_id=order.id, products=products(back))
    if not entry.lines:
        yield events.StockReleased(order_id=order.id, products=())


def _capture(order: Order) -> Capture:
    """What the order knows of it; of one that knows nothing, what it would have been."""
    return order.capture or Capture("", order.total, order.currency)


def succeeded(order: Order) -> events.PaymentSucceeded:
    capture = _capture(order)
    return events.PaymentSucceeded(
        order_id=order.id,
        transaction_id=capture.transaction_id,
        amount=money.to_decimal(capture.amount, capture.currency),
        currency=capture.currency,
    )


_RECALL: Final[Mapping[str, Callable[[Order, Order, HistoryEntry], Iterator[Trigger]]]] = {
    CreateOrder.type: _created,
    CancelOrder.type: _cancelled,
    RequestRefund.type: _refund_asked,
    TimeOut.type: _timed_out,
    events.StockReserved.type: _reserved,
    events.StockUnavailable.type: _unavailable,
    events.StockReleased.type: _released,
    events.PaymentSucceeded.type: _captured,
    events.PaymentFailed.type: _declined,
    events.PaymentPending.type: _pending,
    SettleOutside.type: _settled,
    events.PaymentRefunded.type: _money_back,
    events.RequestShipment.type: _shipped,
    events.PaymentRefundFailed.type: _refund_failed,
}
