"""What goes in and out, as the API's description shows it."""

from typing import Any, Final

Example = dict[str, Any]
NEW_PRODUCT: Final[Example] = {
    "name": "Tea",
    "description": "Darjeeling, 100 g",
    "price": "9.99",
    "currency": "EUR",
    "initialStock": 25,
}
CHANGES: Final[Example] = {"price": "8.99"}
PRODUCT: Final[Example] = {
    "productId": "0b5b1f3c-6a0e-4a55-8a53-5f2d8a1c9e01",
    "name": "Tea",
    "description": "Darjeeling, 100 g",
    "price": "9.99",
    "currency": "EUR",
    "createdAt": "2026-11-25T09:00:00.125Z",
    "updatedAt": "2026-11-25T09:00:00.125Z",
}
PRODUCT_LIST: Final[Example] = {"items": [PRODUCT], "nextCursor": None}
