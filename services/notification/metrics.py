"""What is watched of mail on its way out."""

from typing import Final

from prometheus_client import Gauge

from services.notification import queries
from services.shared.engine.life import Engine

WAITING: Final = Gauge("sagashop_mails_waiting", "Mails that the mail server has not taken on yet")
OLDEST: Final = Gauge(
    "sagashop_mails_oldest_seconds", "For how long a mail has waited, at most; 0: none is waiting"
)


async def count_mails(engine: Engine) -> None:
    """Sets the gauges. Raises PyMongoError."""
    since = await queries.oldest_waiting(engine.store)
    WAITING.set(await queries.count_waiting(engine.store))
    OLDEST.set(0 if since is None else (engine.clock.now() - since).total_seconds())
