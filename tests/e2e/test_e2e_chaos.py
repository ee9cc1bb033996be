"""Anything may be killed while customers are buying: the books balance afterwards."""

import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e import books
from tests.e2e.load import Load
from tests.e2e.release import SERVICES, Release

STOCK = 5_000
SOME = 20
PRIMARY = """
import os, pathlib, pymongo
url = pathlib.Path(os.environ["SECRETS_DIR"], "MONGODB_URL").read_text()
print(pymongo.MongoClient(url).admin.command("hello")["primary"].partition(".")[0])
"""


async def one_pod(release: Release, name: str) -> str:
    [pod] = await release.pods(name)
    await release.kill(pod)
    return pod


async def the_primary(release: Release, _: str) -> str:
    primary = (await release.tool("python", "-c", PRIMARY)).strip()
    await release.kill(primary)
    return primary


Kill = Callable[[Release, str], Awaitable[str]]


async def kill_under_load(
    targets: Mapping[str, Kill], release: Release, customer: Client, admin: Client, report: list[str]
) -> None:
    """Kill one after the other while customers buy, each when all else is well; then look at the books."""
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with Load(customer, [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        await until(bought, lambda count: count > SOME, within=60, what="the first orders")
        for name, kill in targets.items():
            dead, before = await kill(release, name), len(load.orders)
            await release.all_ready()
            await until(bought, lambda count: count > before + SOME, within=120, what=f"orders after {dead}")  # noqa: B023 - used at once
            report.append(f"          killed {dead} under load")
    assert load.failures == []
    counted = await books.balance(admin, load.orders, initial)
    report.append(f"          {len(load.orders)} orders, {json.dumps(counted)}")
    await books.check(release, load.orders)


async def test_orders_survive_the_death_of_every_service(
    release: Release, customer: Client, admin: Client, report: list[str]
) -> None:
    await kill_under_load(dict.fromkeys(SERVICES, one_pod), release, customer, admin, report)


@pytest.mark.parametrize(
    ("server", "kill"), [("rabbitmq", one_pod), ("redis", one_pod), ("mongodb", the_primary)]
)
async def test_orders_survive_the_death_of(
    server: str, kill: Kill, release: Release, customer: Client, admin: Client, report: list[str]
) -> None:
    await kill_under_load({server: kill}, release, customer, admin, report)
