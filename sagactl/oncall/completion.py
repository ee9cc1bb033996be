"""What a shell offers where an id is typed: the latest ones. Silent where nobody can tell."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from pymongo import DESCENDING

from sagactl.access import Access
from sagactl.oncall.books import Books, reading
from sagactl.oncall.discarded import COLLECTION, DATABASE
from services.notification import queries
from services.order.model import Order
from services.product.domain import Product

OFFERED_AT_MOST: Final = 50
# Whoever presses the key again and again asks the database once.
KEPT_SECONDS: Final = 30.0
WITHIN_MS: Final = 1000


def orders(ctx: typer.Context) -> list[str]:
    return _latest("orders", ctx.params.get("stack"), _orders)


def mails(ctx: typer.Context) -> list[str]:
    return _latest("mails", ctx.params.get("stack"), _mails)


def products(ctx: typer.Context) -> list[str]:
    return _latest("products", ctx.params.get("stack"), _products)


def discarded(ctx: typer.Context) -> list[str]:
    return _latest("discarded", ctx.params.get("stack"), _discarded)


async def _orders(books: Books) -> list[str]:
    """Ids begin with the time."""
    found = books.of("order")[Order.collection].find({}, {"_id": 1}).sort("_id", DESCENDING)
    return [each["_id"] async for each in found.limit(OFFERED_AT_MOST)]


async def _mails(books: Books) -> list[str]:
    """Those to customers."""
    found = await queries.latest(books.store("notification"), None, OFFERED_AT_MOST)
    return [each.id for each in found if each.recipient is not None]


async def _discarded(books: Books) -> list[str]:
    """Letters that are kept."""
    found = books.of(DATABASE)[COLLECTION].find({}, {"message": 1}).sort("at", DESCENDING)
    return [each["message"] async for each in found.limit(OFFERED_AT_MOST)]


async def _products(books: Books) -> list[str]:
    found = books.of("product")[Product.collection].find({"deleted": False}, {"_id": 1})
    newest = found.sort([("createdAt", DESCENDING), ("_id", DESCENDING)]).limit(OFFERED_AT_MOST)
    return [each["_id"] async for each in newest]


def _latest(kind: str, stack: Path | None, ask: Callable[[Books], Awaitable[list[str]]]) -> list[str]:
    with suppress(Exception):  # a shell that completes a word has no place for a sentence
        where = Access.found(stack)
        kept = _kept_at(kind, where)
        with suppress(OSError, ValueError):
            if time.time() - kept.stat().st_mtime < KEPT_SECONDS:
                return [str(each) for each in json.loads(kept.read_text())]
        found = asyncio.run(_asked(where, ask))
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found))
        return found
    return []


async def _asked(where: Access, ask: Callable[[Books], Awaitable[list[str]]]) -> list[str]:
    async with asyncio.timeout(WITHIN_MS / 1000), reading(where.mongodb_url, WITHIN_MS) as books:
        return await ask(books)


def _kept_at(kind: str, where: Access) -> Path:
    """A file for each shop; its name tells nothing of the login."""
    host = urlsplit(where.mongodb_url).netloc.rpartition("@")[2]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sagactl" / f"{kind}-{sha256(host.encode()).hexdigest()[:16]}.json"
