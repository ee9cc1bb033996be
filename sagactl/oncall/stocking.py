"""How much there is of a product, which open orders have some, who changed it, and why; and what a
restocking would come to. Only reads.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from msgspec import Struct, structs
from pymongo import ASCENDING

from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall.books import Books
from services.inventory import queries
from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.products import Restock, carry_out
from services.inventory.stock import Stock
from services.order.model import OPEN, Order, Status
from services.product.domain import Product
from services.shared.contract.decisions import AtHand, Message, Ref, Refused
from services.shared.contract.identity import HTTP
from services.shared.database.store import readable

# Of open orders.
NAMED_AT_MOST: Final = 20


class Offer(Struct, frozen=True, rename="camel"):
    """As the catalogue has it."""

    name: str
    # In the currency's own units.
    price: str
    currency: str
    deleted: bool

    @classmethod
    def of(cls, product: Product) -> "Offer":
        return cls(product.name, product.decimal_price, product.currency, product.deleted)


class Counters(Struct, frozen=True, rename="camel"):
    """As inventory has it: available + reserved + sold = initial + restocked + adjusted."""

    available: int
    reserved: int
    sold: int
    initial: int
    restocked: int
    adjusted: int
    # Not to be reserved any more.
    discontinued: bool
    # How often it changed.
    revision: int

    @classmethod
    def of(cls, stock: Stock) -> "Counters":
        return cls(**{name: getattr(stock, name) for name in cls.__struct_fields__})


class Buyer(Struct, frozen=True, rename="camel"):
    """An open order with some of it."""

    order: str
    status: Status
    quantity: int
    since: datetime


class StockFacts(Document, frozen=True, kw_only=True):
    """None where the catalogue, or inventory, does not know the product."""

    product: str
    # By the database's clock.
    at: datetime
    offer: Offer | None
    stock: Counters | None
    # Those that are longest in their state, some only.
    open_orders: tuple[Buyer, ...]


class Change(Struct, frozen=True, rename="camel", kw_only=True):
    """What somebody said of the stock."""

    id: str
    kind: MoveKind
    # Pieces that became available; negative where there are fewer.
    delta: int
    reason: Reason | None
    note: str
    # The id of the account.
    by: str
    at: datetime
    # Of the stock, after it.
    revision: int

    @classmethod
    def of(cls, move: StockMove) -> "Change":
        return cls(**{name: getattr(move, name) for name in cls.__struct_fields__})


class ChangeList(Document, frozen=True, kw_only=True):
    product: str
    # The newest first.
    items: tuple[Change, ...]
    # For `--before`, where there may be older ones.
    next: int | None


class Restocking(Document, frozen=True, kw_only=True):
    """More of a product comes in, or would."""

    product: str
    pieces: int
    # As many as can be ordered now.
    available: int
    allowed: bool
    # What comes of it; or why it may not be done.
    says: str
    done: bool = False

    @property
    def subject(self) -> str:
        return self.product


async def restocking(books: Books, product: str, pieces: int) -> Restocking:
    """What would come of it, by inventory's own rules. Raises AbsentError where inventory does not know the
    product, PyMongoError.
    """
    stock = (await books.stock_of([product])).get(product)
    if stock is None or not stock.created:
        raise AbsentError(f"inventory knows no product {product}: see sagactl find {product}")
    return planned(stock, pieces, await books.now())


def planned(stock: Stock, pieces: int, at: datetime) -> Restocking:
    command = Restock(product_id=stock.id, quantity=pieces)
    message = Message(id="", source=HTTP, body=command, at=at)
    now = Restocking(product=stock.id, pieces=pieces, available=stock.available, allowed=True, says="")
    try:
        (after, *_) = carry_out(AtHand({Ref(Stock, stock.id): stock}), message, command).changed
    except Refused as error:
        return structs.replace(now, allowed=False, says=str(error))
    assert isinstance(after, Stock)  # noqa: S101  # what inventory changes
    return structs.replace(now, says=f"{stock.available} -> {after.available} available")


async def facts(books: Books, product: str) -> StockFacts:
    """Raises AbsentError where neither the catalogue nor inventory knows it, PyMongoError."""
    offered = await books.store("product").get(Product, product)
    stock = (await books.stock_of([product])).get(product)
    if offered is None and stock is None:
        raise AbsentError(f"neither the catalogue nor inventory knows a product {product}")
    return StockFacts(
        product=product,
        at=await books.now(),
        offer=None if offered is None else Offer.of(offered),
        stock=None if stock is None else Counters.of(stock),
        open_orders=tuple([each async for each in _buyers(books, product)]),
    )


async def _buyers(books: Books, product: str) -> AsyncIterator[Buyer]:
    """Those that have some of it and are open: the others are not looked at, however many bought it."""
    query = {"status": {"$in": list(OPEN)}, "lines.productId": product}
    found = books.of("order")[Order.collection].find(query).sort("stateSince", ASCENDING)
    for order in readable(Order, await found.limit(NAMED_AT_MOST).to_list()):
        quantity = sum(line.quantity for line in order.lines if line.product_id == product)
        yield Buyer(order.id, order.status, quantity, order.state_since)


async def changes(books: Books, product: str, limit: int, before: int | None = None) -> ChangeList:
    """What people said of its stock, the latest first. Raises PyMongoError."""
    moves = await queries.moves(books.store("inventory"), product, limit, before)
    next_ = moves[-1].revision if len(moves) == limit else None
    return ChangeList(product=product, items=tuple(map(Change.of, moves)), next=next_)
