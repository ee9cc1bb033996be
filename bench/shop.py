"""A stack with customers and products in it, on which phases are measured."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from rich.console import Console

from bench import meter
from bench.load import STUCK_SECONDS, Load, Site, offer, sagas_of, until_settled
from bench.meter import Reading
from bench.report import Idle, Measured
from dev.services import NAMES
from dev.stack import Stack
from sagactl.shop import Client

CUSTOMERS: Final = 8
PRODUCTS: Final = 20
PLENTY: Final = 10_000_000
PRODUCTS_AT_ONCE: Final = 16
SETTINGS: Final = {
    "PAYMENT_SUCCESS_RATE": "1",
    "RATE_LIMIT_ENABLED": "false",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.05",
    "LOG_LEVEL": "warning",
}
IDLE_SECONDS: Final = 15.0
# After the last order: the servers' own tidying up is not idleness.
REST_SECONDS: Final = 5.0


class Shop(NamedTuple):
    console: Console
    stack: Stack
    mongo: AsyncMongoClient[dict[str, Any]]
    # Logged in.
    customers: list[Client]
    products: Sequence[str]

    @property
    def tokens(self) -> Sequence[str]:
        return [customer.token for customer in self.customers]

    async def renewed_tokens(self) -> Sequence[str]:
        """New ones, as those before expire after a quarter of an hour. Raises what a Client does."""
        self.customers[:] = await asyncio.gather(*(customer.renewed() for customer in self.customers))
        return self.tokens

    @property
    def through_gateway(self) -> Site:
        return Site([self.stack.gateway], self.tokens, self.products)

    @property
    def direct(self) -> Site:
        """To all replicas of the order service, without the gateway before it."""
        urls = [replica.url for replica in self.stack.replicas if replica.service == "order"]
        return Site(urls, self.tokens, self.products)

    @property
    def orders(self) -> AsyncCollection[dict[str, Any]]:
        return self.mongo["order"]["orders"]

    async def more_products(self, number: int) -> Sequence[str]:
        """So many more."""
        async with aiohttp.ClientSession() as session:
            admin = await _administrator(Client(session, self.stack.gateway), self.stack)
            return await _products(admin, number)

    async def measure(self, name: str, site: Site, load: Load, within: float = STUCK_SECONDS) -> Measured:
        """Returns when the last order is settled. Raises NotInTimeError where that takes longer than `within`
        seconds after the last POST.
        """
        self.console.print(f"[dim]{name}: {load.orders} orders, {load}[/dim]")
        # What the services have used is read last before the load and first after it: reading uses something.
        counts = await meter.counts(self.stack, self.mongo)
        before = Reading(meter.usage(self.stack.processes), counts)
        started = time.perf_counter()
        offered = await offer(site, load)
        await until_settled(self.orders, within)
        seconds = time.perf_counter() - started
        used = meter.usage(self.stack.processes)
        after = Reading(used, await meter.counts(self.stack, self.mongo))
        sagas = await sagas_of(self.orders, offered.ids)
        return Measured(name, load, offered, sagas, seconds, before, after)

    async def idle(self) -> Idle:
        self.console.print(f"[dim]idle: {IDLE_SECONDS:.0f} s[/dim]")
        await asyncio.sleep(REST_SECONDS)
        before, started = meter.usage(self.stack.processes), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        return Idle(time.perf_counter() - started, before, meter.usage(self.stack.processes))


async def clear(directory: Path) -> None:
    """Leave nothing there of an earlier run, which may have been killed and left its servers running."""
    await Stack(directory).down()
    shutil.rmtree(directory)


@asynccontextmanager
async def stocked(
    directory: Path, settings: Mapping[str, str], console: Console, services: Sequence[str] = NAMES
) -> AsyncIterator[Shop]:
    """A fresh stack with products and customers, cold."""
    async with (
        Stack(directory, settings={**SETTINGS, **settings}, services=services) as stack,
        aiohttp.ClientSession() as session,
        AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo,
    ):
        visitor = Client(session, stack.gateway)
        products = await _products(await _administrator(visitor, stack), PRODUCTS)
        customers = [await visitor.register(f"Customer {number}") for number in range(CUSTOMERS)]
        yield Shop(console, stack, mongo, customers, products)


@asynccontextmanager
async def shop(
    directory: Path, settings: Mapping[str, str], warm_up: int, console: Console
) -> AsyncIterator[Shop]:
    async with stocked(directory, settings, console) as opened:
        await opened.measure("warm-up", opened.through_gateway, Load(warm_up, 16))
        yield opened


async def _administrator(visitor: Client, stack: Stack) -> Client:
    return await visitor.log_in(stack.admin["email"], stack.admin["password"])


async def _products(admin: Client, number: int) -> Sequence[str]:
    places = asyncio.Semaphore(PRODUCTS_AT_ONCE)

    async def add(place: int) -> str:
        async with places:
            return await admin.add_product(PLENTY, "19.99", "USD", f"Product {place}")

    return await asyncio.gather(*(add(place) for place in range(number)))
