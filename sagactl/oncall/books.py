"""The services' databases, read side by side: what each knows about the same orders. Reads only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

from pymongo import ASCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from sagactl.oncall import bank
from sagactl.oncall.discarded import Kept
from sagactl.oncall.explain.marks import Unsent
from sagactl.oncall.invariants import Case, Held
from sagactl.oncall.stores import connect
from sagactl.oncall.unrest import Waiting
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.payment.gateway import Gateway
from services.payment.ledger import COLLECTION as LEDGER
from services.payment.ledger import Ledger, LedgerEntry
from services.payment.mock import MockGateway
from services.payment.payment import Payment
from services.payment.queries import IN_FLIGHT
from services.product.domain import Product
from services.shared.contract.decisions import Aggregate
from services.shared.contract.events import PUBLISHES
from services.shared.database.store import (
    AnyStruct,
    Document,
    Store,
    Unreadable,
    UnreadableError,
    from_document,
)
from services.shared.engine.leases import OUTBOX

CHUNK: Final = 500
# The ids of this many that wait are remembered, to see later whether they are the same.
MARKED_AT_MOST: Final = 1000

Kind = TypeVar("Kind", bound=Aggregate)
# By the order or product that each is about.
AllUnreadable: TypeAlias = dict[str, list[Unreadable]]


class Offer(NamedTuple):
    """A product of the catalogue."""

    id: str
    deleted: bool
    created_at: datetime | None


@asynccontextmanager
async def reading(mongodb_url: str, within_ms: int | None = None) -> AsyncIterator["Books"]:
    """The books, opened. All that is done with them raises PyMongoError where MongoDB does not answer, and
    GatewayUnavailable where a payment gateway does not that keeps books of its own. Raises NoAccessError.
    """
    async with connect(mongodb_url, within_ms) as client, bank.opened() as gateway:
        yield Books(client, gateway)


class Books:
    """All databases, by a user who may read them, and the payment gateway: the mock unless one is given. That
    keeps what it did beside the payments.
    """

    def __init__(self, client: AsyncMongoClient[Document], gateway: Gateway | None = None) -> None:
        self._client, self._gateway = client, gateway

    def of(self, service: str) -> AsyncDatabase[Document]:
        return self._client.get_database(service)

    def store(self, service: str) -> Store:
        """For the service's own queries."""
        return Store(self._client, service)

    @property
    def discarded(self) -> Kept:
        """Dead letters that somebody put away."""
        return Kept(self._client)

    async def unrest(self) -> Mapping[str, Waiting]:
        """What has not come to rest: events in outboxes, calls to the payment gateway."""
        places: list[tuple[str, str, str, Document]] = [
            (f"outbox of {service}", service, OUTBOX, {}) for service in PUBLISHES
        ]
        places.append(("payments in flight", "payment", Payment.collection, IN_FLIGHT))
        found = {
            name: await self._waiting(self.of(service)[collection], query)
            for name, service, collection, query in places
        }
        return {name: waiting for name, waiting in found.items() if waiting.number}

    async def rows_of_nobody(self) -> Mapping[str, int]:
        """How many outbox rows no replica will ever find due, by service."""
        counts = {
            service: await self.of(service)[OUTBOX].count_documents({"due": {"$exists": False}})
            for service in PUBLISHES
        }
        return {service: count for service, count in counts.items() if count}

    async def _waiting(self, collection: AsyncCollection[Document], query: Document) -> Waiting:
        count = await collection.count_documents(query)
        oldest = collection.find(query, {"_id": 1}).sort("_id", ASCENDING).limit(MARKED_AT_MOST)
        return Waiting(count, frozenset([str(document["_id"]) async for document in oldest]))

    async def stock(self, unreadable: AllUnreadable) -> AsyncIterator[Stock]:
        """All of it; to `unreadable` goes what this release cannot read."""
        async for document in self.of("inventory")[Stock.collection].find():
            for stock in _readable(Stock, [document], "_id", unreadable):
                yield stock

    async def catalogue(self, among: Sequence[str] | None = None) -> list[str]:
        """The products that are for sale, all or those `among` some."""
        these: Document = {} if among is None else {"_id": {"$in": list(among)}}
        found = self.of("product")[Product.collection].find({"deleted": False, **these}, {"_id": 1})
        return [document["_id"] async for document in found]

    async def stocked_after(self, last: str, limit: int) -> list[str]:
        """The next products that inventory has a row of, in the order of ids."""
        found = self.of("inventory")[Stock.collection].find({"_id": {"$gt": last}}, {"_id": 1})
        return [document["_id"] async for document in found.sort("_id", ASCENDING).limit(limit)]

    async def products_after(self, last: str, limit: int) -> list[Offer]:
        """The next products of the catalogue, in the order of ids."""
        fields = {"deleted": 1, "createdAt": 1}
        found = self.of("product")[Product.collection].find({"_id": {"$gt": last}}, fields)
        return [
            Offer(document["_id"], document.get("deleted", False), document.get("createdAt"))
            async for document in found.sort("_id", ASCENDING).limit(limit)
        ]

    async def stock_and_reservations(
        self, ids: Sequence[str], unreadable: AllUnreadable | None = None
    ) -> tuple[Sequence[Stock], Held]:
        """The stock of these products and what reservations say of it, both at the same instant.

        To `unreadable` goes the stock that this release cannot read. Raises UnreadableError without one.

        Inventory changes the two in one transaction: at one instant they agree, whatever moves. The database
        adds up what the reservations say: of a product that sells there are as many as it was sold.
        """
        held = Held(Counter(), Counter())
        inventory, these = self.of("inventory"), {"$in": list(ids)}
        kept: list[Document] = [
            {"$match": {"lines.productId": these}},
            {"$unwind": "$lines"},
            {"$match": {"lines.productId": these, "lines.state": {"$in": [LineState.HELD, LineState.SOLD]}}},
            {
                "$group": {
                    "_id": {"product": "$lines.productId", "state": "$lines.state"},
                    # A line that nothing came back of does not say so.
                    "pieces": {
                        "$sum": {"$subtract": ["$lines.quantity", {"$ifNull": ["$lines.returned", 0]}]}
                    },
                }
            },
        ]
        async with self._client.start_session(snapshot=True) as session:
            found = inventory[Stock.collection].find({"_id": these}, session=session)
            stock = _readable(Stock, await found.to_list(), "_id", unreadable)
            async for sum_ in await inventory[Reservation.collection].aggregate(kept, session=session):
                counter = held.held if sum_["_id"]["state"] == LineState.HELD else held.sold
                counter[sum_["_id"]["product"]] = sum_["pieces"]
        return stock, held

    async def cases(self) -> AsyncIterator[Case]:
        """Every order that any service knows of, in the order of ids."""
        async for page in self.pages():
            for case in page:
                yield case

    async def pages(self, after: str = "") -> AsyncIterator[Sequence[Case]]:
        """Every order that any service knows of, in the order of ids, `after` one of them."""
        async with bank.listed(self._gateway, after) if self._gateway else nullcontext() as listed:
            while ids := await self._ids_after(after, listed):
                yield await self._chunk(ids, listed)
                after = ids[-1]

    async def _ids_after(self, last: str, listed: bank.Listed | None) -> list[str]:
        """The next ids over all services. Beyond the end of the shortest full page nothing is known yet."""
        pages = [
            await self._page("order", Order.collection, "_id", last),
            await self._page("inventory", Reservation.collection, "_id", last),
            await self._page("payment", Payment.collection, "_id", last),
            await self._page("fulfilment", Shipment.collection, "_id", last),
            listed.after(last, CHUNK) if listed else await self._page("payment", LEDGER, "orderId", last),
        ]
        full = [page[-1] for page in pages if len(page) == CHUNK]
        horizon = min(full) if full else None
        return sorted({id_ for page in pages for id_ in page if horizon is None or id_ <= horizon})

    async def _page(self, service: str, collection: str, field: str, last: str) -> list[str]:
        """By the field's index; an order that has several entries is in it several times."""
        found = self.of(service)[collection].find({field: {"$gt": last}}, {"_id": 0, field: 1})
        return [document[field] async for document in found.sort(field, ASCENDING).limit(CHUNK)]

    async def these(self, ids: Sequence[str]) -> list[Case]:
        """The orders of these ids, whatever any service knows of each. Raises UnreadableError."""
        cases = await self.cases_of(ids)
        for document in (each for case in cases for each in case.unreadable):
            raise UnreadableError(document)
        return cases

    async def cases_of(self, ids: Sequence[str]) -> list[Case]:
        """As `these`; what this release cannot read of an order is named in its case."""
        return [
            case
            for start in range(0, len(ids), CHUNK)
            for case in await self._chunk(ids[start : start + CHUNK])
        ]

    async def now(self) -> datetime:
        """By the database's clock."""
        answer = await self._client.admin.command("hello", codec_options=self._client.codec_options)
        return cast("datetime", answer["localTime"])

    async def stock_of(
        self, ids: Sequence[str], unreadable: AllUnreadable | None = None
    ) -> Mapping[str, Stock]:
        """Of these products, as far as inventory knows them. `unreadable`: see `stock_and_reservations`."""
        return await self._by_id("inventory", Stock, ids, unreadable)

    async def stocked(self, ids: Sequence[str]) -> set[str]:
        """Those of these products that inventory has a row of."""
        found = self.of("inventory")[Stock.collection].find({"_id": {"$in": list(ids)}}, {"_id": 1})
        return {document["_id"] async for document in found}

    async def ships_since(self) -> datetime | None:
        """When fulfilment first heard that an order was paid, by the oldest one that it knows; ids of orders
        begin with the time.
        """
        paid: Document = {"products.0": {"$exists": True}}
        shipments = self.of("fulfilment")[Shipment.collection]
        found = await shipments.find_one(paid, {"createdAt": 1}, sort=[("_id", ASCENDING)])
        return None if found is None else cast("datetime", found["createdAt"])

    async def payments_of(
        self, order_ids: Sequence[str], unreadable: AllUnreadable | None = None
    ) -> Mapping[str, Payment]:
        """Of these orders, as far as the payment service knows them. Raises NoAccessError where Stripe took
        the money, and we were told of no Stripe. `unreadable`: see `stock_and_reservations`.
        """
        payments = await self._by_id("payment", Payment, order_ids, unreadable)
        if self._gateway is None:
            bank.check_played(payments.values())
        return payments

    async def unsent(self, subjects: Collection[str]) -> Mapping[str, Sequence[Unsent]]:
        """Events about each of these orders or products that are committed, and that the broker has not
        confirmed. Outboxes are short but for an outage: they are read to their end.
        """
        # After an outage there may be more of them than a query has room for.
        wanted = {"events.subject": {"$in": list(subjects)}} if len(subjects) <= CHUNK else {}
        outboxes = await asyncio.gather(*(self.of(each)[OUTBOX].find(wanted).to_list() for each in PUBLISHES))
        found: dict[str, list[Unsent]] = {subject: [] for subject in subjects}
        for service, rows in zip(PUBLISHES, outboxes, strict=True):
            for row in rows:
                for event in row["events"]:
                    if event["subject"] in found:
                        unsent = Unsent(event["id"], event["type"], service, row["at"])
                        found[event["subject"]].append(unsent)
        return found

    @property
    def gateway(self) -> Gateway:
        """The payment gateway, as the payment service has it: to be asked what it has done."""
        if self._gateway is not None:
            return self._gateway
        ledger = Ledger(self.of("payment")[LEDGER])
        return MockGateway(ledger, success_rate=0, delay_seconds=0, test_tokens=False, only_reads=True)

    async def _chunk(self, ids: Sequence[str], listed: bank.Listed | None = None) -> list[Case]:
        # First the order: what it says has happened is found in the others, which are read later. A question
        # that the database refuses is asked alone, too: of several at once its client tells only one why.
        unreadable: AllUnreadable = {}
        orders = await self._by_id("order", Order, ids, unreadable)
        (payments, ledger), reservations, shipments, told = await asyncio.gather(
            self._money(ids, listed, unreadable),
            self._by_id("inventory", Reservation, ids, unreadable),
            self._by_id("fulfilment", Shipment, ids, unreadable),
            self._by_order("notification", Notification.collection, ids),
        )
        return [
            Case(
                id_,
                orders.get(id_),
                reservations.get(id_),
                payments.get(id_),
                ledger.get(id_, ()),
                _readable(Notification, told.get(id_, ()), "orderId", unreadable),
                shipments.get(id_),
                # Last: those of the notifications are among them.
                tuple(sorted(unreadable.get(id_, ()))),
            )
            for id_ in ids
        ]

    async def _money(
        self, ids: Sequence[str], listed: bank.Listed | None, unreadable: AllUnreadable
    ) -> tuple[Mapping[str, Payment], Mapping[str, Sequence[LedgerEntry]]]:
        """Payments, and then what the gateway did: that is no less than they say."""
        payments = await self.payments_of(ids, unreadable)
        if listed:
            return payments, {id_: listed.of(id_) for id_ in ids}
        return payments, await self._done(ids, payments, unreadable)

    async def _done(
        self, ids: Sequence[str], payments: Mapping[str, Payment], unreadable: AllUnreadable
    ) -> Mapping[str, Sequence[LedgerEntry]]:
        """By the payment gateway, for these orders."""
        if self._gateway is not None:
            known = {id_: payments[id_].transaction_id if id_ in payments else "" for id_ in ids}
            return await bank.asked(self._gateway, known)
        found = await self._by_order("payment", LEDGER, ids)
        return {
            id_: _readable(LedgerEntry, documents, "orderId", unreadable) for id_, documents in found.items()
        }

    async def _by_id(
        self, service: str, kind: type[Kind], ids: Sequence[str], unreadable: AllUnreadable | None = None
    ) -> dict[str, Kind]:
        found = await self.of(service)[kind.collection].find({"_id": {"$in": list(ids)}}).to_list()
        return {each.id: each for each in _readable(kind, found, "_id", unreadable)}

    async def _by_order(
        self, service: str, collection: str, ids: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The oldest first."""
        found = self.of(service)[collection].find({"orderId": {"$in": list(ids)}})
        documents = await found.sort([("orderId", ASCENDING), ("at", ASCENDING)]).to_list()
        return {
            order_id: list(group) for order_id, group in groupby(documents, lambda each: str(each["orderId"]))
        }


def _readable(
    kind: type[AnyStruct], documents: Sequence[Document], subject: str, unreadable: AllUnreadable | None
) -> list[AnyStruct]:
    """Those that can be read. The others go to `unreadable`, by the field `subject`.

    Raises UnreadableError where that is None.
    """
    found: list[AnyStruct] = []
    for document in documents:
        try:
            found.append(from_document(kind, document))
        except UnreadableError as error:
            if unreadable is None:
                raise
            unreadable.setdefault(str(document[subject]), []).append(error.document)
    return found
