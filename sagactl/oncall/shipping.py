"""Since when fulfilment hears of orders: it has to know of every one that was paid since then. Only reads."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from sagactl.oncall.books import Books
from services.shared.contract.events import FULFILMENT, OrderPaid


async def ships_since(books: Books, keys: Mapping[str, AbstractSet[str]]) -> datetime | None:
    """None where it hears of none: it does not run, by what leads to its queue, or nothing was paid yet.

    `keys`: by queue, as `depths.bound` tells them. Raises PyMongoError.
    """
    return await books.ships_since() if OrderPaid.type in keys.get(FULFILMENT, ()) else None
