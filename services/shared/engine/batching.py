"""How many messages share a transaction, and how long the first of them waits for company."""

import asyncio
import time
from typing import Final, NamedTuple

# Waiting pays where at least so many others can be expected to come meanwhile (on average).
WORTH_WAITING_FOR: Final = 0.6
# How much the latest batch counts in the rate of arrivals.
WEIGHT: Final = 0.2


class Batching(NamedTuple):
    max_batch: int
    # The longest that a batch waits for others to join it.
    linger_seconds: float


class Pace:
    """An idle service decides at once; one with traffic waits a little, and so commits half as often."""

    def __init__(self, batching: Batching) -> None:
        self._most, self._linger = batching
        self._rate = 0.0
        self._last = time.monotonic()

    async def linger(self, waiting: int) -> None:
        """Waits for company, where company can be expected. `waiting` messages are there already."""
        if waiting < self._most and self._rate * self._linger >= WORTH_WAITING_FOR:
            await asyncio.sleep(self._linger)

    def took(self, count: int) -> None:
        """Notes that a batch of `count` was formed just now."""
        now = time.monotonic()
        # An hour of silence is one slow interval, not an hour of forgetting.
        rate = count / max(now - self._last, 0.001)
        self._rate += WEIGHT * (rate - self._rate)
        self._last = now
