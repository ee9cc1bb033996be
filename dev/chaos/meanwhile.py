"""What is done again and again while a fault lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from dev.survive.site import Site
from services.shared.waiting import end

# A fault, as what it is done to sees it: it begins, lasts, and ends.
During = Callable[[Site], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def meanwhile(work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """What the work raises ends the block."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        yield
        await end([working])
