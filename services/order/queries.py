"""Every query about orders in one place, and the index that serves it."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from services.order.model import Order, Status
from services.shared.contract.idempotency import LIFETIME, IdempotencyKey
from services.shared.database.store import Store, from_document

NEEDS_ATTENTION: Final = {"attention.0": {"$exists": True}}
ATTENTION: Final = "attention"
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Order.collection: (
        IndexModel([("status", ASCENDING), ("stateSince", ASCENDING)]),
        IndexModel([("customerId", ASCENDING), ("createdAt", DESCENDING), ("_id", DESCENDING)]),
        IndexModel([("createdAt", DESCENDING), ("_id", DESCENDING)]),
        IndexModel([("updatedAt", DESCENDING)], name=ATTENTION, partialFilterExpression=NEEDS_ATTENTION),
    ),
    IdempotencyKey.collection: (IndexModel("at", expireAfterSeconds=int(LIFETIME.total_seconds())),),
}


class BadCursor(ValueError):
    """The cursor is not one that we gave out."""


async def of(store: Store, order_id: str, customer_id: str | None) -> Order | None:
    """The order, if it is this customer's; anybody's for None."""
    query: dict[str, Any] = {"_id": order_id}
    if customer_id is not None:
        query["customerId"] = customer_id
    document = await store.collection(Order).find_one(query)
    return None if document is None else from_document(Order, document)


async def page(
    store: Store, customer_id: str | None, status: Status | None, limit: int, cursor: str | None
) -> tuple[list[Order], str | None]:
    """The newest orders first, and the cursor of the next page. Raises BadCursor."""
    query: dict[str, Any] = {}
    if customer_id is not None:
        query["customerId"] = customer_id
    if status is not None:
        query["status"] = status
    if cursor is not None:
        at, id_ = _read(cursor)
        query["$or"] = [{"createdAt": {"$lt": at}}, {"createdAt": at, "_id": {"$lt": id_}}]
    newest_first = [("createdAt", DESCENDING), ("_id", DESCENDING)]
    documents = await store.collection(Order).find(query).sort(newest_first).limit(limit + 1).to_list()
    orders = [from_document(Order, document) for document in documents[:limit]]
    return orders, _cursor(orders[-1]) if len(documents) > limit else None


async def stale(store: Store, status: Status, before: datetime, limit: int) -> list[Order]:
    """Those whose state has not changed since, the oldest first."""
    query = {"status": status, "stateSince": {"$lte": before}}
    found = store.collection(Order).find(query).sort("stateSince", ASCENDING).limit(limit)
    return [from_document(Order, document) async for document in found]


async def needing_attention(store: Store, limit: int) -> list[Order]:
    found = store.collection(Order).find(NEEDS_ATTENTION).sort("updatedAt", DESCENDING).limit(limit)
    return [from_document(Order, document) async for document in found]


async def count(store: Store, status: Status) -> int:
    """How many orders are in a state. It reads as many keys: not for a state that orders end in."""
    return await store.collection(Order).count_documents({"status": status})


async def count_attention(store: Store) -> int:
    """By the index of those alone: unasked, the planner would read every order there is."""
    return await store.collection(Order).count_documents(NEEDS_ATTENTION, hint=ATTENTION)


def _cursor(order: Order) -> str:
    milliseconds = round(order.created_at.timestamp() * 1000)
    return base64.urlsafe_b64encode(f"{milliseconds}|{order.id}".encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        milliseconds, _, id_ = (
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        )
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds))
    except (ValueError, binascii.Error, OverflowError) as error:
        raise BadCursor("the cursor is not one that a list gave out") from error
    return at, id_
