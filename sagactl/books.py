"""The services' databases, read side by side: what each knows about the same orders. Reads only."""

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from sagactl.invariants import Case
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.payment.ledger import COLLECTION as LEDGER
from services.payment.ledger import Entry
from services.payment.payment import Payment
from services.shared.contract.decisions import Aggregate
from services.shared.database.store import Document, from_document
from services.shared.engine.leases import OUTBOX

CHUNK: Final = 500
PUBLISHERS: Final = ("order", "product", "inventory", "payment")
IN_FLIGHT: Final = ("CAPTURING", "REFUNDING")

Kind = TypeVar("Kind", bound=Aggregate)


class Books:
    """All databases, by a user who may read them."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        self._client = client

    def _of(self, service: str) -> AsyncDatabase[Document]:
        return self._client.get_database(service)

    async def unrest(self) -> Mapping[str, int]:
        """What has not come to rest: events in outboxes, calls to the payment gateway."""
        found: dict[str, int] = {}
        for service in PUBLISHERS:
            if count := await self._of(service)[OUTBOX].count_documents({}):
                found[f"outbox of {service}"] = count
        payments = self._of("payment")[Payment.collection]
        if count := await payments.count_documents({"state": {"$in": IN_FLIGHT}}):
            found["payments in flight"] = count
        return found

    async def stock(self) -> AsyncIterator[Stock]:
        async for document in self._of("inventory")[Stock.collection].find():
            yield from_document(Stock, document)

    async def cases(self) -> AsyncIterator[Case]:
        """Every order that any service knows of, in the order of ids."""
        last = ""
        while ids := await self._ids_after(last):
            for case in await self._chunk(ids):
                yield case
            last = ids[-1]

    async def _ids_after(self, last: str) -> list[str]:
        """The next ids over all services: each gives its next ones, and beyond the nearest end nothing is
        known yet.
        """
        pages = [
            await self._page("order", Order.collection, "_id", last),
            await self._page("inventory", Reservation.collection, "_id", last),
            await self._page("payment", Payment.collection, "_id", last),
            await self._page("payment", LEDGER, "orderId", last),
        ]
        full = [page[-1] for page in pages if len(page) >= CHUNK]
        horizon = min(full) if full else None
        return sorted({id_ for page in pages for id_ in page if horizon is None or id_ <= horizon})

    async def _page(self, service: str, collection: str, field: str, last: str) -> list[str]:
        pipeline: list[Document] = [
            {"$match": {field: {"$gt": last}}},
            {"$group": {"_id": f"${field}"}},
            {"$sort": {"_id": 1}},
            {"$limit": CHUNK},
        ]
        if field == "_id":  # unique and indexed already
            del pipeline[1]
            pipeline.append({"$project": {"_id": 1}})
        cursor = await self._of(service)[collection].aggregate(pipeline)
        return [document["_id"] async for document in cursor]

    async def _chunk(self, ids: Sequence[str]) -> list[Case]:
        orders = await self._by_id("order", Order, ids)
        reservations = await self._by_id("inventory", Reservation, ids)
        payments = await self._by_id("payment", Payment, ids)
        ledger = await self._by_order("payment", LEDGER, ids)
        told = await self._by_order("notification", Notification.collection, ids)
        return [
            Case(
                id_,
                orders.get(id_),
                reservations.get(id_),
                payments.get(id_),
                [_entry(document) for document in ledger.get(id_, ())],
                [from_document(Notification, document) for document in told.get(id_, ())],
            )
            for id_ in ids
        ]

    async def _by_id(self, service: str, kind: type[Kind], ids: Sequence[str]) -> dict[str, Kind]:
        found = self._of(service)[kind.collection].find({"_id": {"$in": list(ids)}})
        return {document["_id"]: from_document(kind, document) async for document in found}

    async def _by_order(
        self, service: str, collection: str, ids: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        found = self._of(service)[collection].find({"orderId": {"$in": list(ids)}}).sort("orderId", 1)
        documents = await found.to_list()
        return {
            order_id: list(group) for order_id, group in groupby(documents, lambda each: str(each["orderId"]))
        }


def _entry(document: Document) -> Entry:
    return msgspec.convert(document, Entry)
