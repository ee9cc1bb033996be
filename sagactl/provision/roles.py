"""Roles of MongoDB that are narrower than those it comes with."""

from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

ROLE_EXISTS: Final = 51002


async def set_role(
    database: AsyncDatabase[dict[str, Any]], name: str, privileges: list[dict[str, Any]]
) -> None:
    """Make the role, or give the one that is there these privileges, and no others."""
    try:
        await database.command("createRole", name, privileges=privileges, roles=[])
    except OperationFailure as error:
        if error.code != ROLE_EXISTS:
            raise
        await database.command("updateRole", name, privileges=privileges, roles=[])
