"""An answer that many may want and that costs something: it is made once, and kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Kept(Generic[Answer]):
    """`make` says what the answer is, and for how many seconds it holds. It is made once at a time; all who
    ask meanwhile wait for that one, and are told if it fails.
    """

    def __init__(self, make: Callable[[], Awaitable[tuple[Answer, float]]]) -> None:
        self._make = make
        self._answer: tuple[Answer, float] | None = None
        self._making: asyncio.Task[Answer] | None = None
        self._one = asyncio.Lock()

    async def get(self) -> Answer:
        """Who waits no longer leaves the others waiting."""
        if self._answer is not None and time.monotonic() < self._answer[1]:
            return self._answer[0]
        if self._making is None:
            self._making = asyncio.create_task(self._made())
        return await asyncio.shield(self._making)

    async def _made(self) -> Answer:
        try:
            async with self._one:
                answer, seconds = await self._make()
            if self._is_wanted:
                self._answer = answer, time.monotonic() + seconds
            return answer
        finally:
            if self._is_wanted:
                self._making = None

    @property
    def _is_wanted(self) -> bool:
        """Nobody has forgotten it while it was made."""
        return self._making is asyncio.current_task()

    def forget(self) -> None:
        """Whoever asks next has it made anew."""
        self._answer = self._making = None
