"""What is watched of money on its way back."""

from typing import Final

from prometheus_client import Gauge

from services.payment import queries
from services.shared.engine.life import Engine

REFUNDS: Final = Gauge("sagashop_refunds_open", "Refunds that the payment gateway has not confirmed yet")
REFUSED: Final = Gauge(
    "sagashop_refunds_refused", "Payments with a refund that the gateway refuses: it is asked again"
)
OLDEST: Final = Gauge(
    "sagashop_refunds_oldest_seconds", "For how long a refund has been asked for, at most; 0: none is open"
)


async def count_refunds(engine: Engine) -> None:
    """Sets the gauges. Raises PyMongoError."""
    since = await queries.oldest_refund(engine.store)
    REFUNDS.set(await queries.count_refunds(engine.store))
    REFUSED.set(await queries.count_refused(engine.store))
    OLDEST.set(0 if since is None else (engine.clock.now() - since).total_seconds())
