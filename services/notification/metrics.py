"""What is watched of mail on its way out."""

from services.notification import queries
from services.shared.engine.life import Engine
from services.shared.mail.metrics import OLDEST, WAITING


async def count_mails(engine: Engine) -> None:
    """Sets the gauges. Raises PyMongoError."""
    since = await queries.oldest_waiting(engine.store)
    WAITING.set(await queries.count_waiting(engine.store))
    OLDEST.set(0 if since is None else (engine.clock.now() - since).total_seconds())
