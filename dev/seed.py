"""A small shop to look at: products with stock, a customer, and an order in every end state.

It goes through the public API, as people would, and can be repeated: what is there already is found again,
products by their names and orders by their idempotency keys.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from dev.files import write_private
from sagactl.shop import Client, Json, ShopError

PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Product:
    name: str
    price: str
    currency: str
    stock: int


@dataclass(frozen=True)
class Purchase:
    """An order of the products that are named so, and what becomes of it."""

    story: str
    quantities: Mapping[str, int]
    card: str = "tok_success"
    fulfilment: str = "all"
    then: Callable[[Client, str], Awaitable[Json]] | None = None


async def _cancel(customer: Client, order_id: str) -> Json:
    """While the slow card is being charged."""
    if (await customer.order(order_id))["status"] in {"PENDING", "CONFIRMED"}:
        await customer.cancel(order_id)
    return await customer.at(order_id, "CANCELLED")


async def _refund(customer: Client, order_id: str) -> Json:
    order = await customer.settled(order_id)
    if order["status"] == "PAID":
        await customer.refund(order_id, "the cups arrived in pieces")
    return await customer.at(order_id, "REFUNDED")


PRODUCTS: Final = (
    Product("Teapot", "24.90", "EUR", 40),
    Product("Cup", "3.25", "EUR", 200),
    Product("Loose tea, 250 g", "7.80", "EUR", 120),
    Product("Kettle", "59.00", "EUR", 15),
    Product("Anniversary teapot", "140.00", "EUR", 2),
    Product("Travel mug", "18.50", "USD", 30),
    Product("Tea towel", "9.00", "USD", 80),
)
PURCHASES: Final = (
    Purchase("paid", {"Teapot": 1, "Cup": 4}),
    Purchase("paid, in dollars", {"Travel mug": 1, "Tea towel": 2}),
    Purchase("partly fulfilled", {"Kettle": 1, "Anniversary teapot": 3}, fulfilment="partial"),
    Purchase("out of stock", {"Cup": 2, "Anniversary teapot": 3}),
    Purchase("card declined", {"Kettle": 1}, card="tok_declined"),
    Purchase("cancelled by the customer", {"Loose tea, 250 g": 2}, card="tok_slow", then=_cancel),
    Purchase("refunded", {"Cup": 6}, then=_refund),
)


@dataclass(frozen=True)
class Seeded:
    """Which order tells which story."""

    orders: Mapping[str, str]

    @classmethod
    def kept_in(cls, mark: Path) -> "Seeded | None":
        return cls(**json.loads(mark.read_text())) if mark.exists() else None

    def keep_in(self, mark: Path) -> None:
        write_private(mark, json.dumps(asdict(self), indent=1) + "\n")


async def seed(
    gateway: str, admin: Mapping[str, str], customer: Mapping[str, str], tell: Callable[[str], None]
) -> Seeded:
    """Fill the shop. Raises ShopError, aiohttp.ClientError and TimeoutError."""
    async with aiohttp.ClientSession() as session:
        visitor = Client(session, gateway, patience=PATIENCE_SECONDS)
        seller = await visitor.log_in(admin["email"], admin["password"])
        buyer = await _customer(visitor, customer["email"], customer["password"])
        tell(f"filling the shop: {len(PRODUCTS)} products")
        products = await _products(seller)
        tell(f"filling the shop: {len(PURCHASES)} orders, until each has ended")
        orders = await asyncio.gather(*(_buy(buyer, purchase, products) for purchase in PURCHASES))
    return Seeded(
        {purchase.story: order["orderId"] for purchase, order in zip(PURCHASES, orders, strict=True)}
    )


async def _customer(visitor: Client, email: str, password: str) -> Client:
    try:
        return await visitor.register("Charlie Customer", email, password)
    except ShopError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        return await visitor.log_in(email, password)


async def _products(seller: Client) -> Mapping[str, str]:
    """The id of each product by its name."""
    listed = (await seller.call("GET", "/api/products?limit=100"))["items"]
    found = {product["name"]: str(product["productId"]) for product in listed}
    missing = [product for product in PRODUCTS if product.name not in found]
    made = await asyncio.gather(
        *(seller.add_product(each.stock, each.price, each.currency, each.name) for each in missing)
    )
    return found | {product.name: id_ for product, id_ in zip(missing, made, strict=True)}


async def _buy(customer: Client, purchase: Purchase, products: Mapping[str, str]) -> Json:
    """The order, at the end of its story."""
    quantities = {products[name]: quantity for name, quantity in purchase.quantities.items()}
    key = f"seed: {purchase.story}"
    order = await customer.place(quantities, purchase.card, key=key, fulfilment=purchase.fulfilment)
    if purchase.then is not None:
        return await purchase.then(customer, order["orderId"])
    return await customer.settled(order["orderId"])
