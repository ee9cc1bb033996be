"""`sagactl stock`: how much there is of a product, which open orders have some, who changed it; and more."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from operator import attrgetter
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

import typer
from msgspec import structs

from sagactl.access import Access
from sagactl.oncall import acting, arguments
from sagactl.oncall.acting import Act, Asked, Words, decided, post
from sagactl.oncall.books import Books, reading
from sagactl.oncall.status.standing import said
from sagactl.oncall.stocking import (
    NAMED_AT_MOST,
    Change,
    Restocking,
    StockFacts,
    changes,
    facts,
    restocking,
)
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run
from sagactl.wording import plural
from services.inventory.bodies import MOST_AT_ONCE
from services.shared.contract.audit import Action

Found = TypeVar("Found")
app = typer.Typer(no_args_is_help=True, help="Stock of a product: show it, show who changed it, add to it.")


@app.command("show")
def show_(product: arguments.Product, stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show the stock of a product, and which open orders hold some of it. Only reads."""
    found = run(_read(access(stack), lambda books: facts(books, product)))
    show(Shown(found, lambda _: lines(found), [found.product]), output)


@app.command()
def history(
    product: arguments.Product,
    stack: Stack = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most this many changes, the latest.")
    ] = 50,
    before: Annotated[
        int | None, typer.Option(help="Continue there: `next` of the page before.", metavar="REVISION")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show manual changes of a product's stock: restocked, counted, damaged. Only reads.

    What orders reserve, buy and return is shown by the orders.
    """
    found = run(_read(access(stack), lambda books: changes(books, product, limit, before)))
    text = table(found.items, "change", COLUMNS)
    show(Shown(found, text, [each.id for each in found.items], found.items), output)
    if found.next is not None and output is not Output.JSON:
        aside.print(f"There are older ones: --before {found.next}", highlight=False)


@app.command()
def restock(  # noqa: PLR0917 - a command's options
    product: arguments.Product,
    pieces: Annotated[int, typer.Argument(min=1, max=MOST_AT_ONCE, help="How many pieces came in.")],
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Record that more pieces of a product came in.

    Exit code 0: they can be ordered. 1: the product is not sold any more. 3: it was only planned.
    """
    act = Act(Action.RESTOCKED, f"Restock {product} by {plural(pieces, 'piece')}?")
    planned, _ = decided(
        stack,
        act,
        Asked(reason, dry_run, yes, output),
        lambda where: _read(where, lambda books: restocking(books, product, pieces)),
        _restocked,
    )
    after = post(stack, f"/api/inventory/{quote(product, safe='')}/restock", {"quantity": pieces})
    show(_restocked(structs.replace(planned, available=after["available"], done=True)), output)


def _restocked(found: Restocking) -> Shown:
    now = f"{found.product}: {found.available} available"
    words = Words(noun="product", name=now, act="restock", became=now)
    return Shown(found, lambda _: acting.lines(found, words), [found.product])


COLUMNS: Final[Sequence[Column[Change]]] = (
    Column("time", attrgetter("at")),
    Column("what", attrgetter("kind")),
    Column("pieces", lambda each: f"{each.delta:+}"),
    Column("why", lambda each: ": ".join(filter(None, (each.reason, each.note)))),
    Column("by", attrgetter("by")),
    Column("revision", attrgetter("revision"), wide=True),
    Column("id", attrgetter("id"), wide=True),
)


async def _read(where: Access, what: Callable[[Books], Awaitable[Found]]) -> Found:
    async with reading(where.mongodb_url) as books:
        return await what(books)


def lines(found: StockFacts) -> Iterator[str]:
    yield f"[bold]product[/]    {printable(found.product)}"
    if found.offer is None:
        yield "[bold]offer[/]      [yellow]the catalogue does not know it[/]"
    else:
        price = f"{found.offer.price} {found.offer.currency}"
        gone = ", deleted" if found.offer.deleted else ""
        yield f"[bold]offer[/]      {printable(found.offer.name)}, {price}{gone}"
    if found.stock is None:
        yield "[bold]stock[/]      [yellow]inventory does not know it[/]"
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
