"""The built-in gateway: deterministic, with test tokens, and a ledger of its own as a real gateway has one.

The ledger is written outside the service's transactions, and is what the checker holds our payments against.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

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
from services.payment.ledger import Ledger, LedgerEntry, refund_entry

# What a payment token makes the gateway do, as test cards do.
SUCCESS: Final = "tok_success"
DECLINED: Final = "tok_declined"
SLOW: Final = "tok_slow"
ERROR: Final = "tok_error"
REFUND_REFUSED: Final = "tok_refund_refused"
# Of a charge with that token: so many refunds are refused, the next one is made.
REFUSALS: Final = 2
SLOW_SECONDS: Final = 5.0
# How long a key fails after it is first seen: the retry after 1 s fails too; the next, after 10 s, does not.
ERROR_SECONDS: Final = 8.0
KEYS_REMEMBERED: Final = 10_000


class MockGateway:
    """Implements `Gateway`. A key without a test token succeeds by its hash, at `success_rate`.

    Without `test_tokens` that is every key: a token then says nothing.
    """

    def __init__(
        self, ledger: Ledger, *, success_rate: float, delay_seconds: float, test_tokens: bool
    ) -> None:
        self._ledger = ledger
        self._success_rate, self._delay = success_rate, delay_seconds
        self._test_tokens = test_tokens
        self._failing_since: OrderedDict[str, float] = OrderedDict()

    async def capture(self, charge: Charge) -> Captured | Declined:
        await self._behave(charge)
        reference = _reference("txn", charge.key)
        refusals = REFUSALS if self._test_token(charge) == REFUND_REFUSED else 0
        accepted = self._accepts(charge)
        entry = LedgerEntry.of_charge(charge, reference, accepted=accepted, refusals=refusals)
        return (await self._enter(entry)).capture_result

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        await asyncio.sleep(self._delay)
        earlier = await self._ledger.of_order(refund.order_id)
        entry = await self._enter(refund_entry(earlier, refund, _reference("re", refund.key)))
        return entry.refund_result

    async def lookup(self, key: str) -> Answer | None:
        entry = await self._ledger.find(key)
        return None if entry is None else entry.outcome

    async def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        async for entry in self._ledger.since(since):
            yield entry.transaction

    async def _behave(self, charge: Charge) -> None:
        token = self._test_token(charge)
        await asyncio.sleep(self._delay + (SLOW_SECONDS if token == SLOW else 0))
        if token == ERROR and self._fails(charge.key):
            raise GatewayUnavailable("503 Service Unavailable")

    def _test_token(self, charge: Charge) -> str | None:
        return charge.token if self._test_tokens else None

    def _fails(self, key: str) -> bool:
        since = self._failing_since.setdefault(key, time.monotonic())
        if len(self._failing_since) > KEYS_REMEMBERED:
            self._failing_since.popitem(last=False)
        return time.monotonic() - since < ERROR_SECONDS

    def _accepts(self, charge: Charge) -> bool:
        token = self._test_token(charge)
        if token in {SUCCESS, SLOW, ERROR, REFUND_REFUSED}:
            return True
        return token != DECLINED and _fraction(charge.key) < self._success_rate

    async def _enter(self, entry: LedgerEntry) -> LedgerEntry:
        """What the ledger says under the key: what was first entered."""
        known = await self._ledger.enter(entry)
        if not known.is_same_request(entry):
            raise GatewayRefused(f"key {entry.id} was used for another {known.kind}")
        return known


def _fraction(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48


def _reference(prefix: str, key: str) -> str:
    return f"{prefix}_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
