"""Asking the gateway, with the intent stored: charges and refunds, and what is not known of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import Histogram

from services.payment.domain import intend
from services.payment.gateway import (
    Captured,
    Declined,
    Gateway,
    GatewayRefused,
    GatewayUnavailable,
    Refunded,
    RefundRefused,
)
from services.payment.payment import (
    ASKED_AGAIN,
    AskAgain,
    ChargeOutcome,
    Payment,
    PaymentState,
    RefundOutcome,
)
from services.payment.refunds import leased, refund_of
from services.shared.contract.decisions import Deferred, Message, Rejected
from services.shared.contract.events import PAYMENT_EVENTS, STOCK_RESERVED, OrderConfirmed, RefundPayment
from services.shared.engine.asking import Asking
from services.shared.engine.effects import Effects
from services.shared.telemetry import at_zero

# Longer than the slowest test token, and shorter than an order waits for its payment.
TIMEOUT_SECONDS: Final = 30.0
# Gateways forget keys, Stripe's after 24 hours: asked again later than this, we look first.
KEYS_LAST: Final = timedelta(hours=12)
GATEWAY_DURATION: Final = Histogram(
    "sagashop_payment_gateway_duration_seconds",
    "Calls of the payment gateway",
    ["call", "result"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
at_zero(GATEWAY_DURATION, ["capture", "refund"], ["answered", "unknown", "refused"])


def effects(gateway: Gateway) -> Mapping[str, Effects]:
    """What the engine performs before it decides, by queue."""
    return {
        STOCK_RESERVED: Effects(intend, partial(charge, gateway)),
        PAYMENT_EVENTS: Effects(intend, partial(refund, gateway)),
    }


ASKING: Final = Asking(Payment, PaymentState.REFUNDING, leased, ASKED_AGAIN, PAYMENT_EVENTS)


async def charge(gateway: Gateway, payment: Payment, message: Message) -> ChargeOutcome:
    """Captures what the payment says. Raises Deferred while it is not known whether that was done."""
    event = message.body
    assert isinstance(event, OrderConfirmed)  # noqa: S101  # no other has such an intent
    wanted = payment.charge(event.payment_token)
    async with _asking("capture"):
        if _keys_may_be_forgotten(payment, message):
            earlier = await gateway.lookup(wanted.key)
            if isinstance(earlier, Captured | Declined):
                return ChargeOutcome(event, earlier)
        return ChargeOutcome(event, await gateway.capture(wanted))


async def refund(gateway: Gateway, payment: Payment, message: Message) -> RefundOutcome:
    """Gives back what is asked for. Raises Deferred while it is not known whether that was done."""
    event = message.body
    assert isinstance(event, RefundPayment | AskAgain)  # noqa: S101  # no other has such an intent
    asked = refund_of(payment, event)
    assert asked is not None  # noqa: S101  # it is what the intent has written down
    wanted = payment.asks(asked)
    async with _asking("refund"):
        earlier = await gateway.lookup(wanted.key) if _keys_may_be_forgotten(payment, message) else None
        known = earlier if isinstance(earlier, Refunded | RefundRefused) else None
        answer = known or await gateway.refund(wanted)
        return RefundOutcome(event, answer, asked.attempt, message.at)


def _keys_may_be_forgotten(payment: Payment, message: Message) -> bool:
    return payment.intended_at is not None and message.at - payment.intended_at > KEYS_LAST


@asynccontextmanager
async def _asking(call: str) -> AsyncIterator[None]:
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
