"""Every service keeps to its own description, whatever is sent, whoever sends it (schemathesis)."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import pytest

from services.shared.contract.events import CORE
from tests.integration.saga.schema_checks import prepare, run
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


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One process makes all runs: a new one needs longer for its start than for what it sends."""
    directory = tmp_path_factory.mktemp("schemathesis")
    with ProcessPoolExecutor(1, get_context("spawn"), prepare, (directory,)) as process:
        yield process


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
    shop: Shop, service: str, runner: Executor
) -> None:
    """As an administrator, who gets past what others are refused at."""
    token = await token_of(shop, "admin")
    everything = ("--phases", "examples,coverage,fuzzing", "--max-examples", "3")
    await tried(runner, shop, service, token, *everything)


@pytest.mark.parametrize("who", EVERYBODY)
async def test_every_service_answers_everybody_as_it_is_described(
    shop: Shop, who: str, runner: Executor
) -> None:
    """Through the gateway, which describes all their routes and lets whoever has a token go on to them.

    Whoever has none it refuses itself: they are tried at each service.
    """
    token = await token_of(shop, who)
    less = ("--phases", "examples,fuzzing", "--max-examples", "1")
    for service in ("gateway", *(SERVICES if token is None else ())):
        await tried(runner, shop, service, token, *less)


async def tried(runner: Executor, shop: Shop, service: str, token: str | None, *how: str) -> None:
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
    status, output = await asyncio.get_running_loop().run_in_executor(runner, run, arguments)
    assert status == 0, f"{service}: {output}"
