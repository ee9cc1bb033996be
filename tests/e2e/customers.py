"""Customers at the shop's door, with the patience that a real client has: retry what may be retried."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Self
from uuid import uuid4

import aiohttp

from tests.e2e.release import until

Body = dict[str, Any]
TRY_AGAIN = {
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}


class RefusedError(RuntimeError):
    """The shop said no."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


@dataclass(frozen=True)
class Customer:
    session: aiohttp.ClientSession
    token: str = ""
    patience: float = 90

    async def call(self, method: str, path: str, body: Body | None = None, key: str = "") -> Body:
        """Call the shop until it answers other than "not now". Raise RefusedError, or what came at last."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        end = time.monotonic() + self.patience
        while True:
            try:
                async with self.session.request(method, path, json=body, headers=headers) as answer:
                    text = await answer.text()
                    if answer.ok:
                        found: Body = await answer.json() if text else {}
                        return found
                    if answer.status not in TRY_AGAIN or time.monotonic() > end:
                        raise RefusedError(answer.status, text)
            except (aiohttp.ClientError, TimeoutError):
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.3)

    async def register(self) -> Self:
        login = {"email": f"{uuid4().hex}@shop.example", "password": uuid4().hex}
        await self.call("POST", "/auth/register", {**login, "name": "Ada"})
        return await self.log_in(login)

    async def log_in(self, login: Mapping[str, str]) -> Self:
        answer = await self.call("POST", "/auth/login", dict(login))
        return replace(self, token=answer["accessToken"])

    async def add_product(self, stock: int, price: str = "9.99") -> str:
        product = {
            "name": "Tea",
            "description": "Green.",
            "price": price,
            "currency": "EUR",
            "initialStock": stock,
        }
        answer = await self.call("POST", "/api/products", product)
        name = str(answer["productId"])

        async def stocked() -> bool:
            try:
                await self.stock(name)
            except RefusedError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                return False
            return True

        await until(stocked, seconds=60, what="stock of a new product")
        return name

    async def stock(self, product: str) -> dict[str, int]:
        found = await self.call("GET", f"/api/inventory/{product}")
        return {name: found[name] for name in ("available", "reserved", "sold")}

    async def buy(self, quantities: Mapping[str, int], card: str = "tok_success", **more: Any) -> Body:
        order = {"ids": [*quantities], "quantities": [*quantities.values()], "paymentToken": card, **more}
        return await self.call("POST", "/api/orders", order, key=uuid4().hex)

    async def order(self, name: str) -> Body:
        return await self.call("GET", f"/api/orders/{name}")

    async def payment(self, order: str) -> Body | None:
        """The payment of an order, None while there is none."""
        try:
            return await self.call("GET", f"/api/payments/{order}")
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def settled(self, name: str, seconds: float = 120) -> Body:
        return await until(
            lambda: self.order(name),
            lambda order: order["settled"],
            seconds=seconds,
            what=f"order {name} to settle",
        )

    async def becomes(self, name: str, status: str, seconds: float = 60) -> Body:
        return await until(
            lambda: self.order(name),
            lambda order: order["status"] == status,
            seconds=seconds,
            what=f"order {name} to be {status}",
        )


@dataclass
class Load:
    """Customers who keep buying, from `async with` to its end."""

    customer: Customer
    products: list[str]
    customers: int = 4
    orders: dict[str, Body] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._closing = asyncio.Event()
        self._buyers = [asyncio.create_task(self._buy(number)) for number in range(self.customers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await asyncio.gather(*self._buyers)

    async def _buy(self, number: int) -> None:
        turn = number
        while not self._closing.is_set():
            turn += 1
            product = self.products[turn % len(self.products)]
            card = "tok_declined" if turn % 5 == 0 else "tok_success"
            try:
                order = await self.customer.buy({product: 1 + turn % 2}, card)
                self.orders[order["orderId"]] = order
            except (RefusedError, aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0.05)
