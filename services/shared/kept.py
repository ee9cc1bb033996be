"""An answer that many may want and that costs something: it is made once, and kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Kept(Generic[Answer]):
    """`make` says what the answer is, and for how many seconds it holds. All who ask wait for one."""

    def __init__(self, make: Callable[[], Awaitable[tuple[Answer, float]]]) -> None:
        self._make = make
        self._answer: tuple[Answer, float] | None = None
        self._making = asyncio.Lock()

    async def get(self) -> Answer:
        async with self._making:
            if self._answer is None or time.monotonic() >= self._answer[1]:
                answer, seconds = await self._make()
                self._answer = answer, time.monotonic() + seconds
            return self._answer[0]

    def forget(self) -> None:
        """Whoever asks next has it made anew."""
        self._answer = None
