"""Redis as the engine uses it: one memory for all, which may be gone, or claim what is not so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError as Unavailable

from dev.simulate.clock import Process
from dev.simulate.dice import Dice, Fault


class Hints:
    """In the place of `Redis`, for one process; `known` is everybody's."""

    def __init__(self, process: Process, dice: Dice, known: set[str]) -> None:
        self._process, self._dice, self._known = process, dice, known

    async def mget(self, keys: Sequence[str]) -> list[str | None]:
        wrong = await self._reach("redis.mget", Fault.HINTS_WRONG)
        return ["1" if wrong or key in self._known else None for key in keys]

    def register_script(self, _: str) -> Callable[..., Awaitable[Any]]:
        """There is one: it remembers keys."""

        async def remember(*, keys: Sequence[str], args: object) -> None:
            del args  # how long they are kept: longer than a simulation
            await self._reach("redis.remember")
            self._known.update(keys)

        return remember

    async def aclose(self) -> None: ...

    async def _reach(self, name: str, *possible: Fault) -> bool:
        self._process.check()
        place = self._dice.at(f"{self._process.name}, {name}")
        await asyncio.sleep(place.latency())
        self._process.check()
        fault = place.fate(Fault.HINTS_UNAVAILABLE, *possible)
        if fault is Fault.HINTS_UNAVAILABLE:
            raise Unavailable("connection refused")
        return fault is not None
