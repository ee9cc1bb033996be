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
