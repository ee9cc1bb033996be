"""sagashop as one of those that are measured: through its gateway, as its own benchmark does."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console

from bench import meter
from bench.load import Saga, Site, sagas_of
from bench.meter import Usage
from bench.peers.books import TOLD, Books, Kept, Stock
from bench.shop import Shop as Benchmarked
from bench.shop import clear, stocked
from services.inventory.stock import Stock as StockDocument
from services.notification.domain import Notification
from services.order.model import OPEN, Order
from services.payment.gateway import Kind, Status
from services.payment.ledger import COLLECTION as LEDGER
from services.payment.ledger import LedgerEntry
from services.shared.database.store import from_document

MOVED: Final = {(Kind.CAPTURE, Status.CAPTURED): 1, (Kind.REFUND, Status.REFUNDED): -1}


class Ours(NamedTuple):
    shop: Benchmarked

    @property
    def site(self) -> Site:
        return self.shop.through_gateway

    def usage(self) -> Usage:
        return meter.usage(self.shop.stack.processes)

    async def settled(self) -> int:
        final = await self.shop.orders.count_documents({"status": {"$nin": OPEN}})
        told = self.shop.mongo["notification"][Notification.collection]
        return min(final, await told.count_documents({"kind": {"$in": [*TOLD.values()]}}))

    async def sagas(self, ids: Sequence[str]) -> list[Saga]:
        return await sagas_of(self.shop.orders, ids)

    async def books(self) -> Books:
        mongo = self.shop.mongo
        stock = {
            each.id: Stock(each.initial, each.available, each.reserved, each.sold)
            async for each in (
                from_document(StockDocument, document)
                async for document in mongo["inventory"][StockDocument.collection].find()
            )
        }
        orders = {
            each.id: Kept(each.status, {line.product_id: line.quantity for line in each.lines}, each.total)
            async for each in (
                from_document(Order, document) async for document in mongo["order"][Order.collection].find()
            )
        }
        money: defaultdict[str, list[int]] = defaultdict(list)
        async for document in mongo["payment"][LEDGER].find():
            entry = msgspec.convert(document, LedgerEntry)
            if sign := MOVED.get((entry.kind, entry.status)):
                money[entry.order_id].append(sign * entry.amount)
        told: defaultdict[str, list[str]] = defaultdict(list)
        async for document in mongo["notification"][Notification.collection].find():
            notification = from_document(Notification, document)
            if notification.kind in TOLD.values():
                told[notification.order_id].append(notification.kind)
        return Books(stock, orders, money, told)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Ours]:
    await clear(directory)
    async with stocked(directory, {}, Console(quiet=True)) as shop:
        yield Ours(shop)
