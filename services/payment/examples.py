"""What goes out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
# As the mock gateway says it.
EVENT: Final[Example] = {
    "id": "evt_1",
    "order_id": "c2cb7464-2127-45db-b640-15c896f64d1f",
    "about": "charge",
}
HEARD: Final[Example] = {"outcome": "heard"}
PAYMENT: Final[Example] = {
    "orderId": "c2cb7464-2127-45db-b640-15c896f64d1f",
    "status": "CAPTURED",
    "amount": "32.97",
    "currency": "EUR",
    "transactionId": "txn_5d41402abc4b2a76",
    "refundId": None,
    "reason": None,
    "createdAt": "2026-11-25T09:30:00.200Z",
    "updatedAt": "2026-11-25T09:30:00.410Z",
}
