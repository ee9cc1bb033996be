"""What a service counts in its database now and then, for gauges."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from prometheus_client import Gauge
from pymongo.errors import PyMongoError

COUNT_EVERY_SECONDS: Final = 15.0
log = logging.getLogger(__name__)
Counted = TypeVar("Counted")


class Backlog(NamedTuple):
    """The gauges of what waits: how much, and in seconds for how long the oldest has (0: nothing waits)."""

    number: Gauge
    oldest: Gauge

    def show(self, number: int, since: datetime | None, now: datetime) -> None:
        """`since` when the oldest has waited."""
        self.number.set(number)
        self.oldest.set(age(since, now))


def age(since: datetime | None, now: datetime) -> float:
    """In seconds; 0 of what is not there."""
    return 0 if since is None else max(0.0, (now - since).total_seconds())


def counting(count: Callable[[Counted], Awaitable[None]]) -> Callable[[Counted], Coroutine[Any, Any, None]]:
    """Work for the background: `count`, again and again. Without the database, or where a document cannot be
    read, gauges stay as they are.
    """

    async def run(counted: Counted) -> None:
        while True:
            try:
                await count(counted)
            except (PyMongoError, msgspec.ValidationError) as error:
                log.warning("gauges are not set: %s", error)
            await asyncio.sleep(COUNT_EVERY_SECONDS)

    return run
