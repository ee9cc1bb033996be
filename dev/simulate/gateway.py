"""A payment gateway that may be down, slow or unheard, and that does under one key one thing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from msgspec import structs

from dev.simulate.clock import Process
from dev.simulate.database_client import now
from dev.simulate.dice import Dice, Fault
from services.payment.gateway import (
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Refund,
    Refunded,
    Status,
    Transaction,
)
from services.payment.ledger import LedgerEntry

DECLINES = 0.15


class SimulatedGateway:
    """Implements `Gateway` for one process; `ledger` is the gateway's own."""

    def __init__(self, process: Process, dice: Dice, ledger: dict[str, LedgerEntry]) -> None:
        self._process, self._dice, self._ledger = process, dice, ledger

    async def capture(self, charge: Charge) -> Captured | Declined:
        accepted = self._dice.at(f"card of {charge.key}").random.random() >= DECLINES
        entry = LedgerEntry.of_charge(charge, f"txn_{charge.key}", accepted=accepted)
        return (await self._enter(entry)).capture_result

    async def refund(self, refund: Refund) -> Refunded:
        charge = self._ledger.get(refund.charge_key)
        if charge is None or charge.status is not Status.CAPTURED or charge.amount != refund.amount:
            raise GatewayRefused("there is nothing to be refunded")
        entry = LedgerEntry.of_refund(refund, f"re_{refund.key}")
        return Refunded((await self._enter(entry)).transaction_id)

    async def lookup(self, key: str) -> Captured | Declined | Refunded | None:
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
