"""Every query about orders in one place, and the index that serves it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from services.order.model import ENDS, OPEN, Order, Status
from services.shared.contract.decisions import RIGHT_AWAY
from services.shared.database import idempotency
from services.shared.database.new_id import new_id
from services.shared.database.store import Document, Store, from_document, readable
from services.shared.http.cursors import Cursor

NEEDS_ATTENTION: Final = {"attention.0": {"$exists": True}}
ATTENTION: Final = "attention"
# Of those that are over there are ever more, and nobody waits for them.
IS_OPEN: Final = {"status": {"$in": list(OPEN)}}
NEWEST_FIRST: Final = (("createdAt", DESCENDING), ("_id", DESCENDING))
# How many new orders were refused, each replica's own, every few seconds in which any were.
SHED: Final = "shed"
SHED_KEPT: Final = timedelta(days=1)
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Order.collection: (
        IndexModel(
            [("status", ASCENDING), ("reservedUntil", ASCENDING), ("stateSince", ASCENDING)],
            partialFilterExpression=IS_OPEN,
        ),
        IndexModel([("customerId", ASCENDING), ("status", ASCENDING), *NEWEST_FIRST]),
        IndexModel([("status", ASCENDING), *NEWEST_FIRST]),
        IndexModel([("updatedAt", DESCENDING)], name=ATTENTION, partialFilterExpression=NEEDS_ATTENTION),
    ),
    SHED: (IndexModel("at", expireAfterSeconds=int(SHED_KEPT.total_seconds())),),
    **idempotency.INDEXES,
}


async def of(store: Store, order_id: str, customer_id: str | None) -> Order | None:
    """The order, if it is this customer's; anybody's for None."""
    order = await store.get(Order, order_id)
    return order if order is not None and customer_id in {None, order.customer_id} else None


async def newer(store: Store, known: Mapping[str, int]) -> dict[str, Order | None]:
    """Those of the orders that have changed since they had these versions: two queries, however many.

    None for one that a newer release of this service wrote, and this one cannot read.
    """
    every = {"_id": {"$in": list(known)}}
    found = await store.collection(Order).find(every, {"version": 1}, batch_size=len(known) + 1).to_list()
    changed = [each["_id"] for each in found if each["version"] > known[each["_id"]]]
    if not changed:
        return {}
    documents = store.collection(Order).find({"_id": {"$in": changed}}, batch_size=len(changed) + 1)
    return {document["_id"]: _readable(document) async for document in documents}


def _readable(document: Document) -> Order | None:
    try:
        return from_document(Order, document)
    except msgspec.ValidationError:
        return None


async def page(
    store: Store, customer_id: str | None, status: Status | None, limit: int, after: Cursor | None
) -> tuple[list[Order], Cursor | None]:
    """The newest orders first, and the cursor of the next page.

    Those of all states are those of each, merged: the database reads as many keys as it returns, and one more
    per state, whichever states are rare.
    """
    query: dict[str, Any] = {"status": {"$in": list(Status)} if status is None else status}
    if customer_id is not None:
        query["customerId"] = customer_id
    if after is not None:
        # The first bound is where the index is entered: without it the database may read the list from its
        # start. The second is for orders of the same millisecond.
        query["createdAt"] = {"$lte": after.at}
        query["$or"] = [{"createdAt": {"$lt": after.at}}, {"_id": {"$lt": after.id}}]
    found = store.collection(Order).find(query).sort(NEWEST_FIRST).limit(limit + 1)
    documents = await found.to_list()
    last = documents[limit - 1] if len(documents) > limit else None
    orders = readable(Order, documents[:limit])
    return orders, None if last is None else Cursor(last["createdAt"], last["_id"])


async def stale(store: Store, status: Status, before: datetime, limit: int) -> list[Order]:
    """Those that wait since then or longer, the longest first: whose state has not changed since, or, where
    the payment gateway decides later, whose stock was to be held until then.
    """
    found: list[Order] = []
    for query, since in _waiting(status, before):
        documents = store.collection(Order).find(query).sort(since, ASCENDING).limit(limit)
        found += readable(Order, await documents.to_list())
    return sorted(found, key=lambda order: order.waits_since)[:limit]


def _waiting(status: Status, before: datetime | None = None) -> tuple[tuple[dict[str, Any], str], ...]:
    """The two kinds of an open state, each in one stretch of the index, and by what it is sorted there."""
    until = {"$lte": before} if before else {}
    return (
        ({"status": status, "reservedUntil": None, **({"stateSince": until} if until else {})}, "stateSince"),
        ({"status": status, "reservedUntil": {"$gte": RIGHT_AWAY, **until}}, "reservedUntil"),
    )


async def needing_attention(store: Store, limit: int) -> list[Order]:
    found = store.collection(Order).find(NEEDS_ATTENTION).sort("updatedAt", DESCENDING).limit(limit)
    return readable(Order, await found.to_list())


async def count(store: Store, status: Status) -> int:
    """How many orders are in a state. It reads as many keys: not for a state that orders end in."""
    return await store.collection(Order).count_documents({"status": status})


class Longest(NamedTuple):
    """The order that waits the longest in a state, and since when."""

    id: str
    since: datetime


async def longest(store: Store, status: Status) -> Longest | None:
    """None where none is in this state. Where the payment gateway decides later, `since` may be to come."""
    there: list[Longest] = []
    for query, since in _waiting(status):
        found = await store.collection(Order).find_one(query, {since: 1}, sort=[(since, ASCENDING)])
        if found is not None:
            there.append(Longest(found["_id"], found[since]))
    return min(there, key=attrgetter("since"), default=None)


async def times_to_end(store: Store, since: datetime, until: datetime, limit: int) -> list[timedelta | None]:
    """Of the orders that were placed in this time, the latest first: how long each took to its first end;
    None for one that has not come to it.
    """
    query = {"status": {"$in": list(Status)}, "createdAt": {"$gte": since, "$lte": until}}
    fields = {"createdAt": 1, "history.at": 1, "history.to": 1}
    found = store.collection(Order).find(query, fields).sort(NEWEST_FIRST).limit(limit)
    return [_time_to_end(document) async for document in found]


def _time_to_end(document: Document) -> timedelta | None:
    at = next((step["at"] for step in document["history"] if step["to"] in ENDS), None)
    return None if at is None else at - document["createdAt"]


async def count_placed(store: Store, since: datetime, until: datetime) -> int:
    """How many orders were placed in this time, which ends before `until`. It reads as many keys."""
    query = {"status": {"$in": list(Status)}, "createdAt": {"$gte": since, "$lt": until}}
    return await store.collection(Order).count_documents(query)


async def note_shed(store: Store, number: int, at: datetime) -> None:
    """That so many new orders were refused until then."""
    await store.database[SHED].insert_one({"_id": new_id(), "at": at, "number": number})


async def count_shed(store: Store, since: datetime) -> int:
    """How many new orders were refused since, as far as that is noted."""
    rows = store.database[SHED].find({"at": {"$gte": since}}, {"number": 1})
    return sum([row["number"] async for row in rows])


async def count_attention(store: Store) -> int:
    """By the index of those alone: unasked, the planner would read every order there is."""
    return await store.collection(Order).count_documents(NEEDS_ATTENTION, hint=ATTENTION)
