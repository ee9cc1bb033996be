"""The names of the queues. They are older than the services, and some are misleading."""

from typing import Final

# Inventory's answers.
ORDERS: Final = "orders"
# Payment's answers, and fulfilment's requests.
ORDER_EVENTS: Final = "order-events"
INVENTORY: Final = "inventory"
INVENTORY_EVENTS: Final = "inventory-events"
# Orders to be charged: it carries OrderConfirmed.
STOCK_RESERVED: Final = "STOCK_RESERVED"
PAYMENT_EVENTS: Final = "payment-events"
NOTIFICATIONS: Final = "notifications"
FULFILMENT: Final = "fulfilment"
