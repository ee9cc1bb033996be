"""What the shop keeps once all is at rest, from the databases of its services."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pymongo import AsyncMongoClient

from bench import money
from bench.marketplace.criteria import Ended, Line, Shelf, Step
from services.fulfilment.shipment import GONE, Shipment
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.product.domain import Product
from services.shared.database.store import from_document

Mongo: TypeAlias = AsyncMongoClient[dict[str, Any]]


async def orders(mongo: Mongo) -> Mapping[str, Ended]:
    paid, sold, sent, told = (
        await money.paid(mongo),
        await _sold(mongo),
        await _sent(mongo),
        await _told(mongo),
    )
    found: dict[str, Ended] = {}
    async for document in mongo["order"][Order.collection].find():
        order = from_document(Order, document)
        found[order.id] = Ended(
            order.id,
            order.status,
            order.total,
            [Line(line.product_id, line.quantity, line.price) for line in order.lines],
            [Step(step.event, step.from_, step.to) for step in order.history],
            paid[order.id],
            sold.get(order.id, {}),
            sent.get(order.id, {}),
            told.get(order.id, ()),
        )
    return found


async def shelves(mongo: Mongo) -> Mapping[str, Shelf]:
    found: dict[str, Shelf] = {}
    async for document in mongo["inventory"][Stock.collection].find():
        stock = from_document(Stock, document)
        found[stock.id] = Shelf(
            stock.initial, stock.available, stock.reserved, stock.sold, on_offer=not stock.discontinued
        )
    return found


async def offered(mongo: Mongo) -> frozenset[str]:
    products = mongo["product"][Product.collection]
    return frozenset([document["_id"] async for document in products.find({"deleted": False})])


async def _sold(mongo: Mongo) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, Mapping[str, int]] = {}
    async for document in mongo["inventory"][Reservation.collection].find():
        reservation = from_document(Reservation, document)
        found[reservation.id] = {
            line.product_id: line.left for line in reservation.lines if line.state is LineState.SOLD
        }
    return found


async def _sent(mongo: Mongo) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, Mapping[str, int]] = {}
    async for document in mongo["fulfilment"][Shipment.collection].find():
        shipment = from_document(Shipment, document)
        if shipment.state in GONE:
            found[shipment.id] = {goods.product_id: goods.quantity for goods in shipment.products}
    return found


async def _told(mongo: Mongo) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    async for document in mongo["notification"][Notification.collection].find().sort("at"):
        found[document["orderId"]].append(document["kind"])
    return found
