"""After publishing: confirmed rows are deleted from the outbox, many at once; others are shortened."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from bson import ObjectId
from pymongo.errors import PyMongoError

from services.shared.database.clock import Clock
from services.shared.engine import leases
from services.shared.engine.leases import Leases, Left
from services.shared.engine.rows import OutboxEvent, Row

# Confirmed rows are deleted many at once, no later than this.
CLEAR_SECONDS: Final = 0.5
CLEAR_AT_ONCE: Final = 500
log = logging.getLogger(__name__)


class Clearing:
    """What is to be written to the outbox collection about rows that were published, in whole or in part."""

    def __init__(self, rows: Leases, clock: Clock, *, on_deleted: Callable[[ObjectId], None]) -> None:
        self._rows, self._clock, self._on_deleted = rows, clock, on_deleted
        self._published: deque[ObjectId] = deque()
        self._left: deque[Left] = deque()
        self._came = asyncio.Event()

    def delete(self, id_: ObjectId) -> None:
        """All of the row was published."""
        self._published.append(id_)
        self._came.set()

    def shorten(self, row: Row, published: Sequence[OutboxEvent], *, refused: bool) -> None:
        """The replica goes no further with the row. What the broker refused rests for a while."""
        rest = leases.rest_until(row.at, self._clock.now()) if refused else None
        self._left.append(Left(row, published, rest))
        self._came.set()

    @property
    def published(self) -> frozenset[ObjectId]:
        """Rows that are still to be deleted."""
        return frozenset(self._published)

    @property
    def has_left(self) -> bool:
        return bool(self._left)

    async def run(self) -> None:
        """Writes as much at once as comes together within half a second."""
        while True:
            await self._came.wait()
            if len(self._published) < CLEAR_AT_ONCE:
                await asyncio.sleep(CLEAR_SECONDS)
            self._came.clear()
            await self._clear()

    async def finish(self) -> None:
        """Writes what is still to be written. Raises PyMongoError."""
        if self._published:
            await self._rows.delete(self._published)
        if self._left:
            await self._rows.shorten(self._left)

    async def _clear(self) -> None:
        published, self._published = self._published, deque()
        left, self._left = self._left, deque()
        try:
            if published:
                await self._rows.delete(published)
            if left:
                await self._rows.shorten(left)
        except BaseException as error:
            # They stay in memory meanwhile: this replica's own sweep does not publish them again.
            self._published.extendleft(reversed(published))
            self._left.extendleft(reversed(left))
            self._came.set()
            if not isinstance(error, PyMongoError):
                raise
            log.warning("%d published rows are not deleted yet: %s", len(published), error)
            return
        for id_ in published:
            self._on_deleted(id_)
