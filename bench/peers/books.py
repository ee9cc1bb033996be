"""What a shop's books say after the last order, and whether they are right: one judge over peers and us."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

PAID: Final = "PAID"
CANCELLED: Final = "CANCELLED"
# What a customer is told of each end.
TOLD: Final = {PAID: "ORDER_PAID", CANCELLED: "ORDER_CANCELLED"}
SHOWN: Final = 3


class Stock(NamedTuple):
    """Pieces of one product."""

    initial: int
    available: int
    reserved: int
    sold: int


class Kept(NamedTuple):
    """An order, as the shop has it."""

    status: str
    # Pieces by product.
    lines: Mapping[str, int]
    # Minor units.
    total: int


class Books(NamedTuple):
    stock: Mapping[str, Stock]
    orders: Mapping[str, Kept]
    # By order, by the payment gateway's own ledger: minor units it took, and below 0 what it gave back.
    money: Mapping[str, Sequence[int]]
    # By order: which of the two ends the customer was told of.
    told: Mapping[str, Sequence[str]]

    @property
    def statuses(self) -> Counter[str]:
        return Counter(order.status for order in self.orders.values())


def judge(books: Books, accepted: Collection[str]) -> list[str]:
    """What is wrong, a sentence each. `accepted` are the orders that were answered 201."""
    return [*_orders(books, accepted), *_money(books), *_told(books), *_stock(books)]


def _orders(books: Books, accepted: Collection[str]) -> Iterator[str]:
    wanted = set(accepted)
    if lost := wanted - books.orders.keys():
        yield f"accepted and not there: {_some(lost)}"
    if more := books.orders.keys() - wanted:
        yield f"there and never accepted: {_some(more)}"
    if unfinished := {id_ for id_, order in books.orders.items() if order.status not in TOLD}:
        yield f"not final: {_some(unfinished)}"


def _money(books: Books) -> Iterator[str]:
    for id_, order in books.orders.items():
        moved = books.money.get(id_, ())
        if order.status == PAID and [*moved] != [order.total]:
            yield f"{id_} is paid, {order.total} is due, and the gateway has {[*moved]}"
        if order.status == CANCELLED and sum(moved) != 0:
            yield f"{id_} is cancelled, and the gateway kept {sum(moved)}"
    if unknown := books.money.keys() - books.orders.keys():
        yield f"paid for and not there: {_some(unknown)}"


def _told(books: Books) -> Iterator[str]:
    for id_, order in books.orders.items():
        told = [*books.told.get(id_, ())]
        if order.status in TOLD and told != [TOLD[order.status]]:
            yield f"{id_} is {order.status}, and the customer was told {told}"


def _stock(books: Books) -> Iterator[str]:
    sold: Counter[str] = Counter()
    for order in books.orders.values():
        if order.status == PAID:
            sold.update(order.lines)
    for id_, stock in books.stock.items():
        if min(stock) < 0 or stock.available + stock.reserved + stock.sold != stock.initial:
            yield f"product {id_}: pieces were lost or made: {stock}"
        if stock.reserved:
            yield f"product {id_}: {stock.reserved} are reserved for nobody"
        if stock.sold != sold[id_]:
            yield f"product {id_}: {stock.sold} are sold, {sold[id_]} are paid"


def _some(ids: Collection[str]) -> str:
    return f"{len(ids)}, such as {', '.join(sorted(ids)[:SHOWN])}"
