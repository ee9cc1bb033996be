"""`sagactl find TEXT`: what it is, and which orders it belongs to. Only reads.

Orders are read from the newest back, by no index of their own for this: what is looked for is mostly recent.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from msgspec import Struct
from pymongo import DESCENDING

from sagactl.access import Access
from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.oncall import broker
from sagactl.oncall.books import Books, reading
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import plural, printable
from sagactl.terminal import Stack, access, aside, run
from services.inventory.stock import Stock
from services.order.model import Order

LETTERS_AT_MOST: Final = 10_000
# Two million orders are read to their end in less.
WITHIN_MS: Final = 60_000
# Where an order may hold it, and what it is there.
PLACES: Final = {
    "_id": "the order itself",
    "email": "its customer's e-mail address",
    "customerId": "its customer",
    "history.eventId": "a message that it handled",
    "history.traceId": "a trace of it",
    "capture.transactionId": "its payment",
    "lines.productId": "a product of it",
}


class Hit(Struct, frozen=True, rename="camel"):
    """Something that the text names, and what to type next."""

    what: str
    id: str
    why: str
    command: str
    at: datetime | None = None


class HitList(Document, frozen=True, kw_only=True):
    items: tuple[Hit, ...]


def find(
    text: Annotated[
        str,
        typer.Argument(
            help="An order, a message, a transaction, a trace, a customer, an e-mail address or a product.",
            metavar="TEXT",
        ),
    ],
    stack: Stack = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many orders, the newest.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """Tell what something is, by its whole id: the orders, dead letters and products that it belongs to.

    Exit code 0: it is something. 1: nobody knows it.
    """
    with aside.status("looking"):
        hits = run(_hits(access(stack), text.strip(), limit))
    names = [hit.id for hit in hits]
    show(Shown(HitList(items=tuple(hits)), lambda _: _lines(hits), names, hits), output)
    raise typer.Exit(Exit.FINE if hits else Exit.BAD)


async def _hits(where: Access, text: str, limit: int) -> list[Hit]:
    letters = await broker.dead_letters(where.amqp_url, broker.QUEUES, LETTERS_AT_MOST)
    async with reading(where.mongodb_url) as books:
        orders = await _orders(books, text, limit)
        stock = await books.stock_of([text])
    hits = [hit_of(order, text) for order in orders]
    hits += list(of_letters(letters, text))
    hits += [Hit("product", id_, _said(each), "sagactl check") for id_, each in stock.items()]
    return hits


def _said(stock: Stock) -> str:
    return f"{stock.available} available, {stock.reserved} reserved, {stock.sold} sold"


async def _orders(books: Books, text: str, limit: int) -> Sequence[Mapping[str, Any]]:
    wanted = {"$or": [{place: text} for place in PLACES]}
    shown = dict.fromkeys(("status", "createdAt", *PLACES), 1)
    found = books.of("order")[Order.collection].find(wanted, shown).sort("_id", DESCENDING)
    return await found.limit(limit).max_time_ms(WITHIN_MS).to_list()


def hit_of(order: Mapping[str, Any], text: str) -> Hit:
    """Why the order was found, by the first place that holds the text."""
    why = next(what for place, what in PLACES.items() if _holds(order, place, text))
    id_ = str(order["_id"])
    return Hit(f"order {order['status']}", id_, why, f"sagactl explain {id_}", order.get("createdAt"))


def _holds(document: Mapping[str, Any], place: str, text: str) -> bool:
    first, _, rest = place.partition(".")
    value = document.get(first)
    if not rest:
        return bool(value == text)
    inner = value if isinstance(value, list) else [value]
    return any(isinstance(each, Mapping) and _holds(each, rest, text) for each in inner)


def of_letters(letters: list[broker.DeadLetter], text: str) -> Iterator[Hit]:
    for letter in letters:
        if text in {letter.id, letter.subject} or text in letter.trace.split("-"):
            command = f"sagactl letters show {letter.queue} {letter.id}"
            yield Hit(f"dead letter of {letter.queue}", letter.id, letter.reason, command)


def _lines(hits: list[Hit]) -> Iterator[str]:
    for hit in hits:
        at = f", of {hit.at:%Y-%m-%d %H:%M:%S}" if hit.at else ""
        yield f"[bold]{printable(hit.what)}[/]{at}: {printable(hit.why)}"
        yield f"  {printable(hit.command)}"
    if not hits:
        yield "Nobody knows it. Ids are looked for whole."
    elif len(hits) > 1:
        yield plural(len(hits), "hit")
