"""Anything may be killed while customers are buying: the books balance afterwards."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e import books
from tests.e2e.customers import Customer, Load
from tests.e2e.release import SERVICES, Release, until

STOCK = 5_000
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


TARGETS: dict[str, Callable[[Release, str], Awaitable[str]]] = {
    **dict.fromkeys(SERVICES, one_pod),
    "rabbitmq": one_pod,
    "redis": one_pod,
    "mongodb": the_primary,
}


@pytest.mark.parametrize("target", TARGETS)
async def test_orders_survive_the_death_of(
    target: str, release: Release, customer: Customer, admin: Customer, report: list[str]
) -> None:
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with Load(customer, [*initial]) as load:
        await asyncio.sleep(3)
        before = len(load.orders)
        dead = await TARGETS[target](release, target)
        await release.all_ready()

        async def more() -> int:
            return len(load.orders)

        await until(more, lambda count: count > before + 20, seconds=120, what="new orders afterwards")
    assert before > 0
    assert load.failures == []
    counted = await books.balance(admin, load.orders, initial)
    report.append(f"          killed {dead} under load: {len(load.orders)} orders, {json.dumps(counted)}")
    await books.check(release, load.orders)
