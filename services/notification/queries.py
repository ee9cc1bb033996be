"""Every query about notifications, endpoints and deliveries, and the index that serves it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, cast

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from services.notification.cloudevents import TYPES, EventType
from services.notification.deliveries import KEPT_FOR, Delivery, DeliveryState, firsts
from services.notification.domain import Notification, NotificationState
from services.notification.endpoints import Endpoint, EndpointState, Replay
from services.shared.database import idempotency
from services.shared.database.store import Document, Store, from_document, readable, to_document
from services.shared.engine.faults import DUPLICATE_KEY
from services.shared.engine.holding import HOLDS
from services.shared.http.cursors import Cursor

DELIVERIES: Final = "webhookDeliveries"
# Few are ever in it while the mail server is there: one whose mail is sent costs nothing there.
BEING_SENT: Final = {"state": NotificationState.WAITING.value}
# Fewer still: addresses that no mail server takes.
NEVER_SENT: Final = {"state": NotificationState.FAILED.value}
UNTOLD: Final = {"untold": True}
# Fewest of all: what somebody had sent once more, on its way.
SENT_AGAIN: Final = {"resend.due": {"$exists": True}}
WAITING: Final = {"state": DeliveryState.WAITING.value}
THERE: Final = [EndpointState.ENABLED.value, EndpointState.DISABLED.value]
# Of those that wait, those of one endpoint and order: there are few of these, however many wait.
LANE: Final = (("endpointId", ASCENDING), ("orderId", ASCENDING), ("sequence", ASCENDING))
# Counted beyond that would tell nothing more.
COUNTED: Final = 100_000
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Notification.collection: (
        IndexModel([("orderId", ASCENDING), ("at", ASCENDING)]),
        IndexModel([("state", ASCENDING), ("at", ASCENDING)], partialFilterExpression=BEING_SENT),
        IndexModel([("untold", ASCENDING), ("at", ASCENDING)], partialFilterExpression=UNTOLD),
        IndexModel([("at", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("at", DESCENDING)], partialFilterExpression=NEVER_SENT),
        IndexModel([("resend.due", ASCENDING)], partialFilterExpression=SENT_AGAIN),
    ),
    Endpoint.collection: (IndexModel([("state", ASCENDING), ("createdAt", ASCENDING)]),),
    DELIVERIES: (
        IndexModel(
            [("state", ASCENDING), ("endpointId", ASCENDING), ("due", ASCENDING)],
            partialFilterExpression=WAITING,
        ),
        IndexModel(LANE, partialFilterExpression=WAITING),
        IndexModel(
            [("endpointId", ASCENDING), ("state", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)]
        ),
        IndexModel("expiresAt", expireAfterSeconds=0),
    ),
    HOLDS: (),
    **idempotency.INDEXES,
}


# --- notifications ----------------------------------------------------------------------------------------


async def of_order(store: Store, order_id: str) -> list[Notification]:
    """The oldest first."""
    found = store.collection(Notification).find({"orderId": order_id}).sort("at", ASCENDING)
    return [from_document(Notification, document) async for document in found]


async def latest(
    store: Store, state: Literal[NotificationState.WAITING, NotificationState.FAILED] | None, limit: int
) -> list[Notification]:
    """The newest first, of one state, or of all."""
    query: Document = {} if state is None else {"state": state.value}
    found = store.collection(Notification).find(query).sort("at", DESCENDING).limit(limit)
    return readable(Notification, await found.to_list())


async def count_waiting(store: Store) -> int:
    """How many mails the mail server has not taken on yet."""
    found = store.collection(Notification)
    return await found.count_documents(BEING_SENT) + await found.count_documents(SENT_AGAIN)


async def oldest_waiting(store: Store) -> datetime | None:
    """Since when the oldest of them waits; None where none does."""
    since = [each.resend.asked_at for each in await _sent_again(store, SENT_AGAIN) if each.resend]
    first = await _oldest(store, BEING_SENT)
    return min((*since, *([] if first is None else [first])), default=None)


async def to_be_resent(store: Store, now: datetime, limit: int) -> list[Notification]:
    """Those whose mail is to be sent once more by now, the longest due first."""
    return await _sent_again(store, {"resend.due": {"$exists": True, "$lte": now}}, limit)


async def _sent_again(store: Store, query: Document, limit: int = 0) -> list[Notification]:
    found = store.collection(Notification).find(query).sort("resend.due", ASCENDING).limit(limit)
    return readable(Notification, await found.to_list())


async def waiting_longest(store: Store, before: datetime | None, limit: int) -> list[Notification]:
    """Those whose mail the mail server has not taken on yet, the longest first: all, or those that waited
    `before`.
    """
    since: Document = {} if before is None else {"at": {"$lt": before}}
    found = store.collection(Notification).find({**BEING_SENT, **since}).sort("at", ASCENDING).limit(limit)
    again = [
        each
        for each in await _sent_again(store, SENT_AGAIN, limit)
        if before is None or (each.resend and each.resend.asked_at < before)
    ]
    return [*again, *readable(Notification, await found.to_list())][:limit]


async def oldest_untold(store: Store) -> datetime | None:
    """Since when the oldest waits to be made deliveries of; None where none does."""
    return await _oldest(store, UNTOLD)


async def _oldest(store: Store, query: Document) -> datetime | None:
    since = {"_id": 0, "at": 1}
    found = await store.collection(Notification).find_one(query, since, sort=[("at", ASCENDING)])
    return None if found is None else cast("datetime", found["at"])


async def untold(store: Store, limit: int) -> list[Notification]:
    """Those of which no deliveries were made yet, the oldest first."""
    found = store.collection(Notification).find(UNTOLD).sort("at", ASCENDING).limit(limit)
    return readable(Notification, await found.to_list())


async def tell(store: Store, ids: Sequence[str]) -> None:
    """Their deliveries are made."""
    told = {"$set": {"untold": False}, "$inc": {"version": 1}}
    await store.collection(Notification).update_many({"_id": {"$in": list(ids)}, **UNTOLD}, told)


async def told(store: Store, ids: Collection[str]) -> dict[str, Notification]:
    """Those of them that there are, by id."""
    found = store.collection(Notification).find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1)
    return {each["_id"]: from_document(Notification, each) for each in await found.to_list()}


async def happened(
    store: Store, replay: Replay, types: Iterable[EventType], limit: int
) -> list[Notification]:
    """What the replay has yet to look at, in the order of its time."""
    at: Document = {"$gte": replay.since, "$lt": replay.until}
    kinds = [kind for kind, type_ in TYPES.items() if type_ in set(types)]
    query: Document = {"at": at, "kind": {"$in": kinds}}
    if replay.position is not None:
        last, id_ = replay.position
        at["$gte"] = last
        query["$or"] = [{"at": {"$gt": last}}, {"_id": {"$gt": id_}}]
    order = [("at", ASCENDING), ("_id", ASCENDING)]
    found = store.collection(Notification).find(query).sort(order).limit(limit)
    return [from_document(Notification, document) for document in await found.to_list()]


# --- endpoints --------------------------------------------------------------------------------------------


async def endpoints(store: Store) -> list[Endpoint]:
    """All that are not deleted, those first that were made first. Raises ValidationError (msgspec): without
    one of them, what it is to be told of would count as told.
    """
    found = store.collection(Endpoint).find({"state": {"$in": THERE}}).sort("createdAt", ASCENDING)
    return [from_document(Endpoint, document) for document in await found.to_list()]


async def disabled(store: Store) -> list[Endpoint]:
    """Those that nothing is sent to, those first that were made first."""
    query = {"state": EndpointState.DISABLED.value}
    found = store.collection(Endpoint).find(query).sort("createdAt", ASCENDING)
    return readable(Endpoint, await found.to_list())


async def endpoint(store: Store, id_: str) -> Endpoint | None:
    found = await store.get(Endpoint, id_)
    return None if found is None or found.state is EndpointState.DELETED else found


# --- deliveries -------------------------------------------------------------------------------------------


def _deliveries(store: Store) -> AsyncCollection[Document]:
    return store.database[DELIVERIES]


async def insert(store: Store, deliveries: Collection[Delivery]) -> None:
    """Those that are not there yet. Raises PyMongoError."""
    if not deliveries:
        return
    try:
        await _deliveries(store).insert_many(map(to_document, deliveries), ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        failed = {each["code"] for each in details.get("writeErrors", ())}
        # Without a majority a delivery is not stored: a fail-over may take it back.
        if details.get("writeConcernErrors") or failed - {DUPLICATE_KEY}:
            raise


async def again(store: Store, deliveries: Collection[Delivery], now: datetime) -> None:
    """Of a replay: those that are over are made anew, unless this very replay did so before."""
    if not deliveries:
        return
    (replay,) = {each.replay for each in deliveries}
    over = {
        "_id": {"$in": [each.id for each in deliveries]},
        "state": {"$ne": DeliveryState.WAITING.value},
        "replay": {"$ne": replay},
    }
    anew = {
        "state": DeliveryState.WAITING.value,
        "due": now,
        "attempts": 0,
        "firstTriedAt": None,
        "replay": replay,
        "expiresAt": now + KEPT_FOR,
    }
    await _deliveries(store).update_many(over, {"$set": anew})


async def with_waiting(store: Store) -> set[str]:
    """The ids of endpoints to which something is to be delivered, now or later."""
    return set(await _deliveries(store).distinct("endpointId", WAITING))


async def due(
    store: Store, endpoint_id: str, now: datetime, *, but: Collection[str], limit: int
) -> list[Delivery]:
    """What the endpoint may be sent now, the longest due first: of each order the first that waits, and none
    of the orders `but`.
    """
    while orders := await _orders_due(store, endpoint_id, now, but, limit):
        heads = await _heads(store, endpoint_id, orders)
        ready = [heads[order] for order in orders if order in heads and heads[order].due <= now]
        for head in heads.values():
            if head.due > now:
                await _put_off(store, head)
        if ready:
            return ready
    return []


async def _orders_due(
    store: Store, endpoint_id: str, now: datetime, but: Collection[str], limit: int
) -> list[str]:
    query: Document = {**WAITING, "endpointId": endpoint_id, "due": {"$lte": now}}
    if but:
        query["orderId"] = {"$nin": list(but)}
    found = _deliveries(store).find(query, {"orderId": 1}).sort("due", ASCENDING).limit(limit)
    return list(dict.fromkeys([document["orderId"] for document in await found.to_list()]))


async def _put_off(store: Store, head: Delivery) -> None:
    """What waits behind it, to when it is tried again."""
    behind = {
        "endpointId": head.endpoint_id,
        "orderId": head.order_id,
        **WAITING,
        "due": {"$lt": head.due},
    }
    await _deliveries(store).update_many(behind, {"$set": {"due": head.due}}, hint=LANE)


async def _heads(store: Store, endpoint_id: str, orders: Sequence[str]) -> dict[str, Delivery]:
    """Of each order the first delivery that waits."""
    query = {**WAITING, "endpointId": endpoint_id, "orderId": {"$in": list(orders)}}
    found = _deliveries(store).find(query, hint=LANE)
    return firsts([from_document(Delivery, document) for document in await found.to_list()])


async def record(store: Store, before: Delivery, after: Delivery) -> None:
    """What became of a try, unless the delivery was dropped meanwhile, or begun anew."""
    still = {"_id": before.id, **WAITING, "attempts": before.attempts, "replay": before.replay}
    await _deliveries(store).replace_one(still, to_document(after))


async def drop(store: Store, endpoint_id: str) -> None:
    """What waits for it is not sent any more."""
    dropped = {"$set": {"state": DeliveryState.DROPPED.value}}
    await _deliveries(store).update_many({**WAITING, "endpointId": endpoint_id}, dropped)


async def count_deliveries(store: Store) -> int:
    """How many wait, to a limit."""
    return await _deliveries(store).count_documents(WAITING, limit=COUNTED)


class Page(NamedTuple):
    deliveries: Sequence[Delivery]
    next: Cursor | None


async def page(
    store: Store, endpoint_id: str, states: Iterable[DeliveryState], limit: int, after: Cursor | None
) -> Page:
    """The newest event first."""
    query: Document = {"endpointId": endpoint_id, "state": {"$in": [state.value for state in states]}}
    if after is not None:
        query["at"] = {"$lte": after.at}
        query["$or"] = [{"at": {"$lt": after.at}}, {"_id": {"$lt": after.id}}]
    order = [("at", DESCENDING), ("_id", DESCENDING)]
    found = await _deliveries(store).find(query).sort(order).limit(limit + 1).to_list()
    deliveries = [from_document(Delivery, document) for document in found[:limit]]
    last = deliveries[-1] if len(found) > limit else None
    return Page(deliveries, None if last is None else Cursor(last.at, last.id))
