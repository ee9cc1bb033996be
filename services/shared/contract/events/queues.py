"""The names of the queues. They are older than the services, and not all of them say what they carry."""

from typing import Final

# What inventory answers.
ORDERS: Final = "orders"
# What became of payments.
ORDER_EVENTS: Final = "order-events"
INVENTORY: Final = "inventory"
INVENTORY_EVENTS: Final = "inventory-events"
# Orders to be charged: it carries OrderConfirmed.
STOCK_RESERVED: Final = "STOCK_RESERVED"
PAYMENT_EVENTS: Final = "payment-events"
NOTIFICATIONS: Final = "notifications"
FULFILMENT: Final = "fulfilment"
