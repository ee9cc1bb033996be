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
    """Asks inventory to hold stock for an order."""

    type = "INVENTORY_RESERVE_REQUEST"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    # A factory, so that it is written even if it is the default: consumers may want to read it.
    fulfilment: Fulfilment = field(default_factory=lambda: "all")
    # The older form, with one request per product: a refusal is about this product only.
    product_id: ProductId | None = None

    def __post_init__(self) -> None:
        lines_differ(self.products)


class ReleaseStock(OrderEvent, frozen=True, kw_only=True):
    """Asks inventory to release stock that it holds for an order."""

    type = "INVENTORY_RELEASE_REQUEST"
    reason: Text
    # Only this line; without it all lines, present and future.
    product_id: ProductId | None = None
    # Of a refund of lines: release these pieces, once per id.
    refund_request_id: RefundRequestId | None = None
    products: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        lines_differ(self.products)
        if self.products and self.refund_request_id is None:
            raise ValueError("pieces of lines are given back by a refund: refundRequestId names it")


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """All stock that an order will get is held, and the order is to be charged."""

    type = "ORDER_CONFIRMED"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[PricedLine, ...], Meta(min_length=1)]
    payment_token: Text | None = None
    # The customer who pays. Older publishers omit it.
    customer_id: Text | None = None

    def __post_init__(self) -> None:
        money.to_minor(self.total_price, self.currency)
        lines_differ(self.products)


class OrderPaid(OrderNews, frozen=True, kw_only=True):
    """An order is paid, and the stock held for it is sold."""

    type = "ORDER_PAID"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[SoldLine, ...], Meta(min_length=1)]
    email: Text
    # The language of mails to the customer, such as de-AT; the same below. Older publishers omit it.
    locale: Text | None = None


class OrderCancelled(OrderNews, frozen=True, kw_only=True):
    """An order was cancelled, and must not be charged any more."""

    type = "ORDER_CANCELLED"
    reason: Text
    email: Text
    locale: Text | None = None


class RefundPayment(OrderEvent, frozen=True, kw_only=True):
    """Asks payment to refund money."""

    type = "PAYMENT_REFUND"
    amount: Decimal
    currency: str
    reason: Text
    refund_request_id: RefundRequestId | None = None
    # The capture that is refunded. Older publishers omit it.
    transaction_id: Text | None = None
    # The reference of the transfer that refunded the money instead: the gateway is not asked any more.
    settled_outside: Text | None = None

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class RefundRequested(OrderNews, frozen=True, kw_only=True):
    """A refund of an order was requested."""

    type = "ORDER_REFUND_REQUEST"
    reason: Text
    # Older publishers send only the reason, and always mean the whole order.
    refund_request_id: RefundRequestId | None = None
    products: tuple[Line, ...] = ()
    amount: Decimal | None = None
    currency: str | None = None
    # Older publishers omit these, too.
    email: Text | None = None
    locale: Text | None = None


class OrderPartiallyRefunded(OrderNews, frozen=True, kw_only=True):
    """One of an order's refunds is done, and more of the order may be refunded."""

    type = "ORDER_PARTIALLY_REFUNDED"
    refund_request_id: RefundRequestId
    products: tuple[Line, ...]
    amount: Decimal
    # The sum of all refunds that have been made so far.
    refunded_total: Decimal
    currency: str
    email: Text
    locale: Text | None = None


class OrderRefunded(OrderNews, frozen=True, kw_only=True):
    """An order's money was refunded, and its stock was returned."""

    type = "ORDER_REFUNDED"
    total_price: Decimal
    currency: str
    email: Text
    locale: Text | None = None


class ShipmentApproved(OrderEvent, frozen=True, kw_only=True):
    """These goods may be sent. From now on they count as shipped, also for refunds."""

    type = "SHIPMENT_APPROVED"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    # The sequence of the order's step that approved it.
    sequence: Sequence


class ShipmentRefused(OrderEvent, frozen=True, kw_only=True):
    """None of the order's goods may be sent, because none of them are to stay with the customer."""

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
