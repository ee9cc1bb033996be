"""A shop that has sold for years, and what its databases do then: copies of documents, and the profiler."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, TypeAlias

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from sagactl.shop import Json
from services.shared.contract.events import CORE
from services.shared.database.store import APP_NAME
from services.shared.engine.leases import OUTBOX
from tests.integration.saga.shop import Shop
from tests.unit.indexes import Index
from tests.unit.shards import asked_of_all, asked_of_all_shards, command_of, is_in_a_transaction

MANY: Final = 3000
# Of ten orders one is of the customer whose order was copied, of 27 one is cancelled, of 270 one is both.
CUSTOMERS: Final = 10
CANCELLED: Final = 27
PREFIX: Final = "growth-"
PROFILE: Final = "system.profile"
PROFILE_BYTES: Final = 64 * 1024 * 1024
# Rows that rest for longer than the test runs, and are no broken clock's either.
RESTS: Final = timedelta(minutes=50)

Change: TypeAlias = Callable[[Json, int], Json]


def _order(order: Json, number: int) -> Json:
    """Nearly all are paid, few cancelled. None is being refunded or was: these are the rarest."""
    earlier = timedelta(seconds=1 + number)
    return {
        "status": "PAID" if number % CANCELLED else "CANCELLED",
        "customerId": f"{PREFIX}{number % CUSTOMERS}" if number % CUSTOMERS else order["customerId"],
        **{at: order[at] - earlier for at in ("createdAt", "updatedAt", "stateSince")},
    }


def _product(product: Json, number: int) -> Json:
    return {"deleted": number % 2 == 0, "createdAt": product["createdAt"] - timedelta(seconds=1 + number)}


def _of_its_order(_: Json, number: int) -> Json:
    return {"orderId": f"{PREFIX}{number}"}


def _nothing_else(_: Json, __: int) -> Json:
    return {}


# What grows with every order, customer or product: service and collection, and how a copy differs.
GROWS: Final[Mapping[tuple[str, str], Change]] = {
    ("order", "orders"): _order,
    ("order", "idempotency"): _nothing_else,
    ("product", "products"): _product,
    ("product", "idempotency"): _nothing_else,
    ("inventory", "stock"): _nothing_else,
    ("inventory", "reservations"): _nothing_else,
    ("inventory", "idempotency"): _nothing_else,
    ("payment", "payments"): _nothing_else,
    ("payment", "gateway_ledger"): _of_its_order,
    ("notification", "notifications"): _of_its_order,
    ("notification", "webhookDeliveries"): lambda _, number: {
        "orderId": f"{PREFIX}{number}",
        "state": "DELIVERED",
    },
    ("notification", "idempotency"): _nothing_else,
    ("auth", "users"): lambda _, number: {"email": f"{PREFIX}{number}@shop.example", "roles": []},
    ("auth", "refreshFamilies"): lambda _, number: {"userId": f"{PREFIX}{number}"},
    ("auth", "guesses"): _nothing_else,
    ("auth", "letters"): lambda *_: {"state": "SENT", "due": None},
}
SERVICES: Final = ("auth", *CORE)


# --- much of everything -----------------------------------------------------------------------------------


@asynccontextmanager
async def grown(shop: Shop, sold: str) -> AsyncIterator[None]:
    """Meanwhile there are thousands of everything that grows, orders like the paid one `sold`."""
    rows = [ObjectId() for _ in range(MANY)]
    try:
        for (service, name), change in GROWS.items():
            like = {"_id": sold} if name == "orders" else {}
            await _copy(shop.database(service)[name], like, change)
        for service in CORE:
            await _rest(shop.database(service)[OUTBOX], rows)
        yield
    finally:
        for service, name in GROWS:
            copies = {"_id": {"$gte": PREFIX, "$lt": f"{PREFIX}~"}}
            await shop.database(service)[name].delete_many(copies)
        for service in CORE:
            await shop.database(service)[OUTBOX].delete_many({"_id": {"$in": rows}})


async def _copy(collection: AsyncCollection[Json], like: Json, change: Change) -> None:
    original = await collection.find_one(like)
    assert original is not None, f"{collection.full_name} has nothing to copy"
    await collection.insert_many(
        {**original, "_id": f"{PREFIX}{number}", **change(original, number)} for number in range(MANY)
    )


async def _rest(outbox: AsyncCollection[Json], ids: Iterable[ObjectId]) -> None:
    """Rows that rest, as those do that the broker refused. They hold nothing that could go out."""
    now = (await outbox.database.client.admin.command("hello"))["localTime"]
    await outbox.insert_many({"_id": id_, "at": now, "due": now + RESTS, "events": []} for id_ in ids)


# --- what the databases do --------------------------------------------------------------------------------


@asynccontextmanager
async def profiled(
    shop: Shop, by: str = APP_NAME, names: Iterable[str] = SERVICES
) -> AsyncIterator[list[Json]]:
    """Afterwards the list holds every operation of the services meanwhile, as their databases saw it; or of
    another client, or in other databases.
    """
    operations: list[Json] = []
    databases = [shop.database(name) for name in names]
    try:
        for database in databases:
            # The one that comes by itself forgets all but the latest.
            await database.command({"create": PROFILE, "capped": True, "size": PROFILE_BYTES})
            await database.command("profile", 2)
        yield operations
    finally:
        for database in databases:
            await database.command("profile", 0)
            # What others ask is not meant.
            operations += await database[PROFILE].find({"appName": by}).to_list()
            await database.drop_collection(PROFILE)


# --- what is wrong with an operation ----------------------------------------------------------------------

# Read as a whole: there are as many signing keys as are in use, two or three.
BOUNDED: Final = frozenset({"auth.signingKeys"})
LEAST: Final = 50
TIMES: Final = 5
DONE: Final = ("nreturned", "nMatched", "nModified", "nUpserted", "ndeleted", "ninserted")
EXAMINED: Final = ("docsExamined", "keysExamined")


def wasteful(operations: Iterable[Json]) -> list[str]:
    """What scanned a collection, or examined much more than it returned or changed: each plan once."""
    found: defaultdict[str, int] = defaultdict(int)
    for operation in operations:
        scans = "COLLSCAN" in operation.get("planSummary", "") and operation["ns"] not in BOUNDED
        examined = max(operation.get(name, 0) for name in EXAMINED)
        done = max(_named(operation), *(operation.get(name, 0) for name in DONE))
        if scans or examined > LEAST + TIMES * done:
            text = f"{operation['ns']} {operation['op']} {operation.get('planSummary')} {asked(operation)}"
            found[text] = max(found[text], examined)
    return [f"examined {examined}: {text}" for text, examined in found.items()]


def shard_keys_missing(operations: Iterable[Json]) -> list[str]:
    """What asks all shards: in a transaction, or by an index of which docs/capacity.md does not say so."""
    named = set(asked_of_all())
    return [
        f"{operation['ns']} {operation.get('planSummary')} {asked(operation)}"
        for operation in asked_of_all_shards(operations)
        if is_in_a_transaction(operation) or not used([operation]) <= named
    ]


def used(operations: Iterable[Json]) -> set[Index]:
    """The indexes of the plans that the database chose."""
    return {
        Index(service, collection, keys)
        for operation in operations
        for service, _, collection in [operation["ns"].partition(".")]
        for keys in re.findall(r"\{[^}]+\}", operation.get("planSummary", ""))
    }


def _named(operation: Json) -> int:
    """How many documents were asked for by their ids, found or not."""
    command = operation.get("command", {})
    by_id = command.get("filter", command.get("q", {})).get("_id")
    return len(by_id.get("$in", ())) if isinstance(by_id, dict) else 0


def asked(operation: Json) -> str:
    command = command_of(operation)
    return str({key: command[key] for key in ("filter", "q", "query", "sort", "pipeline") if key in command})
