"""The whole shop on servers of its own, as its customers, its operators and other systems meet it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from pymongo import AsyncMongoClient

from sagactl.access import Access
from sagactl.oncall.check import Expected, Known, check
from sagactl.oncall.invariants import Invariant
from tests.integration.saga.chaos import Chaos
from tests.integration.saga.customers import Customers
from tests.integration.saga.house import PATIENCE, House
from tests.integration.saga.probe import Probe


class Shop(Customers, Probe, Chaos):
    """All that a test does with it."""

    def foreign_order(self) -> str:
        """The id of an order that only another system knows."""
        order_id = new_id()
        # Inventory may hold stock for it and payment charge it, and no order of ours says why.
        for invariant in (Invariant.STOCK_OWNED, Invariant.MONEY_AGREES, Invariant.EXPLAINED):
            self.house.known.add(Known(order_id, invariant))
        return order_id

    async def holds(self) -> None:
        """Everything that any test did so far, held against the invariants."""
        access = Access.of_stack(self.stack.directory)
        expected = Expected(accepted=self.house.accepted, known=self.house.known)
        report = await check(access, expected, wait_seconds=PATIENCE)
        broken = [
            f"{found.invariant}: {found.subject} of {self.house.accepted.get(found.subject)}: {found.what}"
            for found in report.findings
        ]
        # The next test is not to be blamed for it.
        self.house.known.update(Known(found.subject, found.invariant) for found in report.findings)
        assert not broken, "\n".join(broken)


def new_id() -> str:
    return f"order_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def visiting(house: House, test: str) -> AsyncIterator[Shop]:
    timeout = 60
    async with (
        AsyncMongoClient[dict[str, Any]](house.stack.mongodb.url, tz_aware=True) as mongodb,
        httpx.AsyncClient(base_url=house.stack.gateway, timeout=timeout) as http,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
    ):
        yield Shop(house, test, session, http, mongodb)
