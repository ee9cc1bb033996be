"""What is watched of money on its way back."""

from typing import Final

from prometheus_client import Counter, Gauge

from services.payment import queries
from services.shared.database.counting import Backlog
from services.shared.engine.life import Engine
from services.shared.telemetry import at_zero

REFUNDS: Final = Gauge("sagashop_refunds_open", "Refunds that the payment gateway has not confirmed yet")
REFUSED: Final = Gauge(
    "sagashop_refunds_refused", "Payments with a refund that the gateway refuses: it is asked again"
)
OLDEST: Final = Gauge(
    "sagashop_refunds_oldest_seconds", "For how long a refund has been asked for, at most; 0: none is open"
)
BACKLOG: Final = Backlog(REFUNDS, OLDEST)
WEBHOOKS: Final = Counter(
    "sagashop_payment_webhooks_total", "What the payment gateway said by itself", ["outcome"]
)
at_zero(WEBHOOKS, ["heard", "known", "unknown payment", "not for us", "refused"])


async def count_refunds(engine: Engine) -> None:
    """Sets the gauges. Raises PyMongoError."""
    store = engine.store
    since = await queries.oldest_refund(store)
    BACKLOG.show(await queries.count_refunds(store), since, engine.clock.now())
    REFUSED.set(await queries.count_refused(store))
