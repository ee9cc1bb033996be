"""Tells that new orders are refused: the log, and whoever asks the database how the shop stands.

A refusal itself leaves no trace: a line or a row for each would cost more than to refuse it.
"""

import asyncio
import logging
from typing import Final, Never

from pymongo.errors import PyMongoError

from services.order import queries
from services.order.pressure import TOO_MANY, Pressure
from services.shared.engine.life import Engine

TOLD_SECONDS: Final = 5.0
log = logging.getLogger(__name__)


async def tell(pressure: Pressure, engine: Engine) -> Never:
    """Tells every few seconds how many were refused since, if any were."""
    told = 0
    while True:
        await asyncio.sleep(TOLD_SECONDS)
        number = pressure.refused - told
        if not number:
            continue
        told += number
        log.warning("%d new orders were refused: %s", number, TOO_MANY)
        try:
            await queries.note_shed(engine.store, number, engine.clock.now())
        except PyMongoError as error:
            log.warning("that is not noted in the database: %s", error)
