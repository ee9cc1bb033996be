"""Every query about notifications, and the index that serves it."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import ASCENDING, IndexModel

from services.notification.domain import Notification
from services.shared.database.store import Store, from_document

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Notification.collection: (IndexModel([("orderId", ASCENDING), ("at", ASCENDING)]),)
}


async def of_order(store: Store, order_id: str) -> list[Notification]:
    """The oldest first."""
    found = store.collection(Notification).find({"orderId": order_id}).sort("at", ASCENDING)
    return [from_document(Notification, document) async for document in found]
