"""Runs a measurement, and leaves no server behind where it is interrupted."""

from collections.abc import Coroutine
from typing import Any

import uvloop

from dev import interrupts


def run(measuring: Coroutine[Any, Any, bool]) -> int:
    """The exit code: 1 where something was not as it must be, 130 where a signal ended it."""
    return interrupts.run(_judged(measuring), uvloop.new_event_loop)


async def _judged(measuring: Coroutine[Any, Any, bool]) -> int:
    return 0 if await measuring else 1
