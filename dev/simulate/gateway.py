"""A payment gateway that may be down, slow or unheard, and that does under one key one thing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from msgspec import structs

from dev.simulate.clock import Process
from dev.simulate.database_client import now
from dev.simulate.dice import Dice, Fault
from services.payment.gateway import (
    Answer,
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Refund,
    Refunded,
    RefundRefused,
    Transaction,
)
from services.payment.ledger import LedgerEntry, refund_entry

DECLINES = 0.15
# Of charges whose refunds it refuses at first, once or twice.
REFUSES = 0.2


class SimulatedGateway:
    """Implements `Gateway` for one process; `ledger` is the gateway's own."""

    def __init__(self, process: Process, dice: Dice, ledger: dict[str, LedgerEntry]) -> None:
        self._process, self._dice, self._ledger = process, dice, ledger

    async def capture(self, charge: Charge) -> Captured | Declined:
        card = self._dice.at(f"card of {charge.key}").random
        accepted = card.random() >= DECLINES
        refusals = card.randint(1, 2) if card.random() < REFUSES else 0
        entry = LedgerEntry.of_charge(charge, f"txn_{charge.key}", accepted=accepted, refusals=refusals)
        return (await self._enter(entry)).capture_result

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        earlier = [entry for entry in self._ledger.values() if entry.order_id == refund.order_id]
        entry = refund_entry(earlier, refund, f"re_{refund.key}")
        return (await self._enter(entry)).refund_result

    async def lookup(self, key: str) -> Answer | None:
        await self._reach()
        entry = self._ledger.get(key)
        return None if entry is None else entry.outcome

    async def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        await self._reach()
        for entry in sorted(self._ledger.values(), key=lambda each: each.at):
            if entry.at >= since:
                yield entry.transaction

    async def _enter(self, entry: LedgerEntry) -> LedgerEntry:
        fault = await self._reach()
        # By the clock of the simulation.
        known = self._ledger.setdefault(entry.id, structs.replace(entry, at=now()))
        if not known.is_same_request(entry):
            raise GatewayRefused(f"key {entry.id} was used for another {known.kind}")
        if fault is Fault.GATEWAY_UNHEARD:
            raise GatewayUnavailable("no answer")
        return known

    async def _reach(self) -> Fault | None:
        self._process.check()
        place = self._dice.at(f"{self._process.name}, gateway")
        await asyncio.sleep(20 * place.latency())
        self._process.check()
        fault = place.fate(Fault.GATEWAY_DOWN, Fault.GATEWAY_UNHEARD)
        if fault is Fault.GATEWAY_DOWN:
            raise GatewayUnavailable("503 Service Unavailable")
        return fault
