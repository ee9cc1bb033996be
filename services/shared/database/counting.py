"""What a service counts in its database now and then, for gauges."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from pymongo.errors import PyMongoError

COUNT_EVERY_SECONDS: Final = 15.0
log = logging.getLogger(__name__)
Counted = TypeVar("Counted")


def counting(count: Callable[[Counted], Awaitable[None]]) -> Callable[[Counted], Coroutine[Any, Any, None]]:
    """Work for the background: `count`, again and again. Without the database gauges stay as they are."""

    async def run(counted: Counted) -> None:
        while True:
            try:
                await count(counted)
            except PyMongoError as error:
                log.warning("gauges are not set: %s", error)
            await asyncio.sleep(COUNT_EVERY_SECONDS)

    return run
