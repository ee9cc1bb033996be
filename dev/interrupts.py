"""Ctrl-C, SIGTERM and SIGHUP: cancel what runs, once, and let it clean up after itself undisturbed."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def run(
    work: Coroutine[Any, Any, int | None],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> int:
    """Run `work`; returns its exit code, or 130 when a signal ended it."""
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(_cancellable(work)) or 0
    except asyncio.CancelledError:
        return INTERRUPTED


async def _cancellable(work: Coroutine[Any, Any, int | None]) -> int | None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def interrupt() -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt)
    return await task
