"""The words that the saga's table is written in: when a row holds, what it records, what it publishes."""

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import structs

from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.model import Line, LineState, Order, Progress
from services.shared.contract import events, money
from services.shared.contract.events import (
    Event,
    PaymentFailed,
    PaymentRefunded,
    PaymentSucceeded,
    StockReleased,
    StockReserved,
    StockUnavailable,
)

# What came: an event or a command, always about one order.
Trigger: TypeAlias = Any

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


def _minor(event: PaymentSucceeded) -> int:
    return money.to_minor(event.amount, event.currency)
