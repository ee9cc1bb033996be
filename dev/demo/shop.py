"""The shop as its customers see it: HTTP through the gateway, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import aiohttp

from dev.readiness import until

Body = dict[str, Any]


class RefusedError(RuntimeError):
    """The shop answered with an error."""


@dataclass(frozen=True)
class Shopper:
    """A person at the shop's door, whom the shop knows once they have logged in."""

    session: aiohttp.ClientSession
    door: str
    name: str = "visitor"
    token: str = ""

    async def register(self, name: str, email: str, password: str) -> Self:
        await self.call("POST", "/auth/register", {"name": name, "email": email, "password": password})
        return await self.login(name, email, password)

    async def login(self, name: str, email: str, password: str) -> Self:
        answer = await self.call("POST", "/auth/login", {"email": email, "password": password})
        return replace(self, name=name, token=answer["accessToken"])

    async def add_product(self, name: str, price: str, stock: int) -> str:
        product = {
            "name": name,
            "description": name,
            "price": price,
            "currency": "USD",
            "initialStock": stock,
        }
        answer = await self.call("POST", "/api/products", product)
        product_id = str(answer["productId"])
        await until(partial(self._is_stocked, product_id))
        return product_id

    async def _is_stocked(self, product_id: str) -> bool:
        """Inventory learns of a product by an event."""
        try:
            await self.stock(product_id)
        except RefusedError:
            return False
        return True

    async def stock(self, product_id: str) -> Body:
        return await self.call("GET", f"/api/inventory/{product_id}")

    async def place(self, quantities: Mapping[str, int], payment_token: str) -> Body:
        order = {
            "ids": list(quantities),
            "quantities": list(quantities.values()),
            "paymentToken": payment_token,
        }
        return await self.call("POST", "/api/orders", order)

    async def order(self, order_id: str) -> Body:
        return await self.call("GET", f"/api/orders/{order_id}")

    async def timeline(self, order_id: str) -> list[Body]:
        return list((await self.call("GET", f"/api/orders/{order_id}/timeline"))["items"])

    async def payment(self, order_id: str) -> Body:
        return await self.call("GET", f"/api/payments/{order_id}")

    async def call(self, method: str, path: str, body: Body | None = None) -> Body:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(method, self.door + path, json=body, headers=headers) as answer:
            if not answer.ok:
                raise RefusedError(f"{method} {path}: {answer.status} {await answer.text()}")
            return dict(await answer.json())
