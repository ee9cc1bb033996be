"""A shop's past: orders that are over, as many as are wanted, in the database of every service.

They are copies of orders that the services themselves handled: the same bytes, with other ids in them. No
stock was sold for them, so the checker is not to be asked about them.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, WriteConcern
from rich.console import Console

from services.shared.database.new_id import new_id

# What is kept of each order for ever: service, collection, and the field that has the order's id.
KEPT: Final[Sequence[tuple[str, str, str]]] = (
    ("order", "orders", "_id"),
    ("inventory", "reservations", "_id"),
    ("payment", "payments", "_id"),
    ("payment", "gateway_ledger", "orderId"),
    ("notification", "notifications", "orderId"),
)
ORIGINALS: Final = 100
# Orders that are copied in one go, and how many of these at the same time.
AT_ONCE: Final = 500
WRITERS: Final = 4
PRINT_SECONDS: Final = 30.0


class Kept(NamedTuple):
    """A document of an order."""

    database: str
    collection: str
    document: bytes


class Original(NamedTuple):
    """All documents of an order, and the ids that are theirs alone."""

    documents: Sequence[Kept]
    ids: Sequence[str]


def original(order_id: str, documents: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Original:
    """`documents`: database, collection and content. An `_id` that holds the order's id needs no other."""
    own = {document["_id"] for _, _, document in documents if order_id not in document["_id"]}
    return Original(
        [Kept(database, collection, bson.encode(document)) for database, collection, document in documents],
        [order_id, *sorted(own)],
    )


def copy_of(order: Original) -> Iterator[Kept]:
    """The documents of another order that went the same way. Ids are UUIDs: all of one length."""
    own, *others = order.ids
    # As the order service and the engine make them: by time, and at random.
    ids = {own.encode(): new_id().encode()} | {id_.encode(): str(uuid4()).encode() for id_ in others}
    for kept in order.documents:
        document = kept.document
        for old, new in ids.items():
            document = document.replace(old, new)
        yield kept._replace(document=document)


async def fill(mongo: AsyncMongoClient[dict[str, Any]], orders: int, console: Console) -> None:
    """Adds what is missing to so many orders. Raises ValueError when none is there that could be copied."""
    originals = await _originals(mongo)
    if not originals:
        raise ValueError("no order has settled yet: there is nothing to copy")
    started = printed = time.perf_counter()
    before = await mongo["order"]["orders"].estimated_document_count()
    starts = iter(range(before, orders, AT_ONCE))

    async def write() -> None:
        nonlocal printed
        for start in starts:
            batch = range(start, min(start + AT_ONCE, orders))
            await _insert(mongo, (kept for n in batch for kept in copy_of(originals[n % len(originals)])))
            if time.perf_counter() - printed > PRINT_SECONDS:
                printed = time.perf_counter()
                console.print(f"[dim]{printed - started:5.0f} s: {batch.stop} orders are there[/dim]")

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())
    await mongo.admin.command("fsync")
    size = sum([(await mongo[name].command("dbStats"))["dataSize"] for name in {kept[0] for kept in KEPT}])
    seconds = time.perf_counter() - started
    there = await mongo["order"]["orders"].estimated_document_count()
    console.print(
        f"{there} orders are there, {there - before} were added in {seconds:.0f} s; "
        f"documents of {size / 2**30:.1f} GiB"
    )


async def _originals(mongo: AsyncMongoClient[dict[str, Any]]) -> list[Original]:
    paid = mongo["order"]["orders"].find({"status": "PAID"}, {"_id": 1}).limit(ORIGINALS)
    found: list[Original] = []
    async for order in paid:
        documents = [
            (database, collection, document)
            for database, collection, field in KEPT
            async for document in mongo[database][collection].find({field: order["_id"]})
        ]
        found.append(original(order["_id"], documents))
    return found


async def _insert(mongo: AsyncMongoClient[dict[str, Any]], documents: Iterable[Kept]) -> None:
    by_collection: dict[tuple[str, str], list[RawBSONDocument]] = {}
    for database, collection, document in documents:
        by_collection.setdefault((database, collection), []).append(RawBSONDocument(document))
    for (database, collection), copies in by_collection.items():
        target = mongo[database].get_collection(collection, write_concern=WriteConcern(w=1, j=False))
        await target.insert_many(copies, ordered=False)
