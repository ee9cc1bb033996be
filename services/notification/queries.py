"""Every query about notifications, and the index that serves it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from pymongo import ASCENDING, IndexModel

from services.notification.domain import Notification, NotificationState
from services.shared.database.store import Store, from_document

# Few are ever in it while the mail server is there: one whose mail is sent costs nothing there.
BEING_SENT: Final = {"state": NotificationState.WAITING.value}
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Notification.collection: (
        IndexModel([("orderId", ASCENDING), ("at", ASCENDING)]),
        IndexModel([("state", ASCENDING), ("at", ASCENDING)], partialFilterExpression=BEING_SENT),
    )
}


async def of_order(store: Store, order_id: str) -> list[Notification]:
    """The oldest first."""
    found = store.collection(Notification).find({"orderId": order_id}).sort("at", ASCENDING)
    return [from_document(Notification, document) async for document in found]


async def count_waiting(store: Store) -> int:
    """How many mails the mail server has not taken on yet."""
    return await store.collection(Notification).count_documents(BEING_SENT)


async def oldest_waiting(store: Store) -> datetime | None:
    """Since when the oldest of them waits; None where none does."""
    since = {"_id": 0, "at": 1}
    found = await store.collection(Notification).find_one(BEING_SENT, since, sort=[("at", ASCENDING)])
    return None if found is None else cast("datetime", found["at"])
