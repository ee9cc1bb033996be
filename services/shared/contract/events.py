"""THE contract: every event, its data, who publishes it and which queues it goes to.

An event class names its routing key (`type`), its data (attributes, camelCase on the wire) and validates
itself. Bodies are `{"type": ..., "data": {...}}`; the envelope travels in the AMQP properties.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct, field

from services.shared.contract import money

EXCHANGE: Final = "saga.events"
SCHEMA_VERSION: Final = 1

# An id becomes an AMQP property (the correlation id), which holds 255 bytes. 64 characters are more only if
# each of them is 4 bytes of UTF-8; so one of them must not be, or there must be fewer.
_FITS: Final = r"(?s)[^\U00010000-\U0010ffff]|^.{1,63}\Z"
OrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FITS)]
ProductId = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FITS)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
LONGEST_TEXT: Final = 512
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Fulfilment = Literal["all", "partial"]


class Line(Struct, frozen=True, rename="camel"):
    """So many of a product."""

    product_id: ProductId
    quantity: Quantity


class PricedLine(Struct, frozen=True, rename="camel"):
    """A line with the price of one piece, in the order's currency."""

    product_id: ProductId
    quantity: Quantity
    price: Decimal


class Missing(Struct, frozen=True, rename="camel"):
    """A line that cannot be served, and what there was."""

    product_id: ProductId
    requested: Quantity
    available: Count


class Event(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Something that happened, or (imperative names) something asked of another service."""

    type: ClassVar[str]

    @property
    def subject(self) -> str:
        """What the event is about: the correlation id, by which traces and logs find it."""
        raise NotImplementedError


class OrderEvent(Event, frozen=True, kw_only=True):
    """An event in the life of one order."""

    order_id: OrderId

    @property
    def subject(self) -> str:
        return self.order_id


def _lines_differ(lines: tuple[Line | PricedLine | Missing, ...]) -> None:
    if len({line.product_id for line in lines}) != len(lines):
        raise ValueError("a product is named twice")


class ReserveStock(OrderEvent, frozen=True, kw_only=True):
    type = "INVENTORY_RESERVE_REQUEST"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    # A factory, so that it is written even when it is the default: consumers may want to read it.
    fulfilment: Fulfilment = field(default_factory=lambda: "all")
    # Asked for product by product (the older form): a refusal speaks for this product alone.
    product_id: ProductId | None = None

    def __post_init__(self) -> None:
        _lines_differ(self.products)


class StockReserved(OrderEvent, frozen=True, kw_only=True):
    type = "INVENTORY_RESERVED"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    missing: tuple[Missing, ...] = ()

    def __post_init__(self) -> None:
        _lines_differ((*self.products, *self.missing))


class StockUnavailable(OrderEvent, frozen=True, kw_only=True):
    type = "INVENTORY_RESERVE_FAILED"
    missing: tuple[Missing, ...]
    reason: Text
    product_id: ProductId | None = None


class ReleaseStock(OrderEvent, frozen=True, kw_only=True):
    type = "INVENTORY_RELEASE_REQUEST"
    reason: Text
    # One line; without it all lines, present and future.
    product_id: ProductId | None = None


class StockReleased(OrderEvent, frozen=True, kw_only=True):
    type = "INVENTORY_RELEASED"
    products: tuple[Line, ...]


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    type = "ORDER_CONFIRMED"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[PricedLine, ...], Meta(min_length=1)]
    payment_token: Text | None = None
    # Whose payment it will be. Older publishers do not say.
    customer_id: Text | None = None

    def __post_init__(self) -> None:
        money.to_minor(self.total_price, self.currency)
        _lines_differ(self.products)


class _Payment(OrderEvent, frozen=True, kw_only=True):
    transaction_id: Text
    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class PaymentSucceeded(_Payment, frozen=True, kw_only=True):
    type = "PAYMENT_SUCCEEDED"


class PaymentFailed(_Payment, frozen=True, kw_only=True):
    type = "PAYMENT_FAILED"
    reason: Text
    # Asks inventory for auto compensation, whatever its setting.
    compensation: bool = False


class PaymentRefunded(_Payment, frozen=True, kw_only=True):
    type = "PAYMENT_REFUNDED"
    refund_id: Text


class RefundPayment(OrderEvent, frozen=True, kw_only=True):
    type = "PAYMENT_REFUND"
    amount: Decimal
    currency: str
    reason: Text

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class OrderPaid(OrderEvent, frozen=True, kw_only=True):
    type = "ORDER_PAID"
    total_price: Decimal
    currency: str
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    email: Text


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    type = "ORDER_CANCELLED"
    reason: Text
    email: Text


class RefundRequested(OrderEvent, frozen=True, kw_only=True):
    type = "ORDER_REFUND_REQUEST"
    reason: Text


class OrderRefunded(OrderEvent, frozen=True, kw_only=True):
    type = "ORDER_REFUNDED"
    total_price: Decimal
    currency: str
    email: Text


class ProductCreated(Event, frozen=True, kw_only=True):
    type = "PRODUCT_CREATED"
    product_id: ProductId
    initial_stock: Count = 0

    @property
    def subject(self) -> str:
        return self.product_id


class ProductDeleted(Event, frozen=True, kw_only=True):
    type = "PRODUCT_DELETED"
    product_id: ProductId

    @property
    def subject(self) -> str:
        return self.product_id


# Who publishes what. The broker's permissions are made from this.
PUBLISHES: Final[dict[str, tuple[type[Event], ...]]] = {
    "order": (
        ReserveStock,
        ReleaseStock,
        OrderConfirmed,
        OrderPaid,
        OrderCancelled,
        RefundPayment,
        RefundRequested,
        OrderRefunded,
    ),
    "product": (ProductCreated, ProductDeleted),
    "inventory": (StockReserved, StockUnavailable, StockReleased),
    "payment": (PaymentSucceeded, PaymentFailed, PaymentRefunded),
}

# Who consumes what, on which queue. PaymentFailed is bound to `inventory-events` only while auto
# compensation is on, so it has a name of its own here.
AUTO_COMPENSATION: Final = PaymentFailed
CONSUMES: Final[dict[str, dict[str, tuple[type[Event], ...]]]] = {
    "order": {
        "orders": (StockReserved, StockUnavailable, StockReleased),
        "order-events": (PaymentSucceeded, PaymentFailed, PaymentRefunded),
    },
    "inventory": {
        "inventory": (ReserveStock, ReleaseStock),
        "inventory-events": (OrderPaid, ProductCreated, ProductDeleted, AUTO_COMPENSATION),
    },
    "payment": {
        "STOCK_RESERVED": (OrderConfirmed,),
        "payment-events": (OrderCancelled, RefundPayment),
    },
    "notification": {
        "notifications": (OrderPaid, OrderCancelled, RefundRequested, OrderRefunded),
    },
}
