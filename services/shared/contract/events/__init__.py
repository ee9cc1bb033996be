"""THE contract: every event, its data, who publishes it and which queues it goes to.

An event class names its routing key (`type`), its data (attributes, camelCase on the wire) and validates
itself. Bodies are `{"type": ..., "data": {...}}`; the envelope travels in the AMQP properties. What a service
publishes is in the module of its name; this composes them, and is what everybody imports.
"""

from typing import Final

from services.shared.contract.events import inventory, order, payment, product
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
    PricedLine,
    ProductId,
    Quantity,
    RefundRequestId,
    SoldLine,
    Text,
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
)
from services.shared.contract.events.payment import (
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
)
from services.shared.contract.events.product import (
    ProductCreated,
    ProductDeleted,
)
from services.shared.contract.events.queues import (
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
    "EXCHANGE",
    "INVENTORY",
    "INVENTORY_EVENTS",
    "LONGEST_TEXT",
    "NOTIFICATIONS",
    "ORDERS",
    "ORDER_EVENTS",
    "PAYMENT_EVENTS",
    "PUBLISHES",
    "SCHEMA_VERSION",
    "STOCK_RESERVED",
    "Count",
    "Event",
    "Fulfilment",
    "Line",
    "Missing",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderEvent",
    "OrderId",
    "OrderNews",
    "OrderPaid",
    "OrderPartiallyRefunded",
    "OrderRefunded",
    "PaymentFailed",
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
    "ReserveStock",
    "SoldLine",
    "StockReleased",
    "StockReserved",
    "StockUnavailable",
    "Text",
]

EXCHANGE: Final = "saga.events"
SCHEMA_VERSION: Final = 1

# Who publishes what. The broker's permissions are made from this.
PUBLISHES: Final[dict[str, tuple[type[Event], ...]]] = {
    "order": order.PUBLISHES,
    "product": product.PUBLISHES,
    "inventory": inventory.PUBLISHES,
    "payment": payment.PUBLISHES,
}

# Who consumes what, on which queue. PaymentFailed is bound to INVENTORY_EVENTS only while auto compensation
# is on, so it has a name of its own here.
AUTO_COMPENSATION: Final = PaymentFailed
CONSUMES: Final[dict[str, dict[str, tuple[type[Event], ...]]]] = {
    "order": {
        ORDERS: (StockReserved, StockUnavailable, StockReleased),
        ORDER_EVENTS: (PaymentSucceeded, PaymentFailed, PaymentRefunded, PaymentRefundFailed),
    },
    "inventory": {
        INVENTORY: (ReserveStock, ReleaseStock),
        INVENTORY_EVENTS: (OrderPaid, ProductCreated, ProductDeleted, AUTO_COMPENSATION),
    },
    "payment": {
        STOCK_RESERVED: (OrderConfirmed,),
        PAYMENT_EVENTS: (OrderCancelled, RefundPayment),
    },
    "notification": {
        NOTIFICATIONS: (
            OrderPaid,
            OrderCancelled,
            RefundRequested,
            OrderPartiallyRefunded,
            OrderRefunded,
        ),
    },
}
