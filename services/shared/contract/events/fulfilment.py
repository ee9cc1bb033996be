"""What the optional fulfilment service publishes and consumes."""

from typing import Annotated, Final

from msgspec import Meta

from services.shared.contract.events.event import OrderEvent, OrderNews, Part, SoldLine, Text
from services.shared.contract.events.queues import FULFILMENT


class RequestShipment(OrderEvent, frozen=True, kw_only=True):
    """Goods are about to be sent: asks the order which of them may be sent, if any."""

    type = "SHIPMENT_REQUEST"


class ShipmentNews(OrderNews, frozen=True, kw_only=True):
    """News about goods that were sent. `sequence` is that of the step in which the order approved them."""

    products: Annotated[tuple[SoldLine, ...], Meta(min_length=1)]
    # The carrier, and its tracking number.
    carrier: Text | None = None
    tracking: Text | None = None
    email: Text
    locale: Text | None = None


class OrderShipped(ShipmentNews, frozen=True, kw_only=True):
    """The goods are on their way to the customer."""

    type = "ORDER_SHIPPED"


class OrderDelivered(ShipmentNews, frozen=True, kw_only=True):
    """The goods have arrived at the customer."""

    type = "ORDER_DELIVERED"


PART: Final = Part(
    publishes=(RequestShipment, OrderShipped, OrderDelivered),
    consumes={FULFILMENT: ("ORDER_PAID", "ORDER_REFUNDED", "SHIPMENT_APPROVED", "SHIPMENT_REFUSED")},
)
