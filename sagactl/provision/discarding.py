"""Where discarded letters are kept: who may keep some and take them back, and for how long they are there.

The collection is the tools', and no service's. They may not make its index: it is what lets letters expire.
"""

from typing import Any, Final

from pymongo import DESCENDING, AsyncMongoClient

from sagactl.provision.roles import set_role
from sagactl.provision.trails import retain

# As the commands that discard and restore have them.
DATABASE: Final = "sagactl"
COLLECTION: Final = "discarded"
KEPT_DAYS: Final = 30
ROLE: Final = "keep-discarded"
# The last tells for how long letters are kept.
ACTIONS: Final = ("find", "insert", "update", "remove", "listIndexes")


def rights() -> list[dict[str, str]]:
    return [{"role": ROLE, "db": DATABASE}]


async def provision(client: AsyncMongoClient[dict[str, Any]], days: int) -> None:
    """Make it, or set for how many days letters are kept, those that are there, too."""
    database = client[DATABASE]
    await retain(database[COLLECTION], days)
    await database[COLLECTION].create_index([("queue", 1), ("message", 1)])
    await database[COLLECTION].create_index([("queue", 1), ("at", DESCENDING)])
    await database[COLLECTION].create_index([("correlationId", 1), ("at", DESCENDING)])
    resource = {"db": DATABASE, "collection": COLLECTION}
    await set_role(database, ROLE, [{"resource": resource, "actions": list(ACTIONS)}])
