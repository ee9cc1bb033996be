"""What the clock brings up: aggregates that say when the outside world is to be asked again about them.

No timer is in anybody's memory. Whoever finds such a time in the past puts it off, guarded by the version,
and asks; where they die meanwhile, the time comes again, and the same is asked under the same id.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs
from pymongo import ASCENDING, IndexModel, ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from services.shared.contract.decisions import RIGHT_AWAY, Aggregate, Decision, Deferred, Message
from services.shared.database.clock import Clock
from services.shared.database.store import Document, Store, readable, to_document

LOOK_SECONDS: Final = 2.0
MORE_SECONDS: Final = 0.1
AT_ONCE: Final = 50
# Of those that have a time, and nothing of the others: what goes well costs nothing there.
INDEX: Final = IndexModel([("askAt", ASCENDING)], partialFilterExpression={"askAt": {"$gte": RIGHT_AWAY}})
# Longer than the slowest call takes, and the decision on its answer.
LEASE: Final = timedelta(minutes=2)
# Until what this release cannot read is looked at again; a replica of the one that wrote it may be quicker.
UNREAD: Final = timedelta(seconds=20)
log = logging.getLogger(__name__)


class Ask(Protocol):
    """What is to be asked, as the body of a message; `id` is the same whoever brings it up."""

    @property
    def id(self) -> str: ...


class Asking(NamedTuple):
    """What a service wants to be brought up."""

    # Which has a time in `askAt`, and the index.
    kind: type[Aggregate]
    # Pure: the aggregate with what has come at the first time put off to the second, and what that is.
    leased: Callable[[Any, datetime, datetime], tuple[Aggregate, Sequence[Ask]]]
    # Of the messages, where others have a queue.
    source: str
    # Of the queue whose effects perform it.
    queue: str


async def due(store: Store, asking: Asking, at: datetime) -> list[Document]:
    """Those whose time has come at `at`, the longest ago first."""
    query: Mapping[str, Any] = {"askAt": {"$gte": RIGHT_AWAY, "$lte": at}}
    found = store.collection(asking.kind).find(query)
    return await found.sort("askAt", ASCENDING).limit(AT_ONCE).to_list()


class Clockwork:
    """Looks, leases and submits; `submit` is that of the queue's effects."""

    def __init__(
        self,
        store: Store,
        asking: Asking,
        submit: Callable[[Message], asyncio.Future[Decision]],
        clock: Clock,
    ) -> None:
        self._store, self._asking, self._submit, self._clock = store, asking, submit, clock

    async def run(self) -> None:
        while True:
            found = 0
            try:
                found = await self._look()
            except PyMongoError as error:
                log.warning("what is due is not looked for: %s", error)
            # There may be more, as where many payments are held before they are taken.
            await asyncio.sleep(LOOK_SECONDS if found < AT_ONCE else MORE_SECONDS)

    async def _look(self) -> int:
        """How many were due."""
        now = self._clock.now()
        collection = self._store.collection(self._asking.kind)
        documents = await due(self._store, self._asking, now)
        found = readable(self._asking.kind, documents)
        await self._put_off(documents, {each.id for each in found}, now)
        for before in found:
            after, asks = self._asking.leased(before, now, now + LEASE)
            after = structs.replace(after, version=before.version + 1)
            guard = {"_id": before.id, "version": before.version}
            replaced = await collection.bulk_write([ReplaceOne(guard, to_document(after))])
            if replaced.matched_count:
                for ask in asks:
                    message = Message(id=ask.id, source=self._asking.source, body=ask, at=now)
                    self._submit(message).add_done_callback(_told)
        return len(documents)

    async def _put_off(self, documents: Sequence[Document], read: Collection[str], now: datetime) -> None:
        """What this release cannot read: it would be in front of the others, however many they are."""
        later = {"$set": {"askAt": now + UNREAD}}
        unread = [each for each in documents if each["_id"] not in read]
        if unread:
            guards = ({"_id": each["_id"], "askAt": each["askAt"]} for each in unread)
            await self._store.collection(self._asking.kind).bulk_write(
                [UpdateOne(guard, later) for guard in guards]
            )


def _told(future: asyncio.Future[Decision]) -> None:
    """Nobody waits for it: what fails is brought up again when its lease has ended."""
    if future.cancelled() or (error := future.exception()) is None:
        return
    if isinstance(error, Deferred):
        log.info("to be asked again: %s", error)
    else:
        log.warning("to be asked again: %s", error, exc_info=error)
