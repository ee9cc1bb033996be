"""The built-in gateway: deterministic, with test tokens, and a ledger of its own as a real gateway has one.

The ledger is written outside the service's transactions, and is what the checker holds our payments against.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import structs

from services.payment.gateway import (
    Answer,
    BadSignature,
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
from services.payment.ledger import Ledger, LedgerEntry, refund_entry
from services.payment.signatures import verify

# What a payment token makes the gateway do, as test cards do.
SUCCESS: Final = "tok_success"
DECLINED: Final = "tok_declined"
SLOW: Final = "tok_slow"
ERROR: Final = "tok_error"
REFUND_REFUSED: Final = "tok_refund_refused"
# Decided on later; of an action, once the customer has been where they are sent.
PENDING: Final = "tok_pending"
ACTION: Final = "tok_action"
# Of a charge with that token: so many refunds are refused, the next one is made.
REFUSALS: Final = 2
SLOW_SECONDS: Final = 5.0
LATER: Final = {PENDING: timedelta(seconds=20), ACTION: timedelta(seconds=3)}
# Where a bank would ask its customer to agree. Nobody is there.
ACTION_URL: Final = "https://bank.example/agree/"
SIGNATURE: Final = "mock-signature"
# How long a key fails after it is first seen: the retry after 1 s fails too; the next, after 10 s, does not.
ERROR_SECONDS: Final = 8.0
KEYS_REMEMBERED: Final = 10_000


class MockGateway:
    """Implements `Gateway`. A key without a test token succeeds by its hash, at `success_rate`.

    Without `test_tokens` that is every key: a token then says nothing.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        success_rate: float,
        delay_seconds: float,
        test_tokens: bool,
        webhook_secrets: Sequence[str] = (),
        only_reads: bool = False,
    ) -> None:
        self._ledger = ledger
        self._success_rate, self._delay = success_rate, delay_seconds
        self._test_tokens = test_tokens
        self._webhook_secrets = webhook_secrets
        self._only_reads = only_reads
        self._failing_since: OrderedDict[str, float] = OrderedDict()

    async def authorize(self, charge: Charge) -> ChargeAnswer:
        return (await self._take(charge, Status.AUTHORIZED)).charge_result

    async def capture(self, charge: Charge) -> ChargeAnswer:
        there = await self._take(charge, Status.CAPTURED)
        return (await self._ledger.change(there, there.captured())).charge_result

    async def void(self, charge: Charge) -> ChargeAnswer:
        """Where the key has no entry it gets one, which no capture changes."""
        await asyncio.sleep(self._delay)
        there = await self._now(await self._enter(self._entry(charge, Status.VOIDED)))
        return (await self._ledger.change(there, there.voided())).charge_result

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        await asyncio.sleep(self._delay)
        earlier = await self._ledger.of_order(refund.order_id)
        entry = await self._enter(refund_entry(earlier, refund, _reference("re", refund.key)))
        return entry.refund_result

    async def lookup(self, key: str, reference: str = "") -> Answer | None:  # noqa: ARG002  # a key is enough
        entry = await self._ledger.find(key)
        return None if entry is None else (await self._now(entry)).outcome

    async def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        async for entry in self._ledger.since(since):
            yield entry.transaction

    async def made_for(self, order_id: str, reference: str = "") -> Sequence[Transaction]:  # noqa: ARG002
        return [entry.transaction for entry in await self._ledger.of_order(order_id)]

    async def hear(self, headers: Mapping[str, str], body: bytes) -> Heard | None:
        verify(headers.get(SIGNATURE, ""), body, self._webhook_secrets, time.time())
        try:
            return msgspec.json.decode(body, type=Heard)
        except msgspec.DecodeError as error:
            raise BadSignature(str(error)) from error

    async def _take(self, charge: Charge, accepted: Status) -> LedgerEntry:
        """A slow card is decided on at once, and answered later: a void finds it taken."""
        await self._behave(charge)
        entry = await self._enter(self._entry(charge, accepted))
        if self._test_token(charge) == SLOW:
            await asyncio.sleep(SLOW_SECONDS)
        return await self._now(entry)

    def _entry(self, charge: Charge, accepted: Status) -> LedgerEntry:
        """What is entered under a key that is not known yet."""
        token = self._test_token(charge)
        refusals = REFUSALS if token == REFUND_REFUSED else 0
        status = accepted if accepted is Status.VOIDED or self._accepts(charge) else Status.DECLINED
        entry = LedgerEntry.of_charge(charge, _reference("txn", charge.key), status, refusals=refusals)
        if status is Status.VOIDED or token not in LATER:
            return entry
        return structs.replace(
            entry,
            status=Status.PENDING,
            then=status,
            later=datetime.now(UTC) + LATER[token],
            url=f"{ACTION_URL}{charge.key}" if token == ACTION else "",
        )

    async def _now(self, entry: LedgerEntry) -> LedgerEntry:
        """As time has decided on it, which whoever asks first writes down."""
        decided = entry.decided(datetime.now(UTC))
        return decided if self._only_reads else await self._ledger.change(entry, decided)

    async def _behave(self, charge: Charge) -> None:
        await asyncio.sleep(self._delay)
        if self._test_token(charge) == ERROR and self._fails(charge.key):
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
        if token in {SUCCESS, SLOW, ERROR, REFUND_REFUSED, *LATER}:
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
