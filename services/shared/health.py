"""How a process knows that it is well: what it says of its readiness, and parts that must not end.

Whatever runs in the background runs as long as the process. A part that ends while it should run, with an
error, without one or cancelled by somebody else, ends the process: one that half works is worse than one that
is started anew.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from services.shared.waiting import end

log = logging.getLogger(__name__)


class Readiness(NamedTuple):
    ready: bool
    detail: str


def terminate() -> None:
    """Ends this process in good order."""
    signal.raise_signal(signal.SIGTERM)


class Background:
    """The parts of a process that run beside its requests. `end` ends the process."""

    def __init__(self, end: Callable[[], None] = terminate) -> None:
        self._end = end
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        # Why the process is being ended, once a part has died.
        self.failure: str | None = None

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_ended)
        self._tasks.append(task)

    def run_once(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Like `run`, for work that may come to its end."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Cancels all parts, and waits for their end."""
        self._stopping = True
        await end(self._tasks)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or task.exception() is not None:
            self._on_ended(task)

    def _on_ended(self, task: "asyncio.Task[None]") -> None:
        if self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        why = "was cancelled" if task.cancelled() else f"died: {error!r}" if error else "ended"
        self.failure = f"{task.get_name()} {why}"
        log.critical("%s: ending the process", self.failure, exc_info=error)
        self._end()


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[Background]:
    """Runs `work` meanwhile."""
    background = Background()
    background.run(work, name)
    try:
        yield background
    finally:
        await background.stop()
