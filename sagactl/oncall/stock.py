"""`sagactl stock`: how much there is of a product, which open orders have some, who changed it, and why."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Final

import typer
from msgspec import Struct
from pymongo import ASCENDING

from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall import arguments
from sagactl.oncall.books import Books, reading
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run
from services.inventory import queries
from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.stock import Stock
from services.order.model import OPEN, Order, Status
from services.product.domain import Product
from services.shared.database.store import from_document

# Of open orders.
NAMED_AT_MOST: Final = 20
app = typer.Typer(no_args_is_help=True, help="Stock of a product: how much, and who changed it.")


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


@app.command("show")
def show_(product: arguments.Product, stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show how much there is of a product, and which open orders have some. Only reads."""
    found = run(_facts(access(stack).mongodb_url, product))
    show(Shown(found, lambda _: lines(found), [found.product]), output)


@app.command()
def history(
    product: arguments.Product,
    stack: Stack = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the latest.")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Go on there: `next` of the page before.", metavar="REVISION")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show what people said of a product's stock: restocked, counted, damaged. Only reads.

    What orders reserve, buy and give back is in the orders.
    """
    found = run(_changes(access(stack).mongodb_url, product, limit, before))
    text = table(found.items, "change", COLUMNS)
    show(Shown(found, text, [each.id for each in found.items], found.items), output)
    if found.next is not None and output is not Output.JSON:
        aside.print(f"There are older ones: --before {found.next}", highlight=False)


COLUMNS: Final[Sequence[Column[Change]]] = (
    Column("time", attrgetter("at")),
    Column("what", attrgetter("kind")),
    Column("pieces", lambda each: f"{each.delta:+}"),
    Column("why", lambda each: ": ".join(filter(None, (each.reason, each.note)))),
    Column("by", attrgetter("by")),
    Column("revision", attrgetter("revision"), wide=True),
    Column("id", attrgetter("id"), wide=True),
)


async def _facts(mongodb_url: str, product: str) -> StockFacts:
    """Raises AbsentError where neither the catalogue nor inventory knows it."""
    async with reading(mongodb_url) as books:
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
    async for document in found.limit(NAMED_AT_MOST):
        order = from_document(Order, document)
        quantity = sum(line.quantity for line in order.lines if line.product_id == product)
        yield Buyer(order.id, order.status, quantity, order.state_since)


async def _changes(mongodb_url: str, product: str, limit: int, before: int | None) -> ChangeList:
    async with reading(mongodb_url) as books:
        moves = await queries.moves(books.store("inventory"), product, limit, before)
    next_ = moves[-1].revision if len(moves) == limit else None
    return ChangeList(product=product, items=tuple(map(Change.of, moves)), next=next_)


def lines(found: StockFacts) -> Iterator[str]:
    yield f"[bold]product[/]    {printable(found.product)}"
    if found.offer is None:
        yield "[bold]offer[/]      [yellow]the catalogue does not know it[/]"
    else:
        price = f"{found.offer.price} {found.offer.currency}"
        gone = ", deleted" if found.offer.deleted else ""
        yield f"[bold]offer[/]      {printable(found.offer.name)}, {price}{gone}"
    if found.stock is None:
        yield "[bold]stock[/]      [yellow]inventory has not heard of it[/]"
        return
    stock = found.stock
    gone = ", discontinued" if stock.discontinued else ""
    counted = f"{stock.available} available, {stock.reserved} reserved, {stock.sold} sold"
    yield f"[bold]stock[/]      {counted}{gone}"
    came = f"{stock.initial} at first, {stock.restocked:+} restocked, {stock.adjusted:+} counted"
    yield f"[bold]came[/]       {came}"
    for each in found.open_orders:
        age = said(found.at - each.since)
        yield f"[bold]ordered[/]    {each.quantity} by {printable(each.order)}, {each.status} for {age}"
    if len(found.open_orders) == NAMED_AT_MOST:
        yield "[bold]ordered[/]    and perhaps by more: these are the first"
