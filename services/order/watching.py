"""Who watches which order, and one look for all of them at what has become of it.

However many watch, a replica asks the database once for all their orders, four times a second, and reads
those that have changed: docs/adr/0074. Nothing is kept for a reader but the order as it was last seen: who
is slow gets the same events later, out of its history.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter
from pymongo.errors import PyMongoError

from services.order import feed, queries
from services.order.feed import Ending
from services.order.model import Order
from services.shared.database.store import Store
from services.shared.http.auth import User
from services.shared.http.streams import Streams
from services.shared.telemetry import at_zero

LOOK_SECONDS: Final = 0.25
# After a look that failed.
RETRY_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 15.0
# After which a reader comes again: spread, since all of a replica's come at once.
RETRY_MS: Final = (1000, 5000)
ENDED: Final = Counter(
    "sagashop_streams_ended_total", "Streams of orders' events, by why they ended", ["reason"]
)
at_zero(ENDED, Ending)
log = logging.getLogger(__name__)


class Watch:
    """An order, as one reader of its events last heard of it."""

    def __init__(self, order: Order, *, is_over: bool) -> None:
        self.order, self.is_over = order, is_over
        self.ending = Ending.HUNG_UP
        self._news = asyncio.Event()

    def tell(self, order: Order) -> None:
        self.order = order
        self._news.set()

    def end(self) -> None:
        self.is_over = True
        self._news.set()

    async def news(self, seconds: float) -> bool:
        """Whether there is any within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Watching:
    """All that is watched at one replica."""

    def __init__(
        self, store: Store, streams: Streams, longest_seconds: float, stopping: asyncio.Event
    ) -> None:
        self._store, self._streams, self._stopping = store, streams, stopping
        self.longest_seconds = longest_seconds
        self._of: dict[str, set[Watch]] = {}

    @contextmanager
    def watch(self, order: Order, caller: User) -> Iterator[Watch]:
        """Meanwhile the watch is told what becomes of the order. Raises Problem where there is no room."""
        with self._streams.one_more(caller.id):
            watch = Watch(order, is_over=self._stopping.is_set())
            watches = self._of.setdefault(order.id, set())
            watches.add(watch)
            try:
                yield watch
            finally:
                ENDED.labels(watch.ending).inc()
                watches.remove(watch)
                if not watches:
                    del self._of[order.id]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except PyMongoError as error:
                log.warning("those who watch orders hear nothing without the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def end(self) -> None:
        """Ends all streams once the process is asked to end: nobody waits for what has no end."""
        await self._stopping.wait()
        for watches in self._of.values():
            for watch in watches:
                watch.end()

    async def _look(self) -> None:
        known = {id_: min(each.order.version for each in watches) for id_, watches in self._of.items()}
        if not known:
            return
        for id_, order in (await queries.newer(self._store, known)).items():
            for watch in self._of.get(id_, ()):
                if order is None:
                    watch.end()
                elif watch.order.version < order.version:
                    watch.tell(order)


async def events(watch: Watch, after: int, caller: User, longest_seconds: float) -> AsyncIterator[bytes]:
    """What the reader is sent, who has so many steps already: until the order is settled, or it is time."""
    seconds, ending = feed.lasts(time.time(), caller.expires_at, longest_seconds)
    ends_at = time.monotonic() + seconds
    yield feed.opening(_retry_ms())
    while True:
        order = watch.order
        if told := feed.told(order, after, caller):
            yield told
        if order.settled:
            watch.ending = Ending.SETTLED
            return
        after = len(order.history)
        left = ends_at - time.monotonic()
        if watch.is_over or left <= 0:
            watch.ending = Ending.STOPPING if watch.is_over else ending
            yield feed.farewell(watch.ending, _retry_ms())
            return
        if not await watch.news(min(left, HEARTBEAT_SECONDS)):
            yield feed.HEARTBEAT


def _retry_ms() -> int:
    return random.randint(*RETRY_MS)  # noqa: S311  # no secret
