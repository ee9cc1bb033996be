"""Goes once through everything: each order, each product, each transaction of the payment gateway.

By index, page by page, so that it takes as long as there is much; and so that whoever is interrupted goes on
where he was.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from sagactl.oncall.books import AllUnreadable, Books
from sagactl.oncall.invariants import Case, Invariant, check_stock
from sagactl.oncall.live.judging import Terms, check_transaction, is_suspect
from services.payment.gateway import Gateway, Transaction

# Products whose reservations are added up at one instant, and transactions that are looked up together.
PRODUCTS_AT_ONCE: Final = 100
TRANSACTIONS_AT_ONCE: Final = 500


class Walk(Struct, rename="camel", kw_only=True):
    """How far a check has come, and whom it suspects so far. Changed as it goes."""

    cut: datetime
    due: datetime
    ships_since: datetime | None = None
    # The last of each that was looked at; of transactions the time, which several may have.
    orders_after: str = ""
    stock_after: str = ""
    catalogue_after: str = ""
    transactions_since: datetime
    done: set[str] = set()
    suspects: set[str] = set()
    # What the payment gateway has done otherwise than we know of it.
    unmatched: list[Transaction] = []
    products: set[str] = set()
    counts: dict[Invariant, int] = {}
    shipments: int = 0
    under_way: int = 0

    @property
    def terms(self) -> Terms:
        return Terms(self.cut, self.due, self.ships_since)

    def count(self, invariant: Invariant, number: int) -> None:
        self.counts[invariant] = self.counts.get(invariant, 0) + number


async def walk(books: Books, gateway: Gateway, so_far: Walk, keep: Callable[[Walk], None]) -> None:
    """Goes on to the end. `keep` is told after each page."""
    ways: Mapping[str, Callable[[], AsyncIterator[None]]] = {
        "orders": lambda: _orders(books, so_far),
        "stock": lambda: _stock(books, so_far),
        "catalogue": lambda: _catalogue(books, so_far),
        "transactions": lambda: _transactions(books, gateway, so_far),
    }
    for name, way in ways.items():
        if name not in so_far.done:
            async for _ in way():
                keep(so_far)
            so_far.done.add(name)
            keep(so_far)


async def _orders(books: Books, so_far: Walk) -> AsyncIterator[None]:
    stocked: set[str] = set()
    async for page in books.pages(so_far.orders_after):
        for case in page:
            _count(so_far, case)
            if is_suspect(case, so_far.terms):
                so_far.suspects.add(case.id)
        kept = {id_ for case in page for id_ in _kept(case)}
        stocked |= await books.stocked(sorted(kept - stocked))
        so_far.products |= kept - stocked
        so_far.orders_after = page[-1].id
        yield


def _count(so_far: Walk, case: Case) -> None:
    homes = (case.order, case.reservation, case.payment)
    so_far.count(Invariant.SAGA_ENDED, case.is_ordered)
    so_far.count(Invariant.STOCK_OWNED, case.reservation is not None)
    so_far.count(Invariant.REMEMBERED, sum(home is not None for home in homes))
    so_far.shipments += case.shipment is not None
    so_far.under_way += case.order is not None and not case.order.settled


def _kept(case: Case) -> list[str]:
    """Products of which it holds some, or was sold some."""
    lines = case.reservation.lines if case.reservation else ()
    return [line.product_id for line in lines if line.is_kept]


async def _stock(books: Books, so_far: Walk) -> AsyncIterator[None]:
    while ids := await books.stocked_after(so_far.stock_after, PRODUCTS_AT_ONCE):
        unreadable: AllUnreadable = {}
        stock, held = await books.stock_and_reservations(ids, unreadable)
        so_far.products |= {each.id for each in stock if any(check_stock(each, held))} | unreadable.keys()
        so_far.count(Invariant.STOCK_CONSERVED, len(ids))
        so_far.stock_after = ids[-1]
        yield


async def _catalogue(books: Books, so_far: Walk) -> AsyncIterator[None]:
    while page := await books.products_after(so_far.catalogue_after, PRODUCTS_AT_ONCE):
        offered = {
            each.id
            for each in page
            if not each.deleted and (each.created_at is None or each.created_at < so_far.cut)
        }
        so_far.products |= offered - await books.stocked(sorted(offered))
        so_far.catalogue_after = page[-1].id
        yield


async def _transactions(books: Books, gateway: Gateway, so_far: Walk) -> AsyncIterator[None]:
    page: list[Transaction] = []
    async for transaction in gateway.transactions(so_far.transactions_since):
        page.append(transaction)
        if len(page) == TRANSACTIONS_AT_ONCE:
            await _hold(books, page, so_far)
            yield
            page.clear()
    await _hold(books, page, so_far)


async def _hold(books: Books, page: Sequence[Transaction], so_far: Walk) -> None:
    """Against our payments."""
    settled = [each for each in page if each.at < so_far.cut]
    unreadable: AllUnreadable = {}
    payments = await books.payments_of(sorted({each.order_id for each in settled}), unreadable)
    # Also of an order that was placed before what is walked through.
    so_far.suspects |= unreadable.keys()
    so_far.unmatched += [
        each
        for each in settled
        if each.order_id not in unreadable and any(check_transaction(each, payments.get(each.order_id)))
    ]
    so_far.count(Invariant.MONEY_AGREES, len(settled))
    so_far.transactions_since = page[-1].at if page else so_far.transactions_since
