"""What the notification service consumes."""

from typing import Final

from services.shared.contract.events.event import Part
from services.shared.contract.events.queues import NOTIFICATIONS

PART: Final = Part(
    consumes={
        NOTIFICATIONS: (
            "ORDER_PAID",
            "ORDER_CANCELLED",
            "ORDER_REFUND_REQUEST",
            "ORDER_PARTIALLY_REFUNDED",
            "ORDER_REFUNDED",
            "ORDER_SHIPPED",
            "ORDER_DELIVERED",
        ),
    },
)
