"""What is done again and again while a fault lasts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from dev.survive.site import Site
from services.shared.waiting import end

# A fault, as what it is done to sees it: it begins, lasts, and ends.
During = Callable[[Site], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def again_and_again(work: Callable[[], Awaitable[object]], pause: float = 0) -> AsyncIterator[None]:
    """With so many seconds in between; what it raises ends the block. The end of the block cuts it short."""

    async def repeated() -> None:
        while True:
            await work()
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as group:
        working = group.create_task(repeated())
        yield
        await end([working])
