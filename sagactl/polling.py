"""Waiting for what sends no event when it is so: other processes, and what they answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

POLL_SECONDS: Final = 0.05
Found = TypeVar("Found")


class NotInTimeError(TimeoutError):
    """What was waited for did not come. The text names it, and what was seen last."""


async def until(
    look: Callable[[], Awaitable[Found]],
    good: Callable[[Found], object] = bool,
    *,
    within: float,
    what: str,
    every: float = POLL_SECONDS,
    told: Callable[[Found], str] = repr,
) -> Found:
    """Looks until what is found is good, and returns it. `within` and `every` are in seconds.

    `told`: what was seen last, for those who read that it was not good.

    Raises NotInTimeError, also when a look itself takes too long; and whatever `look` raises.
    """
    seen = "nothing"
    deadline = asyncio.timeout(within)
    try:
        async with deadline:
            # A look may lose that it was cancelled: asyncio.wait_for does, in Python 3.11.
            while not deadline.expired():
                found = await look()
                if good(found):
                    return found
                seen = told(found)
                await asyncio.sleep(every)
    except TimeoutError:
        if not deadline.expired():  # it is an error of `look`
            raise
    raise NotInTimeError(f"{what}: not within {within:g} s; last seen: {seen}")
