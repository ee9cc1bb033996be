"""The words that the saga's table is written in: when a row holds, what it records, what it publishes.

Those about refunds are in `refunds.py`.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import (
    MONEY_IS_BACK,
    CancellationReason,
    Capture,
    Line,
    LineState,
    Order,
    PendingPayment,
    Progress,
    ShippedLine,
    Status,
)
from services.order.refunds import left, pieces, products
from services.shared.contract import events, money
from services.shared.contract.events import (
    Event,
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

# What came: an event or a command, always about one order.
Trigger: TypeAlias = (
    CreateOrder
    | CancelOrder
    | RequestRefund
    | SettleOutside
    | TimeOut
    | PaymentFailed
    | PaymentPending
    | PaymentRefunded
    | PaymentRefundFailed
    | PaymentSucceeded
    | RequestShipment
    | StockReleased
    | StockReserved
    | StockUnavailable
)

# Reasons of releases and refunds that are not the order's cancellation.
LATE_RESERVATION: Final = "LATE_RESERVATION"
LATE_PAYMENT: Final = "LATE_PAYMENT"

# --- guards -----------------------------------------------------------------------------------------------


def names_our_lines(order: Order, event: StockReserved) -> bool:
    """Every product and quantity is a line of the order, and nothing is missing that must not be."""
    ours = {line.product_id: line.quantity for line in order.lines}
    answered = [(line.product_id, line.quantity) for line in event.products]
    answered += [(line.product_id, line.requested) for line in event.missing]
    allowed = order.fulfilment == "partial" or not event.missing
    return allowed and all(ours.get(product_id) == quantity for product_id, quantity in answered)


def all_lines_answered(order: Order, event: StockReserved) -> bool:
    """By this event, or by earlier ones."""
    answered = {line.product_id for line in event.products} | {line.product_id for line in event.missing}
    return names_our_lines(order, event) and all(
        line.state is not LineState.REQUESTED or line.product_id in answered for line in order.lines
    )


def answers_otherwise(order: Order, event: StockReserved) -> bool:
    """A line that was held is missing now, or one that was missing is held."""
    states = {line.product_id: line.state for line in order.lines}
    return any(states.get(line.product_id) is LineState.REFUSED for line in event.products) or any(
        states.get(line.product_id) is LineState.HELD for line in event.missing
    )


def may_be_held_now(order: Order, event: StockReserved) -> bool:
    """It tells of stock that no release was asked for since: of a line that was not held, or, where it is not
    about our lines, while none was asked for at all.
    """
    if not names_our_lines(order, event):
        return not order.releases
    named = {line.product_id for line in event.products}
    return any(line.product_id in named and _not_held_yet(line) for line in order.lines)


def names_strange_products(order: Order, event: StockUnavailable) -> bool:
    return not _named(event) <= {line.product_id for line in order.lines}


def _not_held_yet(line: Line) -> bool:
    return line.state in {LineState.REQUESTED, LineState.REFUSED}


def refused_beside_held(order: Order, event: StockUnavailable) -> bool:
    """Of some lines only: others are held or, in the older, per-product form, may become so."""
    some_line_held = any(line.state is LineState.HELD for line in order.lines)
    return event.product_id is not None or some_line_held


def refuses_what_is_not_kept(order: Order, event: StockUnavailable) -> bool:
    """Everything that it names was refused or given back before, or is on its way back: asked for again, it
    is refused.
    """
    back = pieces(order.given_back, *MONEY_IS_BACK, goods=True)
    gone = {
        line.product_id
        for line in order.lines
        if line.state in {LineState.REFUSED, LineState.RELEASED} or back[line.product_id] == line.quantity
    }
    named = _named(event)
    return bool(named) and named <= gone


def _named(event: StockUnavailable) -> set[str]:
    return {event.product_id} if event.product_id else {line.product_id for line in event.missing}


def paid_as_asked(order: Order, event: PaymentSucceeded) -> bool:
    asked = (order.total, order.currency) == (_minor(event), event.currency)
    return asked and all(line.state is not LineState.RELEASED for line in order.lines)


def is_known_to_be_pending(order: Order, event: PaymentPending) -> bool:
    return order.pending_payment == _pending(event)


def same_capture(order: Order, event: PaymentSucceeded) -> bool:
    return order.capture is not None and order.capture.transaction_id == event.transaction_id


def no_capture_yet(order: Order, _: Trigger) -> bool:
    return order.capture is None


def captured_oddly(order: Order, _: Trigger) -> bool:
    """While an order is CONFIRMED, what was captured is not what it asked for."""
    return order.capture is not None


def refund_open(order: Order, _: Trigger) -> bool:
    return order.refund is Progress.PENDING


def refund_done(order: Order, _: Trigger) -> bool:
    return order.refund is Progress.DONE


def is_shipped(order: Order, _: Trigger) -> bool:
    return bool(order.shipped)


def nothing_left_to_ship(order: Order, _: Trigger) -> bool:
    """All of it is asked back."""
    return not any(left(order).values())


# --- what is recorded -------------------------------------------------------------------------------------


def lines_held(order: Order, event: StockReserved) -> Order:
    answers = {line.product_id: LineState.HELD for line in event.products}
    answers |= {line.product_id: LineState.REFUSED for line in event.missing}
    order = _lines(order, lambda line: answers.get(line.product_id, line.state))
    # What is not there is not charged.
    return structs.replace(order, total=sum(line.price * line.quantity for line in order.served))


def lines_held_late(order: Order, event: StockReserved) -> Order:
    """Of lines that were not held yet: what was given back does not come back. What is not about our lines is
    given back without being believed.
    """
    if not names_our_lines(order, event):
        return order
    named = {line.product_id for line in event.products}
    return _lines(
        order,
        lambda line: LineState.HELD if line.product_id in named and _not_held_yet(line) else line.state,
    )


def lines_refused(order: Order, event: StockUnavailable) -> Order:
    """All that were asked for together, or the one product of the older form."""

    def refused(line: Line) -> bool:
        return line.state is LineState.REQUESTED and event.product_id in {None, line.product_id}

    order = _lines(order, lambda line: LineState.REFUSED if refused(line) else line.state)
    return _cancelled(order, CancellationReason.OUT_OF_STOCK, event.reason)


def lines_sold(order: Order, event: PaymentSucceeded) -> Order:
    order = _lines(order, lambda line: LineState.SOLD if line.state is LineState.HELD else line.state)
    return captured(order, event)


def lines_released(order: Order, event: StockReleased) -> Order:
    """Inventory says what it gave back; where it had held nothing, there was nothing to give."""
    named = {line.product_id for line in event.products}

    def given_back(line: Line) -> bool:
        return line.product_id in named and line.state is not LineState.REFUSED

    return _lines(order, lambda line: LineState.RELEASED if given_back(line) else line.state)


def captured(order: Order, event: PaymentSucceeded) -> Order:
    """What was taken, to the cent: a refund gives back no more and no less."""
    return structs.replace(order, capture=Capture(event.transaction_id, _minor(event), event.currency))


def payment_waits(order: Order, event: PaymentPending) -> Order:
    return structs.replace(order, pending_payment=_pending(event))


def _pending(event: PaymentPending) -> PendingPayment:
    return PendingPayment(event.transaction_id, event.next_action)


def goods_shipped(order: Order, _: RequestShipment) -> Order:
    """All that nobody has asked back: what is asked back from here on was shipped."""
    shipped = tuple(ShippedLine(id_, count) for id_, count in left(order).items() if count)
    return structs.replace(order, shipped=shipped)


def payment_declined(order: Order, event: PaymentFailed) -> Order:
    return _cancelled(order, CancellationReason.PAYMENT_FAILED, event.reason)


def cancelled_by_customer(order: Order, _: CancelOrder) -> Order:
    return _cancelled(order, CancellationReason.CUSTOMER_CANCELLED, None)


def timed_out(order: Order, command: TimeOut) -> Order:
    return _cancelled(order, CancellationReason.SAGA_TIMEOUT, command.reason)


def _lines(order: Order, state_of: Callable[[Line], LineState]) -> Order:
    lines = tuple(structs.replace(line, state=state_of(line)) for line in order.lines)
    return structs.replace(order, lines=lines)


def _cancelled(order: Order, reason: CancellationReason, detail: str | None) -> Order:
    return structs.replace(order, cancellation_reason=reason, cancellation_detail=detail)


# --- what is published ------------------------------------------------------------------------------------


def reserve_stock(order: Order, _: CreateOrder) -> Event:
    return events.ReserveStock(
        order_id=order.id,
        products=products(order.lines),
        fulfilment=order.fulfilment,
    )


def order_confirmed(order: Order, _: StockReserved) -> Event:
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


def order_paid(order: Order, _: PaymentSucceeded) -> Event:
    return events.OrderPaid(
        order_id=order.id,
        total_price=money.to_decimal(order.total, order.currency),
        currency=order.currency,
        products=tuple(
            events.SoldLine(
                line.product_id, line.quantity, line.name, money.to_decimal(line.price, order.currency)
            )
            for line in order.lines
            if line.state is LineState.SOLD
        ),
        email=order.email,
        locale=order.locale,
    )


def order_cancelled(order: Order, _: Trigger) -> Event:
    return events.OrderCancelled(
        order_id=order.id, reason=order.cancellation_reason or "", email=order.email, locale=order.locale
    )


def release_stock(order: Order, _: Trigger) -> Event:
    return events.ReleaseStock(order_id=order.id, reason=order.cancellation_reason or "")


def release_late(order: Order, _: StockReserved | StockUnavailable) -> Event:
    return events.ReleaseStock(order_id=order.id, reason=LATE_RESERVATION)


def refund_capture(order: Order, _: CancelOrder | TimeOut) -> Event:
    return _refund(order, order.cancellation_reason or "")


def refund_late_capture(order: Order, _: PaymentSucceeded) -> Event:
    return _refund(order, LATE_PAYMENT)


def _refund(order: Order, reason: str) -> Event:
    capture = order.capture
    assert capture is not None  # noqa: S101  # of the table: what is given back was captured
    return events.RefundPayment(
        order_id=order.id,
        amount=money.to_decimal(capture.amount, capture.currency),
        currency=capture.currency,
        reason=reason,
    )


def shipment_approved(order: Order, _: RequestShipment) -> Event:
    """The same whenever it is asked for: what was let go, by the step that did so."""
    steps, asked = [entry.event for entry in order.history], RequestShipment.type
    number = steps.index(asked) if asked in steps else len(steps)
    return events.ShipmentApproved(order_id=order.id, products=products(order.shipped), sequence=number + 1)


def shipment_refused(order: Order, _: RequestShipment) -> Event:
    if order.status is Status.CANCELLED:
        return events.ShipmentRefused(order_id=order.id, reason="the order is cancelled")
    return events.ShipmentRefused(order_id=order.id, reason="all of the order is refunded, or to be")


def _minor(event: PaymentSucceeded) -> int:
    return money.to_minor(event.amount, event.currency)
