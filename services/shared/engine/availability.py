"""Whether the database takes writes, as far as this replica's commits tell."""

import asyncio
import logging
import time
from typing import Final

from pymongo.errors import PyMongoError

from services.shared.database.clock import Clock
from services.shared.database.store import Store
from services.shared.engine import edition

RETRY_SECONDS: Final = 1.0
log = logging.getLogger(__name__)


class Availability:
    """Told by the committer what became of its commits; asked by whoever takes in work for it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        # Since when every commit has failed (monotonic seconds); None where the latest one went through.
        self._lost_since: float | None = None

    def committed(self) -> None:
        self._lost_since = None

    def failed(self) -> None:
        if self._lost_since is None:
            self._lost_since = time.monotonic()

    @property
    def lost_for(self) -> float:
        """For how many seconds every commit has failed; 0 where none has."""
        return 0.0 if self._lost_since is None else time.monotonic() - self._lost_since

    async def wait(self) -> None:
        """Until the database takes a write: one that only answers would be of no use."""
        while True:
            try:
                await edition.touch(self._store, self._clock.now())
            except PyMongoError as error:
                log.warning("nothing is consumed without the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.committed()
                return
