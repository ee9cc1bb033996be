"""When orders are due, and when the shop lets nobody in."""

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import count, takewhile
from typing import Final

# For a refusal that says nothing of when to come back.
REFUSED_SECONDS: Final = 1.0
# By so many seconds a timer may be early.
MOMENT: Final = 0.001


def arrivals(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """When each order of so many seconds is due, from the start on: somewhere in a slot of its own."""
    due = ((number + chance.random()) / rate for number in count())
    return takewhile(lambda at: at < seconds, due)


class Door:
    """The shop's, as customers see it: who is told to come back later tells all others, and nobody tries."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells seconds."""
        self._clock, self._opens_at = clock, float("-inf")

    @property
    def closed(self) -> bool:
        return self._opens_at - self._clock() > MOMENT

    def refused(self, retry_after: float) -> None:
        """For so many seconds nobody is let in; 0 where that was not said."""
        self._opens_at = max(self._opens_at, self._clock() + (retry_after or REFUSED_SECONDS))

    async def opened(self) -> None:
        while self.closed:
            await asyncio.sleep(self._opens_at - self._clock())
