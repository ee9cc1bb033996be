"""The histories of a shop, page by page: the newest first, or some at random. Reads only."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from pymongo import DESCENDING

from sagactl.oncall.books import Books, reading
from sagactl.oncall.replay.judging import Evidence, judge
from sagactl.oncall.replay.report import Differing, Replay
from services.notification.domain import Notification
from services.order.histories import Difference
from services.order.model import Order
from services.shared.database.new_id import least_id
from services.shared.database.store import Document, from_document

PAGE: Final = 500


class Wanted(NamedTuple):
    """Which histories: all, if nothing is said."""

    # Of orders placed since.
    since: datetime | None = None
    # At most so many, the newest.
    limit: int | None = None
    # Or so many at random.
    sample: int | None = None


async def replayed(
    mongodb_url: str,
    wanted: Wanted,
    version: str,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> Replay:
    """Raises PyMongoError where MongoDB does not answer."""
    differing: list[Differing] = []
    histories = steps = 0
    async with reading(mongodb_url) as books:
        at = await books.now()
        async for page in _pages(books, wanted):
            told = await _told(books, [document["_id"] for document in page])
            for document in page:
                histories += 1
                steps += len(document.get("history", ()))
                if (found := _judged(document, told.get(document["_id"], frozenset()), at)) is not None:
                    differing.append(Differing(document["_id"], found))
            progress({"histories so far": histories, "decided differently": len(differing)})
    return Replay(version=version, at=at, histories=histories, steps=steps, items=tuple(differing))


def _judged(document: Document, told: frozenset[str], at: datetime) -> Difference | None:
    """A document that cannot be read is decided on by nobody."""
    try:
        order = from_document(Order, document)
    except msgspec.ValidationError as error:
        return Difference(0, "", "", "written by another release", f"cannot be read here: {error}")
    return judge(Evidence(order, told, at))


async def _pages(books: Books, wanted: Wanted) -> AsyncIterator[Sequence[Document]]:
    orders = books.of("order")[Order.collection]
    least = least_id(wanted.since) if wanted.since else ""
    if wanted.sample is not None:
        some: list[Document] = [{"$match": {"_id": {"$gte": least}}}, {"$sample": {"size": wanted.sample}}]
        async with await orders.aggregate(some, batchSize=PAGE) as cursor:
            page: list[Document] = []
            async for document in cursor:
                page.append(document)
                if len(page) == PAGE:
                    yield page
                    page = []
        if page:
            yield page
        return
    left, below = wanted.limit, {"$gte": least}
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = await orders.find({"_id": below}).sort("_id", DESCENDING).limit(size).to_list()
        if not page:
            return
        yield page
        below = {"$gte": least, "$lt": page[-1]["_id"]}
        left = None if left is None else left - len(page)


async def _told(books: Books, order_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Order -> the ids of its notifications."""
    told: dict[str, set[str]] = {}
    notifications = books.of("notification")[Notification.collection]
    async for each in notifications.find({"orderId": {"$in": list(order_ids)}}, {"orderId": 1}):
        told.setdefault(each["orderId"], set()).add(each["_id"])
    return {order_id: frozenset(ids) for order_id, ids in told.items()}
