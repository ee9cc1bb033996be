"""The database's clock: one time for all replicas, whatever the clocks of their machines say or do."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

RESYNC_SECONDS: Final = 30.0
SAMPLES: Final = 5
log = logging.getLogger(__name__)


class Clock:
    """The database's time when it was last asked, and what has passed since. No step of a clock shows."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self._client = client
        self._zero = datetime.now(UTC) - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        """UTC, in milliseconds: what a BSON date can hold."""
        now = self._zero + timedelta(seconds=time.monotonic())
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    async def sync(self) -> None:
        """Asks the database; the quickest of a few round trips is the nearest. Raises PyMongoError."""
        took, zero = min([await self._measure() for _ in range(SAMPLES)])
        # Less than half of the round trip is noise.
        if abs(zero - self._zero) > took / 2:
            self._zero = zero

    async def _measure(self) -> tuple[timedelta, datetime]:
        """How long the round trip took, and when by the database's clock the monotonic one was at zero."""
        before = time.monotonic()
        hello = await self._client.admin.command("hello")
        took = timedelta(seconds=time.monotonic() - before)
        there: datetime = hello["localTime"].replace(tzinfo=UTC)
        return took, there - timedelta(seconds=before) - took / 2

    async def run(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.sync()
            except PyMongoError as error:
                log.warning("the clock goes on without the database: %s", error)
