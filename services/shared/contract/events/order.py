"""What the order service publishes."""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, field

from services.shared.contract import money
from services.shared.contract.events.event import (
    Event,
    Fulfilment,
    Line,
    OrderEvent,
    PricedLine,
    ProductId,
    SoldLine,
    Text,
    lines_differ,
)


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


class OrderPaid(OrderEvent, frozen=True, kw_only=True):
    """An order is paid: what was held for it is sold."""

    type = "ORDER_PAID"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[SoldLine, ...], Meta(min_length=1)]
    email: Text
    # What the customer would like to be written in, such as de-AT; the same below. Older ones do not say.
    locale: Text | None = None


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
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

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class RefundRequested(OrderEvent, frozen=True, kw_only=True):
    """Somebody asked for an order's money back."""

    type = "ORDER_REFUND_REQUEST"
    reason: Text
    # Older publishers do not say.
    email: Text | None = None
    locale: Text | None = None


class OrderRefunded(OrderEvent, frozen=True, kw_only=True):
    """An order's money is given back, and so is its stock."""

    type = "ORDER_REFUNDED"
    total_price: Decimal
    currency: str
    email: Text
    locale: Text | None = None


PUBLISHES: Final[tuple[type[Event], ...]] = (
    ReserveStock,
    ReleaseStock,
    OrderConfirmed,
    OrderPaid,
    OrderCancelled,
    RefundPayment,
    RefundRequested,
    OrderRefunded,
)
