"""The payment service: `python -m services.payment.main`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.payment import ledger
from services.payment.api import router
from services.payment.domain import DOMAIN
from services.payment.effects import ASKING, effects
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

log = logging.getLogger(__name__)


def make_app(settings: PaymentSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        log.warning(
            "the payment gateway is the mock: no money moves, and orders are paid for nothing",
            extra={"test_tokens": settings.payment_test_tokens},
        )
        # The mock gateway shares the database's server with us, and nothing else.
        client = connect(settings.mongodb_url)
        gateway = MockGateway(
            Ledger(Store(client, settings.database).database[ledger.COLLECTION]),
            success_rate=settings.payment_success_rate,
            delay_seconds=settings.payment_delay_seconds,
            test_tokens=settings.payment_test_tokens,
            webhook_secrets=settings.webhook_secrets,
        )
        app.state.gateway, app.state.provider = gateway, settings.payment_gateway
        manual = settings.payment_capture == "manual"
        engine = engine_life(
            lambda: Engine(
                settings, DOMAIN, indexes=INDEXES, effects=effects(gateway, manual=manual), asking=ASKING
            ),
            counting(count_refunds),
        )
        try:
            async with engine(app) as readiness:
                yield readiness
        finally:
            await client.close()

    return create_app(settings, router, life, unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = PaymentSettings.given()
    serve(make_app(settings), settings)
