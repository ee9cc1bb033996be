"""An example of every body, for the API's description."""

from typing import Any, Final

SHIPPING: Final[dict[str, Any]] = {"carrier": "DHL", "tracking": "JD0146"}
SHIPMENT: Final[dict[str, Any]] = {
    "orderId": "0199a5f2-6c3e-7d10-8a44-0d2a4f1c9b77",
    "state": "SHIPPED",
    "products": [{"productId": "lamp", "name": "Lamp", "quantity": 2}],
    **SHIPPING,
    "refusal": None,
    "createdAt": "2026-11-26T09:00:00Z",
    "updatedAt": "2026-11-26T09:05:00Z",
}
