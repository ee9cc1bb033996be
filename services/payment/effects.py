"""Asking the gateway, with the intent stored: charges and refunds, and what is not known of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs
from prometheus_client import Gauge, Histogram

from services.payment.asking import leased
from services.payment.breaker import Breaker
from services.payment.domain import intend
from services.payment.gateway import (
    Captured,
    ChargeAnswer,
    Declined,
    Gateway,
    GatewayRefused,
    GatewayUnavailable,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import (
    ASKED_AGAIN,
    UNDECIDED,
    AskAgain,
    ChargeOutcome,
    LookAgain,
    Payment,
    PaymentState,
    RefundOutcome,
)
from services.payment.refunds import refund_of
from services.shared.contract.decisions import Deferred, Message, Rejected
from services.shared.contract.events import (
    PAYMENT_EVENTS,
    STOCK_RESERVED,
    OrderCancelled,
    OrderConfirmed,
    RefundPayment,
)
from services.shared.engine.asking import Asking
from services.shared.engine.effects import Effects
from services.shared.telemetry import at_zero

# Longer than the slowest test token.
TIMEOUT_SECONDS: Final = 10.0
# Gateways forget keys, Stripe's after 24 hours: asked again later than this, we look first.
KEYS_LAST: Final = timedelta(hours=12)
CALLS: Final = ("authorize", "capture", "void", "lookup", "refund")
GATEWAY_DURATION: Final = Histogram(
    "sagashop_payment_gateway_duration_seconds",
    "Calls of the payment gateway",
    ["call", "result"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
at_zero(GATEWAY_DURATION, CALLS, ["answered", "unknown", "refused"])
GATEWAY_AWAY: Final = Gauge(
    "sagashop_payment_gateway_away",
    "1 while the payment gateway is taken to be away: one call at a time finds out how it is",
)
ASKING: Final = Asking(Payment, leased, ASKED_AGAIN, PAYMENT_EVENTS)


def effects(gateway: Gateway, *, manual: bool = False) -> Mapping[str, Effects]:
    """What the engine performs before it decides, by queue. `manual`: charges are authorised first, and
    captured once that is stored.
    """
    asked = Asked(gateway, manual=manual)
    both = Effects(intend, asked.perform)
    return {STOCK_RESERVED: both, PAYMENT_EVENTS: both}


class Asked:
    """The gateway, asked for what a stored payment says."""

    def __init__(self, gateway: Gateway, *, manual: bool = False) -> None:
        self._gateway, self._manual = gateway, manual
        self._breaker = Breaker()

    async def perform(self, payment: Payment, message: Message) -> ChargeOutcome | RefundOutcome:
        """Raises Deferred while it is not known whether that was done, and Rejected for nonsense."""
        match message.body:
            case (RefundPayment() | AskAgain()) as event:
                return await self._refund(payment, event, message.at)
            case (OrderConfirmed() | OrderCancelled() | LookAgain()) as event:
                return ChargeOutcome(event, await self._charge(payment, event, message.at), message.at)
            case other:
                raise TypeError(f"no gateway is asked about {other!r}")

    async def _charge(
        self, payment: Payment, event: OrderConfirmed | OrderCancelled | LookAgain, at: datetime
    ) -> ChargeAnswer:
        """By the state that is stored, whatever brought it up."""
        if payment.state is PaymentState.CAPTURING and isinstance(event, OrderConfirmed):
            return await self._first(payment, event.payment_token, at)
        if payment.state is PaymentState.AUTHORIZED:
            async with self._asking("capture"):
                return await self._gateway.capture(payment.charge())
        if payment.state is PaymentState.VOIDING:
            return await self._void(payment, at)
        found = await self._look(payment)
        if found is not None:
            return found
        if payment.state in UNDECIDED:
            raise Deferred("lookup: the gateway knows nothing of it yet")
        return Voided()

    async def _first(self, payment: Payment, token: str | None, at: datetime) -> ChargeAnswer:
        """Asked for again under the same key, it is the same charge."""
        if _keys_may_be_forgotten(payment.created_at, at) and (found := await self._look(payment)):
            return found
        call = "authorize" if self._manual else "capture"
        ask = self._gateway.authorize if self._manual else self._gateway.capture
        async with self._asking(call):
            return await ask(payment.charge(token))

    async def _void(self, payment: Payment, at: datetime) -> ChargeAnswer:
        wanted = payment.charge()
        if _keys_may_be_forgotten(payment.created_at, at) and (found := await self._look(payment)):
            if isinstance(found, Captured | Declined | Voided):
                return found
            wanted = structs.replace(wanted, reference=found.transaction_id)
        async with self._asking("void"):
            return await self._gateway.void(wanted)

    async def _look(self, payment: Payment) -> ChargeAnswer | None:
        async with self._asking("lookup"):
            found = await self._gateway.lookup(payment.capture_key, payment.transaction_id)
        if isinstance(found, Refunded | RefundPending | RefundRefused):
            raise TypeError(f"a refund was made under the key of a charge, {payment.capture_key}")
        return found

    async def _refund(self, payment: Payment, event: RefundPayment | AskAgain, at: datetime) -> RefundOutcome:
        asked = refund_of(payment, event)
        assert asked is not None  # noqa: S101  # it is what the intent has written down
        wanted = payment.asks(asked)
        if _keys_may_be_forgotten(payment.intended_at, at):
            async with self._asking("lookup"):
                found = await self._gateway.lookup(wanted.key, payment.transaction_id)
            if isinstance(found, Refunded | RefundPending | RefundRefused):
                return RefundOutcome(event, found, asked.attempt, at)
        async with self._asking("refund"):
            answer = await self._gateway.refund(wanted)
        return RefundOutcome(event, answer, asked.attempt, at)

    @asynccontextmanager
    async def _asking(self, call: str) -> AsyncIterator[None]:
        """Raises Deferred at once while the gateway is taken to be away."""
        now = asyncio.get_running_loop().time
        if not self._breaker.lets_through(now(), TIMEOUT_SECONDS):
            raise Deferred(f"{call}: the gateway does not answer, and is tried again in a while")
        started = time.perf_counter()
        result = "answered"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                yield
        except (GatewayUnavailable, TimeoutError) as error:
            result = "unknown"
            raise Deferred(f"{call}: {str(error) or 'no answer in time'}") from error
        except GatewayRefused as error:
            result = "refused"
            raise Rejected(f"{call}: {error}") from error
        finally:
            GATEWAY_DURATION.labels(call, result).observe(time.perf_counter() - started)
            if result == "unknown":
                self._breaker.unknown(now())
            else:
                self._breaker.answered()
            GATEWAY_AWAY.set(self._breaker.is_open)


def _keys_may_be_forgotten(since: datetime | None, at: datetime) -> bool:
    return since is not None and at - since > KEYS_LAST
