"""The live check, begun here: one at a time, whoever begins it, and kept until the next has come to its end.

It only reads. One whose replica was killed is begun anew by whoever wants to know.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Never

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from console.checks import HELD, ID, Going, Kept, done
from sagactl.access import Access
from sagactl.faults import fault
from sagactl.oncall.books import Books
from sagactl.oncall.live.checking import Live, check_live
from sagactl.oncall.report import Report
from services.shared.database.store import Document, from_document, to_document
from services.shared.waiting import end

COLLECTION: Final = "checks"
BEAT_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 1.0
log = logging.getLogger(__name__)


class Checks:
    """All methods raise PyMongoError where MongoDB does not answer."""

    def __init__(self, access: Access, books: Books) -> None:
        self._access, self._books = access, books
        self._kept: AsyncCollection[Document] = books.of("console")[COLLECTION]
        self._begun: asyncio.Queue[Going] = asyncio.Queue()

    async def latest(self) -> tuple[Kept, datetime]:
        """And when it was looked at, by the database's clock."""
        now = await self._books.now()
        document = await self._kept.find_one({"_id": ID})
        return (Kept() if document is None else from_document(Kept, document)), now

    async def begin(self, by: str, within: timedelta | None) -> bool:
        """Of orders that were placed `within` that time, or of all. False where one is under way."""
        now = await self._books.now()
        since = None if within is None else now - within
        going = Going(by=by, begun_at=now, held_at=now, holder=secrets.token_hex(8), since=since)
        is_free = {"_id": ID, "going.heldAt": {"$not": {"$gt": now - HELD}}}
        written = {"$set": {"going": to_document(going), "trouble": ""}}
        try:
            await self._kept.update_one(is_free, written, upsert=True)
        except DuplicateKeyError:
            return False
        self._begun.put_nowait(going)
        return True

    async def work(self) -> Never:
        """Those that were begun here, one after the other."""
        while True:
            await self._carry_out(await self._begun.get())

    async def _carry_out(self, going: Going) -> None:
        so_far: dict[str, int] = {}
        try:
            async with self._held(going, so_far):
                live = Live(since=going.since)
                report = await check_live(self._access, live=live, progress=so_far.update)
        except Exception as error:
            known = fault(error)
            if known is None:
                raise
            log.warning("a check did not come to its end: %s", known.says)
            await self._end(going, known.says)
        else:
            await self._end(going, report)

    async def _end(self, going: Going, came_to: Report | str) -> None:
        """Tried until it is kept: what took minutes to find is not lost for one write that fails."""
        while True:
            try:
                now = await self._books.now()
                await self._kept.update_one(_of(going), {"$set": _ended(going, came_to, now)})
            except PyMongoError as error:
                log.warning("a check is not kept yet: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    @asynccontextmanager
    async def _held(self, going: Going, so_far: Mapping[str, int]) -> AsyncIterator[None]:
        """Tells how far it has come, until then. What could not be told once is told the next time."""

        async def beat() -> Never:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                said = ", ".join(f"{what}: {number}" for what, number in so_far.items())
                written = {"$set": {"going.soFar": said}, "$currentDate": {"going.heldAt": True}}
                try:
                    await self._kept.update_one(_of(going), written)
                except PyMongoError as error:
                    log.warning("how far a check has come is not told: %s", error)

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            await end([beating])
            if not beating.cancelled():
                beating.result()


def _ended(going: Going, came_to: Report | str, now: datetime) -> Document:
    """With a report, or with the sentence why there is none."""
    if isinstance(came_to, str):
        return {"going": None, "trouble": came_to}
    found = done(came_to, going.by, going.since, going.begun_at, now)
    return {"going": None, "done": to_document(found)}


def _of(going: Going) -> Document:
    """It, unless somebody took it for lost, and began another."""
    return {"_id": ID, "going.holder": going.holder}
