"""What one running shop is to its tests: what lasts for the whole run, and what each test visits it with."""

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from dev.faults.crashes import Crashes
from dev.stack import Stack
from sagactl.access import Access
from sagactl.oncall.broker import LIVE, ready_in
from sagactl.oncall.check import Expected, Known, check
from sagactl.oncall.invariants import Finding
from sagactl.polling import NotInTimeError, until
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

    async def holds(self) -> None:
        """Everything that any test did so far, held against the invariants, once it has come to its end.

        Databases and queues say when: each test would wait for the broker's statistics, which are late.
        """
        with suppress(NotInTimeError):
            await until(self._wrong, lambda found: not found, within=PATIENCE, what="all in order", every=0.2)
            return
        self._judge(await self._wrong())

    async def is_left_in_order(self) -> None:
        """The same at the end of the run, and whether the broker knows of something that is under way."""
        report = await check(self._access, self._expected, wait_seconds=PATIENCE)
        self._judge(report.findings)

    async def _wrong(self) -> list[Finding]:
        """As it looks at the moment."""
        found = (
            await check(self._access, self._expected, wait_seconds=0, quiet_seconds=0, still_seconds=0)
        ).findings
        queues = LIVE & {each.subject for each in found}
        # What is delivered and not acknowledged is told late, and shows elsewhere where it matters.
        ready = await ready_in(self._access.amqp_url, sorted(queues))
        return [each for each in found if each.subject not in queues or ready[each.subject].messages]

    def _judge(self, findings: Collection[Finding]) -> None:
        broken = [
            f"{found.invariant}: {found.subject} of {self.accepted.get(found.subject)}: {found.what}"
            for found in findings
        ]
        # The next test is not to be blamed for it.
        self.known.update(Known(found.subject, found.invariant) for found in findings)
        assert not broken, "\n".join(broken)

    @property
    def _access(self) -> Access:
        return Access.of_stack(self.stack.directory)

    @property
    def _expected(self) -> Expected:
        return Expected(accepted=self.accepted, known=self.known)


@dataclass
class Visit:
    """One test's view of it, with clients on the test's own event loop."""

    house: House
    test: str
    session: aiohttp.ClientSession
    # For answers that are looked at closely: with status, headers and body.
    http: httpx.AsyncClient
    mongodb: AsyncMongoClient[dict[str, Any]]
    # Seconds for which customers and administrators repeat what the shop cannot answer at the moment.
    patience: float = 0

    @property
    def stack(self) -> Stack:
        return self.house.stack

    def database(self, service: str) -> AsyncDatabase[dict[str, Any]]:
        return self.mongodb[service]

    async def ledger(self, order_id: str) -> Counter[str]:
        """What the payment gateway did for the order, by its own account."""
        entries = self.database("payment")["gateway_ledger"].find({"orderId": order_id})
        return Counter([entry["status"] async for entry in entries])
