"""What goes in and out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
NOTIFICATION: Final[Example] = {
    "id": "0b5b1f3c-6a0e-5a55-8a53-5f2d8a1c9e01",
    "kind": "ORDER_PAID",
    "orderId": "0193a7f2-1111-7a55-8a53-5f2d8a1c9e01",
    "recipient": "ada@customer.example",
    "subject": "Order 0193a7f2-1111-7a55-8a53-5f2d8a1c9e01 is paid: 299.99 USD",
    "at": "2026-11-26T09:00:00.125Z",
    "state": "FAILED",
    "reason": "",
    "resentAt": "2026-11-26T11:30:00.250Z",
}
NEW_ENDPOINT: Final[Example] = {
    "url": "https://merchant.example/webhooks",
    "types": ["sagashop.order.paid.v1", "sagashop.order.cancelled.v1"],
    "description": "The warehouse",
}
CHANGES: Final[Example] = {"types": []}
ENDPOINT: Final[Example] = {
    "endpointId": "0193a7f2-6a0e-7a55-8a53-5f2d8a1c9e01",
    "url": "https://merchant.example/webhooks",
    "types": ["sagashop.order.paid.v1", "sagashop.order.cancelled.v1"],
    "description": "The warehouse",
    "state": "ENABLED",
    "reason": "",
    "failingSince": None,
    "formerSecretsUntil": None,
    "replay": None,
    "createdAt": "2026-11-26T09:00:00.125Z",
    "updatedAt": "2026-11-26T09:00:00.125Z",
}
WITH_SECRET: Final[Example] = {**ENDPOINT, "secret": "whsec_" + "A" * 43 + "="}
ENDPOINTS: Final[Example] = {"items": [ENDPOINT]}
REPLAY: Final[Example] = {"since": "2026-11-25T00:00:00Z", "until": "2026-11-26T00:00:00Z"}
TRIED: Final[Example] = {"delivered": True, "status": 204, "reason": "", "seconds": 0.087}
DELIVERY: Final[Example] = {
    "deliveryId": "7c9e6679-7425-50de-944b-e07fc1f90ae7",
    "eventId": "0b5b1f3c-6a0e-5a55-8a53-5f2d8a1c9e01",
    "orderId": "0193a7f2-1111-7a55-8a53-5f2d8a1c9e01",
    "type": "sagashop.order.paid.v1",
    "sequence": 3,
    "at": "2026-11-26T09:00:00.125Z",
    "state": "WAITING",
    "attempts": 2,
    "lastTriedAt": "2026-11-26T09:00:06.125Z",
    "nextTryAt": "2026-11-26T09:05:06.125Z",
    "status": 503,
    "reason": "503 Service Unavailable",
}
DELIVERIES: Final[Example] = {"items": [DELIVERY], "nextCursor": None}
