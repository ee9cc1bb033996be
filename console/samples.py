"""The samples of the last two hours, in the memory of one replica: for the page Now, without a Prometheus."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Never

from console.curves import SHOWN, Sample
from console.standing import sample
from sagactl.oncall.status.standing import Status

EVERY_SECONDS: Final = 30.0


class Samples:
    def __init__(self, look: Callable[[], Awaitable[Status]]) -> None:
        """`look` raises nothing where a server does not answer."""
        self._look = look
        self._kept: deque[Sample] = deque(maxlen=round(SHOWN.total_seconds() / EVERY_SECONDS))

    @property
    def all(self) -> Sequence[Sample]:
        """The oldest first."""
        return tuple(self._kept)

    async def take(self) -> Never:
        while True:
            self._kept.append(sample(await self._look()))
            await asyncio.sleep(EVERY_SECONDS)
