"""What the inventory service publishes and consumes."""

from typing import Annotated, Final

from msgspec import Meta

from services.shared.contract.events.event import (
    Line,
    Missing,
    OrderEvent,
    Part,
    ProductId,
    RefundRequestId,
    Text,
    lines_differ,
)
from services.shared.contract.events.queues import INVENTORY, INVENTORY_EVENTS


class StockReserved(OrderEvent, frozen=True, kw_only=True):
    """Stock is held for an order."""

    type = "INVENTORY_RESERVED"
    products: Annotated[tuple[Line, ...], Meta(min_length=1)]
    missing: tuple[Missing, ...] = ()

    def __post_init__(self) -> None:
        lines_differ((*self.products, *self.missing))


class StockUnavailable(OrderEvent, frozen=True, kw_only=True):
    """No stock, or none of one product, can be held for an order."""

    type = "INVENTORY_RESERVE_FAILED"
    missing: tuple[Missing, ...]
    reason: Text
    product_id: ProductId | None = None


class StockReleased(OrderEvent, frozen=True, kw_only=True):
    """Stock of an order was released; `products` is empty if nothing was held."""

    type = "INVENTORY_RELEASED"
    products: tuple[Line, ...]
    refund_request_id: RefundRequestId | None = None


PART: Final = Part(
    publishes=(StockReserved, StockUnavailable, StockReleased),
    consumes={
        INVENTORY: ("INVENTORY_RESERVE_REQUEST", "INVENTORY_RELEASE_REQUEST"),
        # The last one only while auto compensation is on: `AUTO_COMPENSATION`.
        INVENTORY_EVENTS: ("ORDER_PAID", "PRODUCT_CREATED", "PRODUCT_DELETED", "PAYMENT_FAILED"),
    },
)
