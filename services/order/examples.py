"""What goes in and out, as the API's description shows it."""

import json
from typing import Any, Final

Example = dict[str, Any]
TEA: Final = "0b5b1f3c-6a0e-4a55-8a53-5f2d8a1c9e01"
CUP: Final = "4f8d2c7a-91b3-4d06-b1a7-2c3e5d6f7a02"
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
AT: Final = "2026-11-25T09:30:00.125Z"
LATER: Final = "2026-11-25T09:30:00.480Z"
NEW_ORDER: Final[Example] = {"ids": [TEA, CUP], "quantities": [2, 1], "paymentToken": "tok_success"}
REFUND: Final[Example] = {
    "reason": "The cup is broken",
    "lines": [{"productId": CUP, "quantity": 1, "restock": "none"}],
}
CANCELLATION: Final[Example] = {"reason": "One tea is enough", "lines": [{"productId": TEA, "quantity": 1}]}
SETTLEMENT: Final[Example] = {"reference": "SEPA 2026-11-27/0815", "reason": "The card was closed"}
ORDER: Final[Example] = {
    "orderId": "c2cb7464-2127-45db-b640-15c896f64d1f",
    "status": "PAID",
    "settled": True,
    "compensation": {"stock": "none", "refund": "done"},
    "fulfilment": "all",
    "totalPrice": "32.97",
    "currency": "EUR",
    "products": [
        {
            "productId": TEA,
            "name": "Tea",
            "quantity": 2,
            "price": "9.99",
            "state": "SOLD",
            "refunded": 0,
            "returned": 0,
            "shipped": 0,
        },
        {
            "productId": CUP,
            "name": "Cup",
            "quantity": 1,
            "price": "12.99",
            "state": "SOLD",
            "refunded": 1,
            "returned": 0,
            "shipped": 0,
        },
    ],
    "cancellationReason": None,
    "cancellationDetail": None,
    "refundReason": "The cup is broken",
    "refunds": [
        {
            "refundRequestId": "7d1f3a0c-3f52-5b8e-9a49-6a3d1c0b7e11",
            "lines": [{"productId": CUP, "quantity": 1, "restock": "none"}],
            "amount": "12.99",
            "state": "DONE",
            "reason": "The cup is broken",
            "refusal": None,
            "settledOutside": None,
        }
    ],
    "nextAction": None,
    "reservedUntil": None,
    "createdAt": AT,
    "updatedAt": LATER,
}
ORDER_PAGE: Final[Example] = {"items": [ORDER], "nextCursor": None}
TIMELINE: Final[Example] = {
    "items": [
        {
            "at": AT,
            "event": event,
            "from": before,
            "to": after,
            "reason": None,
            "lines": [],
            "refundRequestId": None,
            "traceId": TRACE,
        }
        for event, before, after in (
            ("ORDER_CREATED", None, "PENDING"),
            ("INVENTORY_RESERVED", "PENDING", "CONFIRMED"),
            ("PAYMENT_SUCCEEDED", "CONFIRMED", "PAID"),
        )
    ]
}


def _event(name: str, data: Example, *more: str) -> str:
    return "\n".join([f"event: {name}", f"data: {json.dumps(data, separators=(',', ':'))}", *more, "", ""])


# A stream of them, as it comes over the wire.
EVENTS: Final = "".join(
    [
        "retry: 2718\n\n",
        *(_event("step", step, f"id: {number}") for number, step in enumerate(TIMELINE["items"], 1)),
        ": ping\n\n",
        _event("end", ORDER),
    ]
)
