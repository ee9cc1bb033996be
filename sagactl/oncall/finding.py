"""What a text is: the orders, letters and products that it names, each by its whole id. Only reads.

Orders are read from the newest back, by no index of their own for this: what is looked for is mostly recent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from pymongo import DESCENDING

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.books import Books, reading
from sagactl.oncall.discarded import Discarded
from sagactl.wording import command_line
from services.inventory.stock import Stock
from services.order.model import Order
from services.shared import emails

LETTERS_AT_MOST: Final = 10_000
# Two million orders are read to their end in less.
WITHIN_MS: Final = 60_000
EMAIL: Final = "email"
# Where an order may hold it, and what it is there.
PLACES: Final = {
    "_id": "the order itself",
    EMAIL: "its customer's e-mail address",
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


async def hits_of(where: Access, text: str, limit: int) -> list[Hit]:
    letters = await broker.dead_letters(where.amqp_url, broker.QUEUES, LETTERS_AT_MOST)
    async with reading(where.mongodb_url) as books:
        discarded = await books.discarded.named(text, LETTERS_AT_MOST)
        return [
            *await in_books(books, text, limit),
            *of_letters(letters, text),
            *map(hit_of_discarded, discarded),
        ]


async def in_books(books: Books, text: str, limit: int) -> list[Hit]:
    """Raises PyMongoError."""
    orders = await _orders(books, text, limit)
    stock = await books.stock_of([text])
    return [*(hit_of(order, text) for order in orders), *map(_hit_of_product, stock.values())]


def _hit_of_product(stock: Stock) -> Hit:
    said = f"{stock.available} available, {stock.reserved} reserved, {stock.sold} sold"
    return Hit("product", stock.id, said, command_line("stock show", stock.id))


async def _orders(books: Books, text: str, limit: int) -> Sequence[Mapping[str, Any]]:
    wanted = {"$or": [{place: _said(place, text)} for place in PLACES]}
    shown = dict.fromkeys(("status", "createdAt", *PLACES), 1)
    found = books.of("order")[Order.collection].find(wanted, shown).sort("_id", DESCENDING)
    return await found.limit(limit).max_time_ms(WITHIN_MS).to_list()


def _said(place: str, text: str) -> Any:  # noqa: ANN401  # of a query
    """An address in any letters, large or small; or as older orders have it."""
    if place != EMAIL:
        return text
    return {"$in": [re.compile(f"^{re.escape(text)}$", re.IGNORECASE), emails.normalize(text)]}


def hit_of(order: Mapping[str, Any], text: str) -> Hit:
    """Why the order was found, by the first place that holds the text."""
    why = next(what for place, what in PLACES.items() if _holds(order, place, text))
    id_ = str(order["_id"])
    return Hit(f"order {order['status']}", id_, why, command_line("explain", id_), order.get("createdAt"))


def _holds(document: Mapping[str, Any], place: str, text: str) -> bool:
    first, _, rest = place.partition(".")
    value = document.get(first)
    if place == EMAIL:
        return emails.normalize(str(value)) == emails.normalize(text)
    if not rest:
        return bool(value == text)
    inner = value if isinstance(value, list) else [value]
    return any(isinstance(each, Mapping) and _holds(each, rest, text) for each in inner)


def hit_of_discarded(letter: Discarded) -> Hit:
    command = command_line("letters show", letter.queue, letter.message, discarded=True)
    return Hit(f"discarded letter of {letter.queue}", letter.message, letter.says, command)


def of_letters(letters: Iterable[broker.DeadLetter], text: str) -> Iterator[Hit]:
    for letter in letters:
        if text in {letter.id, letter.subject} or text in letter.trace.split("-"):
            command = command_line("letters show", letter.queue, letter.id)
            yield Hit(f"dead letter of {letter.queue}", letter.id, letter.reason, command)
