"""What the order service publishes and consumes."""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, field

from services.shared.contract import money
from services.shared.contract.events.event import (
    Fulfilment,
    Line,
    OrderEvent,
    OrderNews,
    Part,
    PricedLine,
    ProductId,
    RefundRequestId,
    Sequence,
    SoldLine,
    Text,
    lines_differ,
)
from services.shared.contract.events.queues import ORDER_EVENTS, ORDERS


class ReserveStock(OrderEvent, frozen=True, kw_only=True):
    """Inventory is to hold stock for an order."""

    type = "INVENTORY_RESERVE_REQUEST"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    # A factory, so that it is written even when it is the default: consumers may want to read it.
    fulfilment: Fulfilment = field(default_factory=lambda: "all")
    # Asked for product by product (the older form): a refusal speaks for this product alone.
    product_id: ProductId | None = None

    def __post_init__(self) -> None:
        lines_differ(self.products)


class ReleaseStock(OrderEvent, frozen=True, kw_only=True):
    """Inventory is to give back what it holds for an order."""

    type = "INVENTORY_RELEASE_REQUEST"
    reason: Text
    # One line; without it all lines, present and future.
    product_id: ProductId | None = None
    # Of a refund by line: so many pieces of these lines, once for this id.
    refund_request_id: RefundRequestId | None = None
    products: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        lines_differ(self.products)
        if self.products and self.refund_request_id is None:
            raise ValueError("pieces of lines are given back by a refund: refundRequestId names it")


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """All that an order will get is held: it is to be charged."""

    type = "ORDER_CONFIRMED"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[PricedLine, ...], Meta(min_length=1)]
    payment_token: Text | None = None
    # Whose payment it will be. Older publishers do not say.
    customer_id: Text | None = None

    def __post_init__(self) -> None:
        money.to_minor(self.total_price, self.currency)
        lines_differ(self.products)


class OrderPaid(OrderNews, frozen=True, kw_only=True):
    """An order is paid: what was held for it is sold."""

    type = "ORDER_PAID"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[SoldLine, ...], Meta(min_length=1)]
    email: Text
    # What the customer would like to be written in, such as de-AT; the same below. Older ones do not say.
    locale: Text | None = None


class OrderCancelled(OrderNews, frozen=True, kw_only=True):
    """An order is over: it is not to be charged any more."""

    type = "ORDER_CANCELLED"
    reason: Text
    email: Text
    locale: Text | None = None


class RefundPayment(OrderEvent, frozen=True, kw_only=True):
    """Payment is to give money back."""

    type = "PAYMENT_REFUND"
    amount: Decimal
    currency: str
    reason: Text
    refund_request_id: RefundRequestId | None = None
    # Of the capture that it is taken from. Older publishers do not say.
    transaction_id: Text | None = None
    # The reference of the transfer by which it went back instead: it is not to be asked for any more.
    settled_outside: Text | None = None

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class RefundRequested(OrderNews, frozen=True, kw_only=True):
    """Somebody asked for an order's money back."""

    type = "ORDER_REFUND_REQUEST"
    reason: Text
    # Older publishers say no more than the reason: all of the order was to be refunded.
    refund_request_id: RefundRequestId | None = None
    products: tuple[Line, ...] = ()
    amount: Decimal | None = None
    currency: str | None = None
    # Nor to whom it matters.
    email: Text | None = None
    locale: Text | None = None


class OrderPartiallyRefunded(OrderNews, frozen=True, kw_only=True):
    """One of an order's refunds is done, and is not its last."""

    type = "ORDER_PARTIALLY_REFUNDED"
    refund_request_id: RefundRequestId
    products: tuple[Line, ...]
    amount: Decimal
    # Of all refunds whose money is back by now.
    refunded_total: Decimal
    currency: str
    email: Text
    locale: Text | None = None


class OrderRefunded(OrderNews, frozen=True, kw_only=True):
    """An order's money is given back, and so is its stock."""

    type = "ORDER_REFUNDED"
    total_price: Decimal
    currency: str
    email: Text
    locale: Text | None = None


class ShipmentApproved(OrderEvent, frozen=True, kw_only=True):
    """These goods may be sent: from here on they count as shipped, and a refund is of shipped goods."""

    type = "SHIPMENT_APPROVED"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    # Of the order's step by which it approved.
    sequence: Sequence


class ShipmentRefused(OrderEvent, frozen=True, kw_only=True):
    """Nothing of the order may be sent: nothing of it is to stay with the customer."""

    type = "SHIPMENT_REFUSED"
    reason: Text


PART: Final = Part(
    publishes=(
        ReserveStock,
        ReleaseStock,
        OrderConfirmed,
        OrderPaid,
        OrderCancelled,
        RefundPayment,
        RefundRequested,
        OrderPartiallyRefunded,
        OrderRefunded,
        ShipmentApproved,
        ShipmentRefused,
    ),
    consumes={
        ORDERS: ("INVENTORY_RESERVED", "INVENTORY_RESERVE_FAILED", "INVENTORY_RELEASED"),
        ORDER_EVENTS: (
            "SHIPMENT_REQUEST",
            "PAYMENT_SUCCEEDED",
            "PAYMENT_FAILED",
            "PAYMENT_PENDING",
            "PAYMENT_REFUNDED",
            "PAYMENT_REFUND_FAILED",
        ),
    },
)
