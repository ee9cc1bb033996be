"""Waiting for something to happen, for a while, or for what is cancelled to end."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

# Longer than a task takes to end in good order.
AGAIN_SECONDS: Final = 3.0


async def happens(event: asyncio.Event, within: float) -> bool:
    """Whether the event is set within so many seconds.

    Who waits and is cancelled is cancelled, also in the moment in which the event is set: `asyncio.wait_for`
    forgets it then, up to Python 3.11, and what should have ended goes on for ever.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels them and waits until they have ended; those that have not after a while are cancelled again.

    Client libraries may swallow a cancellation, as `asyncio.wait_for` of Python 3.11 does when what it waits
    for is done in the same moment. The caller may be cancelled meanwhile, and then it is. How the tasks ended
    is theirs to tell.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_SECONDS)
