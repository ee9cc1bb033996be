"""What the fulfilment service publishes and consumes, in a shop that has one."""

from typing import Annotated, Final

from msgspec import Meta

from services.shared.contract.events.event import OrderEvent, OrderNews, Part, SoldLine, Text
from services.shared.contract.events.queues import FULFILMENT


class RequestShipment(OrderEvent, frozen=True, kw_only=True):
    """Somebody is about to send the goods: the order is to say whether they may, and which."""

    type = "SHIPMENT_REQUEST"


class ShipmentNews(OrderNews, frozen=True, kw_only=True):
    """What becomes of goods that were sent. `sequence`: of the step by which the order approved."""

    products: Annotated[tuple[SoldLine, ...], Meta(min_length=1)]
    # Who carries them, and by which number they are found there.
    carrier: Text | None = None
    tracking: Text | None = None
    email: Text
    locale: Text | None = None


class OrderShipped(ShipmentNews, frozen=True, kw_only=True):
    """The goods are on their way to the customer."""

    type = "ORDER_SHIPPED"


class OrderDelivered(ShipmentNews, frozen=True, kw_only=True):
    """They have arrived."""

    type = "ORDER_DELIVERED"


PART: Final = Part(
    publishes=(RequestShipment, OrderShipped, OrderDelivered),
    consumes={FULFILMENT: ("ORDER_PAID", "ORDER_REFUNDED", "SHIPMENT_APPROVED", "SHIPMENT_REFUSED")},
)
