"""What goes in and out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
DELIVERY: Final[Example] = {"quantity": 12}
STOCK: Final[Example] = {
    "productId": "0b5b1f3c-6a0e-4a55-8a53-5f2d8a1c9e01",
    "available": 23,
    "discontinued": False,
}
STOCK_LIST: Final[Example] = {"items": [STOCK]}
ADJUSTMENT: Final[Example] = {"delta": -2, "reason": "DAMAGED", "note": "water in the basement"}
COUNTED: Final[Example] = {"available": 21, "reason": "COUNT"}
MOVE_LIST: Final[Example] = {
    "items": [
        {
            "kind": "adjust",
            "delta": -2,
            "reason": "DAMAGED",
            "note": "water in the basement",
            "by": "0198f3a2-6c1e-7b4d-9c55-2a61f0d3b7e4",
            "at": "2026-08-01T12:00:00Z",
            "revision": 17,
        }
    ],
    "nextCursor": None,
}
