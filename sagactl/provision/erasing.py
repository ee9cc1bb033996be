"""What the tools may change in the services' databases: that a customer is named there, and nothing else."""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import AsyncMongoClient

from sagactl.provision.roles import set_role

ROLE: Final = "erase-customers"
# (database, collection) -> what may be done there beside reading. Auth erases its own, when it is asked.
ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("order", "orders"): "update",
    ("order", "idempotency"): "remove",
    ("notification", "notifications"): "update",
    ("fulfilment", "shipments"): "update",
}


def rights() -> list[dict[str, str]]:
    return [{"role": ROLE, "db": "admin"}]


async def provision(client: AsyncMongoClient[dict[str, Any]]) -> None:
    privileges = [
        {"resource": {"db": database, "collection": collection}, "actions": [action]}
        for (database, collection), action in ACTIONS.items()
    ]
    await set_role(client.admin, ROLE, privileges)
