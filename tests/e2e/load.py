"""Customers who buy all the time, whatever happens to the shop meanwhile."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from sagactl.shop import Client, Json, ShopError


@dataclass
class Load:
    """Customers who keep buying, from `async with` to its end."""

    customer: Client
    products: list[str]
    customers: int = 4
    orders: dict[str, Json] = field(default_factory=dict)
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
                order = await self.customer.place({product: 1 + turn % 2}, card)
                self.orders[order["orderId"]] = order
            except (ShopError, aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0.05)
