"""`sagactl orders list`: orders of a state, an age, a customer, page by page.

By the order service's own queries, and their indexes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Annotated, NamedTuple

import typer
from msgspec import Struct

from sagactl.documents import Document
from sagactl.oncall.books import reading
from sagactl.oncall.status.standing import said
from sagactl.oncall.times import moment
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, aside, run
from services.order import queries
from services.order.model import OPEN, Order, Status
from services.shared.contract import money
from services.shared.http.cursors import Cursor


class Listed(Struct, frozen=True, rename="camel", kw_only=True):
    """An order, on one line."""

    id: str
    status: Status
    settled: bool
    # In the currency's own units.
    total: str
    currency: str
    customer: str
    created_at: datetime
    state_since: datetime
    # Messages that contradict what has happened.
    contradictions: int

    @classmethod
    def of(cls, order: Order) -> "Listed":
        return cls(
            id=order.id,
            status=order.status,
            settled=order.settled,
            total=str(money.to_decimal(order.total, order.currency)),
            currency=order.currency,
            customer=order.customer_id,
            created_at=order.created_at,
            state_since=order.state_since,
            contradictions=len(order.attention),
        )


class OrderList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    # The newest first.
    items: tuple[Listed, ...]
    # For the next page; None where this is the last.
    next: str | None


class Page(NamedTuple):
    orders: Sequence[Order]
    next: Cursor | None


def list_(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    status: Annotated[
        list[Status] | None, typer.Option(help="Only orders in this state. May be given several times.")
    ] = None,
    open_: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--open", help=f"Only orders that have not ended: {', '.join(OPEN)}.")
    ] = False,
    customer: Annotated[str | None, typer.Option(help="Only orders of the customer with this id.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only orders placed since then: 2h ago, or a date such as 2026-11-26T08:00."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only orders placed before then: 5m ago, or a date.")
    ] = None,
    marked: Annotated[  # noqa: FBT002  # an option
        bool,
        typer.Option(
            "--marked", help="Only orders that are marked for attention: an event contradicts what happened."
        ),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many orders, the newest.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue there: `next` of the page before.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show orders by state, age or customer, the newest first. Only reads.

    Example, orders that should have ended: --open --until 5m
    """
    states = tuple(dict.fromkeys((*(status or ()), *(OPEN if open_ else ()))))
    wanted = Wanted(states, customer, moment(since), _start(cursor, moment(until)), limit)
    if marked and wanted != Wanted(limit=limit):
        raise typer.BadParameter("--marked can only be combined with --limit")
    found = run(_read(access(stack).mongodb_url, wanted, marked=marked))
    show(shown(found), output)
    if found.next and output is not Output.JSON:
        aside.print(f"There are more: --cursor {found.next}", highlight=False, soft_wrap=True)


class Wanted(NamedTuple):
    # All where there are none.
    states: Sequence[Status] = ()
    customer: str | None = None
    since: datetime | None = None
    # What was listed last, or would have been.
    after: Cursor | None = None
    limit: int = 0


def _start(cursor: str | None, until: datetime | None) -> Cursor | None:
    """Where the list begins. No order's id comes before the empty one."""
    try:
        if cursor is not None:
            return Cursor.decode(cursor)
    except ValueError:
        raise typer.BadParameter("take the cursor from `next` of the page before") from None
    return None if until is None else Cursor(until, "")


async def _read(mongodb_url: str, wanted: Wanted, *, marked: bool) -> OrderList:
    async with reading(mongodb_url) as books:
        orders = books.store("order")
        if marked:
            found = Page(await queries.needing_attention(orders, wanted.limit), None)
        else:
            pages = [
                Page(*await queries.page(orders, wanted.customer, state, wanted.limit, wanted.after))
                for state in wanted.states or (None,)
            ]
            found = merged(pages, wanted.limit, wanted.since)
        return OrderList(
            at=await books.now(),
            items=tuple(map(Listed.of, found.orders)),
            next=found.next and found.next.encode(),
        )


def merged(pages: Iterable[Page], limit: int, since: datetime | None) -> Page:
    """One page out of those of several states. What is older than `since` ends the list."""
    pages = [*pages]
    found = sorted(
        chain.from_iterable(page.orders for page in pages), key=attrgetter("created_at", "id"), reverse=True
    )
    orders = [order for order in found[:limit] if since is None or order.created_at >= since]
    more = len(found) > limit or any(page.next for page in pages)
    ended = not orders or len(orders) < len(found[:limit])
    return Page(orders, Cursor(orders[-1].created_at, orders[-1].id) if more and not ended else None)


def shown(found: OrderList) -> Shown:
    columns: Sequence[Column[Listed]] = (
        Column("order", attrgetter("id"), whole=True),
        Column("state", lambda each: each.status + (" !" if each.contradictions else "")),
        Column("for", lambda each: said(found.at - each.state_since)),
        Column("total", lambda each: f"{each.total} {each.currency}"),
        Column("settled", lambda each: "yes" if each.settled else "no", wide=True),
        Column("placed", attrgetter("created_at"), wide=True),
        Column("customer", attrgetter("customer"), wide=True),
    )
    return Shown(found, table(found.items, "order", columns), [each.id for each in found.items], found.items)
