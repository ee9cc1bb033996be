"""Waiting for something to happen, for a while."""

import asyncio
from contextlib import suppress


async def happens(event: asyncio.Event, within: float) -> bool:
    """Whether the event is set within so many seconds.

    Who waits and is cancelled is cancelled, also in the moment in which the event is set: `asyncio.wait_for`
    forgets it then, up to Python 3.11, and what should have ended goes on for ever.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()
