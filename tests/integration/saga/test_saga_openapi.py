"""Every service keeps to its own description, whatever is sent, whoever sends it (schemathesis)."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from dev.services import REPOSITORY
from services.shared.contract.events import CORE
from tests.integration.saga.shop import Shop

CHECKS = (
    "not_a_server_error",
    "content_type_conformance",
    "response_schema_conformance",
    "documented_or_a_problem",
)
SERVICES: Final = ("auth", *CORE)
EVERYBODY: Final = ("admin", "support", "viewer", "customer", "nobody")
ROLES: Final = {"support", "viewer"}


async def token_of(shop: Shop, who: str) -> str | None:
    """A login of its own: what is sent may end it, and changes its password if it guesses it."""
    if who == "nobody":
        return None
    if who == "admin":
        return (await shop.client("admin")).token
    name = f"schema-{who}"
    await shop.client(name)
    if who in ROLES:
        account = {"email": f"{name}@shop.example"}
        await shop.mongodb["auth"]["users"].update_one(account, {"$set": {"roles": [who]}})
        del shop.house.logins[name]
    return (await shop.client(name)).token


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_answers_anything_as_it_is_described(
    shop: Shop, service: str, tmp_path: Path
) -> None:
    """As an administrator, who gets past what others are refused at."""
    token = await token_of(shop, "admin")
    await tried(
        shop, service, token, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "3"
    )


@pytest.mark.parametrize("who", EVERYBODY)
async def test_every_service_answers_everybody_as_it_is_described(
    shop: Shop, who: str, tmp_path: Path
) -> None:
    """Through the gateway, which describes all their routes and lets whoever has a token go on to them.

    Whoever has none it refuses itself: they are tried at each service.
    """
    token = await token_of(shop, who)
    less = ("--phases", "examples,fuzzing", "--max-examples", "1")
    async with asyncio.TaskGroup() as together:  # most of the time it takes is for starting
        for service in ("gateway", *(SERVICES if token is None else ())):
            together.create_task(tried(shop, service, token, tmp_path, *less))


async def tried(shop: Shop, service: str, token: str | None, directory: Path, *how: str) -> None:
    """Raises AssertionError, with what schemathesis found."""
    url = shop.stack.services[service]
    arguments = [
        *("run", f"{url}/openapi.json", "--url", url, "--checks", ",".join(CHECKS)),
        *(*how, "--request-timeout", "20"),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
        *("--seed", "7", "--generation-database", "none", "--no-color"),
        # It has no end.
        *(("--exclude-path-regex", "/events$") if service in {"order", "gateway"} else ()),
    ]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"),
        *arguments,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SCHEMATHESIS_HOOKS": HOOKS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{service}: {output.decode()}"


HOOKS = "tests.integration.saga.schema_checks"
