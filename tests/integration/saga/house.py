"""What one running shop is to its tests: what lasts for the whole run, and what each test visits it with."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from dev.faults.crashes import Crashes
from dev.stack import Stack
from sagactl.oncall.check import Known
from tests.integration.saga.traces import Traces

# Seconds. For a machine that is busy with other things; longer than a dead replica takes to be missed.
PATIENCE: Final = 60.0


@dataclass
class House:
    """What lasts for the whole run: the processes, and who has an account."""

    stack: Stack
    traces: Traces
    crashes: Crashes
    logins: dict[str, tuple[str, float]] = field(default_factory=dict)
    # Orders that were answered 201, and by which test they were placed.
    accepted: dict[str, str] = field(default_factory=dict)
    # Orders of other systems, and those that a test made contradictory: the checker is told of them.
    known: set[Known] = field(default_factory=set)


@dataclass
class Visit:
    """One test's view of it, with clients on the test's own event loop."""

    house: House
    test: str
    session: aiohttp.ClientSession
    # For answers that are looked at closely: with status, headers and body.
    http: httpx.AsyncClient
    mongodb: AsyncMongoClient[dict[str, Any]]

    @property
    def stack(self) -> Stack:
        return self.house.stack

    def database(self, service: str) -> AsyncDatabase[dict[str, Any]]:
        return self.mongodb[service]

    async def ledger(self, order_id: str) -> Counter[str]:
        """What the payment gateway did for the order, by its own account."""
        entries = self.database("payment")["gateway_ledger"].find({"orderId": order_id})
        return Counter([entry["status"] async for entry in entries])
