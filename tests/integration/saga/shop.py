"""The whole shop on servers of its own, as its customers, its operators and other systems meet it."""

import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import httpx
from pymongo import AsyncMongoClient

from sagactl.oncall.check import Known
from sagactl.oncall.invariants import Invariant
from tests.integration.saga.chaos import Chaos
from tests.integration.saga.customers import Customers
from tests.integration.saga.house import House
from tests.integration.saga.probe import Probe

# Nothing here speaks TLS: whom the machine trusts each client would read anew.
NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Shop(Customers, Probe, Chaos):
    """All that a test does with it."""

    def foreign_order(self) -> str:
        """The id of an order that only another system knows."""
        order_id = new_id()
        # Inventory may hold stock for it and payment charge it, and no order of ours says why.
        for invariant in (Invariant.STOCK_OWNED, Invariant.MONEY_AGREES, Invariant.EXPLAINED):
            self.house.known.add(Known(order_id, invariant))
        return order_id


def new_id() -> str:
    return f"order_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def visiting(house: House, test: str) -> AsyncIterator[Shop]:
    timeout = 60
    async with (
        AsyncMongoClient[dict[str, Any]](house.stack.mongodb.url, tz_aware=True) as mongodb,
        httpx.AsyncClient(base_url=house.stack.gateway, timeout=timeout, verify=NOBODY) as http,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
    ):
        yield Shop(house, test, session, http, mongodb)
