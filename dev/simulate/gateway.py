"""A payment gateway that may be down, slow or unheard, and that does under one key one thing."""

import asyncio

from dev.simulate.clock import Process
from dev.simulate.dice import Dice, Fault
from services.payment.gateway import (
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Refund,
    Refunded,
)
from services.payment.ledger import Kind, LedgerEntry, Status

DECLINES = 0.15


class SimulatedGateway:
    """Implements `Gateway` for one process; `ledger` is the gateway's own."""

    def __init__(self, process: Process, dice: Dice, ledger: dict[str, LedgerEntry]) -> None:
        self._process, self._dice, self._ledger = process, dice, ledger

    async def capture(self, charge: Charge) -> Captured | Declined:
        accepted = self._dice.at(f"card of {charge.key}").random.random() >= DECLINES
        entry = LedgerEntry(
            id=charge.key,
            order_id=charge.order_id,
            kind=Kind.CAPTURE,
            amount=charge.amount,
            currency=charge.currency,
            status=Status.CAPTURED if accepted else Status.DECLINED,
            transaction_id=f"txn_{charge.key}",
        )
        known = await self._enter(entry)
        if known.status is Status.DECLINED:
            return Declined(known.transaction_id, "declined")
        return Captured(known.transaction_id)

    async def refund(self, refund: Refund) -> Refunded:
        charge = self._ledger.get(refund.charge_key)
        if charge is None or charge.status is not Status.CAPTURED or charge.amount != refund.amount:
            raise GatewayRefused("there is nothing to be refunded")
        entry = LedgerEntry(
            id=refund.key,
            order_id=refund.order_id,
            kind=Kind.REFUND,
            amount=refund.amount,
            currency=refund.currency,
            status=Status.REFUNDED,
            transaction_id=f"re_{refund.key}",
        )
        return Refunded((await self._enter(entry)).transaction_id)

    async def lookup(self, key: str) -> Captured | Declined | Refunded | None:
        await self._reach()
        entry = self._ledger.get(key)
        if entry is None:
            return None
        if entry.kind is Kind.REFUND:
            return Refunded(entry.transaction_id)
        if entry.status is Status.DECLINED:
            return Declined(entry.transaction_id, "declined")
        return Captured(entry.transaction_id)

    async def _enter(self, entry: LedgerEntry) -> LedgerEntry:
        fault = await self._reach()
        known = self._ledger.setdefault(entry.id, entry)
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
