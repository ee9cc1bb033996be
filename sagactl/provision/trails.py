"""The audit trails: who may add to which, and how long entries are kept.

Beside each service's database is one for its trail. The service's user may insert there and nothing else: not
read, change, remove, nor make an index, since an index can let entries expire, too.
"""

from typing import Any, Final

from pymongo import ASCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from sagactl.provision.roles import set_role
from services.shared.contract.audit import TRAILS
from services.shared.database.trail import COLLECTION, database_of

RETENTION_DAYS: Final = 400
ROLE: Final = "append"
INDEX: Final = "retention"
INDEX_OPTIONS_CONFLICT: Final = 85
DAY_SECONDS: Final = 24 * 60 * 60


def rights(user: str) -> list[dict[str, str]]:
    """What a service's user may do with trails: add to its own."""
    return [{"role": ROLE, "db": database_of(user)}] if user in TRAILS else []


def reading() -> list[dict[str, str]]:
    """The right to read all trails, and nothing else of the services that they are of."""
    return [{"role": "read", "db": database_of(name)} for name in TRAILS]


async def provision(client: AsyncMongoClient[dict[str, Any]], retention_days: int) -> None:
    """Make the trails, or set how long the entries of those that are there are kept."""
    for name in TRAILS:
        database = client[database_of(name)]
        await retain(database[COLLECTION], retention_days)
        await _set_role(database)


async def retain(collection: AsyncCollection[dict[str, Any]], days: int) -> None:
    """Let documents expire so many days after their `at`, also those that are there."""
    seconds = days * DAY_SECONDS
    try:
        await collection.create_index([("at", ASCENDING)], name=INDEX, expireAfterSeconds=seconds)
    except OperationFailure as error:
        if error.code != INDEX_OPTIONS_CONFLICT:
            raise
        index = {"name": INDEX, "expireAfterSeconds": seconds}
        await collection.database.command("collMod", collection.name, index=index)


async def _set_role(database: AsyncDatabase[dict[str, Any]]) -> None:
    privileges = [{"resource": {"db": database.name, "collection": COLLECTION}, "actions": ["insert"]}]
    await set_role(database, ROLE, privileges)
