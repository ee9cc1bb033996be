"""Work beside the requests, for services that are no engine."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` meanwhile. When it dies, the process ends: half a process is worse than a new one."""
    task = asyncio.create_task(work)
    task.add_done_callback(_on_ended)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _on_ended(task: asyncio.Task[None]) -> None:
    if task.cancelled() or task.exception() is None:
        return
    log.critical("background work died, ending the process", exc_info=task.exception())
    signal.raise_signal(signal.SIGTERM)
