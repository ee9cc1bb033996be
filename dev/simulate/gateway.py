"""A payment gateway that may be down, slow or unheard, that decides now or later, and does under one key one
thing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import structs

from dev.simulate.clock import Process
from dev.simulate.database_client import now
from dev.simulate.dice import Dice, Fault, Place
from services.payment.gateway import (
    Answer,
    Charge,
    ChargeAnswer,
    GatewayRefused,
    GatewayUnavailable,
    Heard,
    Refund,
    Refunded,
    RefundRefused,
    Status,
    Transaction,
)
from services.payment.ledger import LedgerEntry, refund_entry

DECLINES = 0.15
# Of charges whose refunds it refuses at first, once or twice.
REFUSES = 0.2
# Of charges that it decides on later, and when (seconds, the mean).
WAITS = 0.3
LATER_SECONDS = 15.0


async def reach(process: Process, place: Place) -> Fault | None:
    """The way to the gateway, which takes its time. What goes wrong on it, if anything."""
    process.check()
    await asyncio.sleep(20 * place.latency())
    process.check()
    return place.fate(Fault.GATEWAY_DOWN, Fault.GATEWAY_UNHEARD)


class SimulatedGateway:
    """Implements `Gateway` for one process; `ledger` is the gateway's own."""

    def __init__(self, process: Process, dice: Dice, ledger: dict[str, LedgerEntry]) -> None:
        self._process, self._dice, self._ledger = process, dice, ledger

    async def authorize(self, charge: Charge) -> ChargeAnswer:
        return (await self._charge(charge, Status.AUTHORIZED)).charge_result

    async def capture(self, charge: Charge) -> ChargeAnswer:
        return (await self._charge(charge, Status.CAPTURED)).charge_result

    async def void(self, charge: Charge) -> ChargeAnswer:
        return (await self._charge(charge, Status.VOIDED)).charge_result

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        earlier = [entry for entry in self._ledger.values() if entry.order_id == refund.order_id]
        entry = refund_entry(earlier, refund, f"re_{refund.key}")
        return (await self._enter(entry)).refund_result

    async def lookup(self, key: str, reference: str = "") -> Answer | None:
        assert reference in {"", f"txn_{key}"} or ":refund" in key  # noqa: S101  # what it was told, if anything
        await self._reach()
        entry = self._ledger.get(key)
        if entry is None:
            return None
        self._ledger[key] = entry.decided(now())
        return self._ledger[key].outcome

    async def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        await self._reach()
        for entry in sorted(self._ledger.values(), key=lambda each: each.at):
            if entry.at >= since:
                yield entry.transaction

    async def made_for(self, order_id: str, reference: str = "") -> Sequence[Transaction]:
        raise NotImplementedError(f"nobody who charges asks what was done: {order_id}, {reference}")

    async def hear(self, headers: Mapping[str, str], body: bytes) -> Heard | None:
        raise NotImplementedError(f"what it says is said to the service itself: {headers}, {body!r}")

    async def _charge(self, charge: Charge, wanted: Status) -> LedgerEntry:
        return await self._enter(self._asked_first(charge, wanted), wanted)

    def _asked_first(self, charge: Charge, wanted: Status) -> LedgerEntry:
        """What a key becomes that nobody has asked with before."""
        card = self._dice.at(f"card of {charge.key}").random
        declined, waits = card.random() < DECLINES, card.random() < WAITS
        refusals = card.randint(1, 2) if card.random() < REFUSES else 0
        decided = Status.DECLINED if declined and wanted is not Status.VOIDED else wanted
        entry = LedgerEntry.of_charge(charge, f"txn_{charge.key}", decided, refusals=refusals)
        if not waits or wanted is Status.VOIDED:
            return entry
        later = now() + timedelta(seconds=card.expovariate(1 / LATER_SECONDS))
        return structs.replace(entry, status=Status.PENDING, then=decided, later=later)

    async def _enter(self, entry: LedgerEntry, wanted: Status | None = None) -> LedgerEntry:
        fault = await self._reach()
        # By the clock of the simulation.
        known = self._ledger.setdefault(entry.id, structs.replace(entry, at=now())).decided(now())
        if not known.is_same_request(entry):
            raise GatewayRefused(f"key {entry.id} was used for another {known.kind}")
        if wanted is Status.CAPTURED:
            known = known.captured()
        if wanted is Status.VOIDED:
            known = known.voided()
        self._ledger[entry.id] = known
        if fault is Fault.GATEWAY_UNHEARD:
            raise GatewayUnavailable("no answer")
        return known

    async def _reach(self) -> Fault | None:
        fault = await reach(self._process, self._dice.at(f"{self._process.name}, gateway"))
        if fault is Fault.GATEWAY_DOWN:
            raise GatewayUnavailable("503 Service Unavailable")
        return fault
