"""Has customers order at a steady rate, whatever the answers are, what is there for nothing else."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final, NamedTuple

from sagactl.load.customers import Account, Customer
from sagactl.load.figures import Figures, Outcome
from sagactl.load.pace import Door, arrivals
from sagactl.shop import Client
from services.shared.waiting import happens

PRODUCTS: Final = 5
PLENTY: Final = 10_000_000
PRICE: Final = "1.00"
# Orders a second of one customer: with what is asked after them, well below what the gateway lets one ask.
OF_ONE_CUSTOMER: Final = 4.0


class Generator(NamedTuple):
    customers: Sequence[Customer]
    products: Sequence[str]
    door: Door
    figures: Figures

    async def run(self, rate: float, seconds: float, stop: asyncio.Event, chance: random.Random) -> None:
        """For so many seconds or until it is told to stop, and until each order has come to its end.

        `rate` is in orders a second, `chance` says when in its slot each is due; what is due is placed, also
        where this program is late.
        Raises an ExceptionGroup of ShopError for an answer that no fault of a server excuses.
        """
        now = asyncio.get_running_loop().time
        started = now()
        due_at = arrivals(rate, seconds, chance)
        async with asyncio.TaskGroup() as group:
            for due, customer, product in zip(
                due_at, cycle(self.customers), cycle(self.products), strict=False
            ):
                if await happens(stop, max(0, started + due - now())):
                    return
                if self.door.closed:
                    self.figures.ended(Outcome.HELD_BACK)
                else:
                    group.create_task(customer.order(product))


@asynccontextmanager
async def prepared(
    visitor: Client, administrator: Account, rate: float, figures: Figures
) -> AsyncIterator[Generator]:
    """With customers, and products that an administrator makes and takes away again.

    Raises what the client does, where `visitor` has no more patience.
    """
    seller = await administrator.client()
    products = [
        await seller.add_product(PLENTY, PRICE, name=f"Load test {number}") for number in range(PRODUCTS)
    ]
    door = Door(asyncio.get_running_loop().time)
    try:
        customers = [
            await Customer.registered(visitor, door, figures)
            for _ in range(math.ceil(rate / OF_ONE_CUSTOMER))
        ]
        yield Generator(customers, products, door, figures)
    finally:
        seller = await administrator.client()
        for product in products:
            await seller.remove_product(product)
