"""Which engine a database is written by, and whether its server suits one.

The engine's rows and documents are its own: another edition would not find in them what it relies on. A
database belongs to the edition that wrote to it first, and is refused by others.
"""

import logging
from datetime import datetime
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from services.shared.database.store import Store

EDITION: Final = 2
COLLECTION: Final = "engine"
# What the first edition had, which did not say its number.
FIRST_EDITIONS: Final = "inbox"
# A replica that is killed within a transaction blocks its documents for everybody until the server ends it.
LIFETIME_SECONDS: Final = 3
log = logging.getLogger(__name__)


class OtherEdition(RuntimeError):
    """The database belongs to another edition of the engine."""


async def check(store: Store) -> None:
    """Raises OtherEdition for a database of another edition, and PyMongoError. An empty one is anybody's."""
    found = await store.database[COLLECTION].find_one({"_id": "edition"})
    edition = found["edition"] if found else EDITION
    if FIRST_EDITIONS in await store.database.list_collection_names(filter={"name": FIRST_EDITIONS}):
        edition = 1
    _refuse_another(store, edition)


def _refuse_another(store: Store, edition: int) -> None:
    if edition != EDITION:
        raise OtherEdition(
            f"database {store.database.name} was written by edition {edition} of the engine, this is edition"
            f" {EDITION}: run the release that wrote it, or start with an empty database (MONGODB_DATABASE)"
        )


async def claim(store: Store) -> None:
    """Makes an empty database this edition's. Raises OtherEdition where another was faster, and PyMongoError.

    The last of what prepares a database: where there is a claim, there is everything.
    """
    found = await store.database[COLLECTION].find_one_and_update(
        {"_id": "edition"}, {"$setOnInsert": {"edition": EDITION}}, upsert=True, return_document=True
    )
    _refuse_another(store, found["edition"] if found else EDITION)


async def is_claimed(store: Store) -> bool:
    """Whether the database has been claimed at all: one that came back empty has not. Raises PyMongoError."""
    return await store.database[COLLECTION].find_one({"_id": "edition"}) is not None


async def touch(store: Store, now: datetime) -> None:
    """Writes, and waits until a majority has it. Raises PyMongoError."""
    await store.database[COLLECTION].update_one({"_id": "edition"}, {"$set": {"touchedAt": now}})


async def check_transaction_lifetime(client: AsyncMongoClient[dict[str, Any]]) -> None:
    """Warns about a server that lets an abandoned transaction block its documents for long."""
    name = "transactionLifetimeLimitSeconds"
    try:
        seconds = (await client.admin.command({"getParameter": 1, name: 1}))[name]
    except OperationFailure:
        return  # a user of one database may not ask; the chart and the local stack set it
    if seconds > LIFETIME_SECONDS:
        log.warning(
            "%s is %s on this server: a replica that is killed may block orders for so long; set it to %s",
            name,
            seconds,
            LIFETIME_SECONDS,
        )
