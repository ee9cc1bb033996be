"""The database's clock: one time for all replicas, whatever the clocks of their machines say."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

RESYNC_SECONDS: Final = 30.0
SAMPLES: Final = 5
log = logging.getLogger(__name__)


class Clock:
    """Local time corrected by the offset to the database, which is measured now and then."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self._client = client
        self._offset = timedelta()

    def now(self) -> datetime:
        """UTC, in milliseconds: what a BSON date can hold."""
        now = datetime.now(UTC) + self._offset
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    async def sync(self) -> None:
        """Measures the offset by the quickest of a few round trips; half of that one is the error."""
        quickest, offset = min([await self._measure() for _ in range(SAMPLES)])
        # Less than the error is noise: most machines keep the time.
        self._offset = offset if abs(offset) > quickest / 2 else timedelta()

    async def _measure(self) -> tuple[timedelta, timedelta]:
        """How long the round trip took, and the offset that it showed."""
        before = datetime.now(UTC)
        hello = await self._client.admin.command("hello")
        took = datetime.now(UTC) - before
        return took, hello["localTime"].replace(tzinfo=UTC) - (before + took / 2)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.sync()
            except PyMongoError as error:
                log.warning("the clock keeps its offset of %s: %s", self._offset, error)
