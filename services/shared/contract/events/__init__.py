"""THE contract: every event, its data, who publishes it and which queues it goes to.

An event class names its routing key (`type`), its data (attributes, camelCase on the wire) and validates
itself. Bodies are `{"type": ..., "data": {...}}`; the envelope travels in the AMQP properties. What a service
publishes and consumes is in the module of its name; this composes them.
"""

from collections.abc import Mapping
from typing import Final

from services.shared.contract.events import fulfilment, inventory, notification, order, payment, product
from services.shared.contract.events.event import (
    LONGEST_TEXT,
    Count,
    Event,
    Fulfilment,
    Line,
    Missing,
    OrderEvent,
    OrderId,
    OrderNews,
    Part,
    PricedLine,
    ProductId,
    Quantity,
    RefundRequestId,
    SoldLine,
    Text,
)
from services.shared.contract.events.fulfilment import (
    OrderDelivered,
    OrderShipped,
    RequestShipment,
)
from services.shared.contract.events.inventory import (
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from services.shared.contract.events.order import (
    OrderCancelled,
    OrderConfirmed,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    RefundPayment,
    RefundRequested,
    ReleaseStock,
    ReserveStock,
    ShipmentApproved,
    ShipmentRefused,
)
from services.shared.contract.events.payment import (
    NextAction,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
)
from services.shared.contract.events.product import (
    ProductCreated,
    ProductDeleted,
)
from services.shared.contract.events.queues import (
    FULFILMENT,
    INVENTORY,
    INVENTORY_EVENTS,
    NOTIFICATIONS,
    ORDER_EVENTS,
    ORDERS,
    PAYMENT_EVENTS,
    STOCK_RESERVED,
)

__all__ = [
    "AUTO_COMPENSATION",
    "CONSUMES",
    "CORE",
    "ENGINES",
    "EXCHANGE",
    "FULFILMENT",
    "INVENTORY",
    "INVENTORY_EVENTS",
    "LONGEST_TEXT",
    "NOTIFICATIONS",
    "OPTIONAL",
    "ORDERS",
    "ORDER_EVENTS",
    "PAYMENT_EVENTS",
    "PUBLISHES",
    "SCHEMA_VERSION",
    "STOCK_RESERVED",
    "WHERE_IT_RUNS",
    "Count",
    "Event",
    "Fulfilment",
    "Line",
    "Missing",
    "NextAction",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderDelivered",
    "OrderEvent",
    "OrderId",
    "OrderNews",
    "OrderPaid",
    "OrderPartiallyRefunded",
    "OrderRefunded",
    "OrderShipped",
    "PaymentFailed",
    "PaymentPending",
    "PaymentRefundFailed",
    "PaymentRefunded",
    "PaymentSucceeded",
    "PricedLine",
    "ProductCreated",
    "ProductDeleted",
    "ProductId",
    "Quantity",
    "RefundPayment",
    "RefundRequestId",
    "RefundRequested",
    "ReleaseStock",
    "RequestShipment",
    "ReserveStock",
    "ShipmentApproved",
    "ShipmentRefused",
    "SoldLine",
    "StockReleased",
    "StockReserved",
    "StockUnavailable",
    "Text",
]

EXCHANGE: Final = "saga.events"
SCHEMA_VERSION: Final = 1

# The services that publish or consume events. Each one's part is in the module of its name.
_PARTS: Final[Mapping[str, Part]] = {
    "order": order.PART,
    "product": product.PART,
    "inventory": inventory.PART,
    "payment": payment.PART,
    "notification": notification.PART,
    "fulfilment": fulfilment.PART,
}
ENGINES: Final = tuple(_PARTS)
# Services that a shop can run without.
OPTIONAL: Final = frozenset({"fulfilment"})
CORE: Final = tuple(service for service in ENGINES if service not in OPTIONAL)

# Which service publishes which events. The broker's permissions are derived from this.
PUBLISHES: Final[dict[str, tuple[type[Event], ...]]] = {
    service: part.publishes for service, part in _PARTS.items() if part.publishes
}
_CLASSES: Final = {event.type: event for published in PUBLISHES.values() for event in published}

# Which service consumes which events from which queue. PaymentFailed is bound to INVENTORY_EVENTS only while
# auto compensation is on, so it has a name of its own here.
AUTO_COMPENSATION: Final = PaymentFailed
CONSUMES: Final[dict[str, dict[str, tuple[type[Event], ...]]]] = {
    service: {queue: tuple(_CLASSES[type_] for type_ in types) for queue, types in part.consumes.items()}
    for service, part in _PARTS.items()
    if part.consumes
}

# Events that go to the queue of an optional service only if it runs. Its other events are answers to its own.
WHERE_IT_RUNS: Final[Mapping[str, frozenset[type[Event]]]] = {
    FULFILMENT: frozenset({OrderPaid, OrderRefunded}),
}
