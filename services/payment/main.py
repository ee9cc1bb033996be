"""The payment service: `python -m services.payment.main`."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from fastapi import FastAPI

from services.payment import ledger
from services.payment.api import router
from services.payment.domain import DOMAIN
from services.payment.effects import ASKING, effects
from services.payment.gateway import Gateway
from services.payment.ledger import Ledger
from services.payment.metrics import count_refunds
from services.payment.mock import MockGateway
from services.payment.queries import INDEXES
from services.payment.settings import PaymentSettings
from services.shared.database.counting import counting
from services.shared.database.store import UNAVAILABLE, Store, connect
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.serving import serve

# Secret keys, and restricted ones.
LIVE_KEYS: Final = ("sk_live_", "rk_live_")
log = logging.getLogger(__name__)


def make_app(settings: PaymentSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        async with opened(settings) as gateway:
            app.state.gateway, app.state.provider = gateway, settings.payment_gateway
            manual = settings.payment_capture == "manual"
            engine = engine_life(
                lambda: Engine(
                    settings, DOMAIN, indexes=INDEXES, effects=effects(gateway, manual=manual), asking=ASKING
                ),
                counting(count_refunds),
            )
            async with engine(app) as readiness:
                yield readiness

    return create_app(settings, router, life, unavailable=UNAVAILABLE)


def opened(settings: PaymentSettings) -> AbstractAsyncContextManager[Gateway]:
    """The gateway of the settings."""
    return _stripe(settings) if settings.payment_gateway == "stripe" else _mock(settings)


@asynccontextmanager
async def _mock(settings: PaymentSettings) -> AsyncIterator[Gateway]:
    log.warning(
        "the payment gateway is the mock: no money moves, and orders are paid for nothing",
        extra={"test_tokens": settings.payment_test_tokens},
    )
    # It shares the database's server with us, and nothing else.
    client = connect(settings.mongodb_url)
    try:
        yield MockGateway(
            Ledger(Store(client, settings.database).database[ledger.COLLECTION]),
            success_rate=settings.payment_success_rate,
            delay_seconds=settings.payment_delay_seconds,
            test_tokens=settings.payment_test_tokens,
            webhook_secrets=settings.webhook_secrets,
        )
    finally:
        await client.close()


@asynccontextmanager
async def _stripe(settings: PaymentSettings) -> AsyncIterator[Gateway]:
    # Whoever is paid through another gateway does not wait for its library.
    from services.payment.stripe_gateway import StripeGateway  # noqa: PLC0415

    key = settings.stripe_api_key.get_secret_value()
    if not key.startswith(LIVE_KEYS):
        log.warning("Stripe is asked with a test key: no money moves, and orders are paid for nothing")
    gateway = StripeGateway(
        key,
        return_url=settings.stripe_return_url,
        webhook_secrets=settings.webhook_secrets,
        url=settings.stripe_api_url,
    )
    try:
        yield gateway
    finally:
        await gateway.close()


if __name__ == "__main__":
    settings = PaymentSettings.given()
    serve(make_app(settings), settings)
