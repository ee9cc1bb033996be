"""The only pod of a server dies, and all that it had with it: the shop goes on by itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import aiohttp
import pytest

from dev.helm import ROOT
from sagactl.polling import until
from sagactl.shop import Client, ShopError
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.load import Load
from tests.e2e.release import Release

MINIMAL = Release(
    "stall", "stall-e2e", (ROOT / "charts/sagashop/ci/minimal-values.yaml", HERE / "minimal.yaml")
)
STOCK = 5_000
SOME = 40


@pytest.fixture(scope="module")
def stall(report: list[str]) -> Iterator[Release]:
    with installed(MINIMAL, report) as stall:
        yield stall


@pytest.fixture
async def door(stall: Release) -> AsyncIterator[Client]:
    async with at_the_door_of(stall) as visitor:
        yield visitor


async def account_of(client: Client) -> str:
    return str((await client.call("GET", "/auth/me"))["userId"])


@asynccontextmanager
async def arrivals(door: Client) -> AsyncIterator[list[str]]:
    """Customers who register one after the other, whatever happens meanwhile; yields their addresses."""
    registered: list[str] = []

    async def arrive() -> None:
        while True:
            with suppress(ShopError, aiohttp.ClientError, TimeoutError):
                address = f"{uuid4().hex}@shop.example"
                await door.register(email=address)
                registered.append(address)
            await asyncio.sleep(0.1)

    arriving = asyncio.create_task(arrive())
    try:
        yield registered
    finally:
        arriving.cancel()
        with suppress(asyncio.CancelledError):
            await arriving


async def lose(stall: Release, server: str) -> None:
    [pod] = await stall.pods(server)
    await stall.kill(pod)


async def test_what_is_ordered_while_the_broker_is_gone_and_empty_is_all_delivered(
    stall: Release, door: Client, report: list[str]
) -> None:
    """Queues are made before users: nobody publishes to a broker where an event would reach nobody."""
    admin = await administrator(stall, door)
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    await lose(stall, "rabbitmq")
    async with Load(await door.register(), [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        await stall.all_ready()
        there = len(load.orders)
        await until(bought, lambda count: count > there + SOME, within=120, what="orders afterwards")
    assert there > 0
    counted = await books.balance(admin, load.orders, initial)
    report.append(f"          the only RabbitMQ lost: {len(load.orders)} orders, {json.dumps(counted)}")
    await books.check(stall, load.orders)


async def test_a_shop_whose_only_database_is_gone_begins_anew_by_itself(
    stall: Release, door: Client, report: list[str]
) -> None:
    former = await account_of(await administrator(stall, door))

    async def entered() -> Client | None:
        """The administrator of the new database: the old one answers until its process has ended."""
        try:
            admin = await administrator(stall, door)
            return admin if await account_of(admin) != former else None
        except (ShopError, aiohttp.ClientError, TimeoutError):  # nobody is there yet
            return None

    async with arrivals(door) as registered:
        await lose(stall, "mongodb")
        admin = await until(entered, within=180, what="the administrator's new account", every=1)
        assert admin is not None
        await stall.all_ready()
        there = len(registered)

        async def arrived() -> int:
            return len(registered)

        await until(
            arrived, lambda count: count > there, within=60, what="a customer who registers afterwards"
        )
    with pytest.raises(ShopError) as refused:
        await door.register(email=registered[-1])
    assert refused.value.status == 409, "the index that makes addresses unique is back"
    initial = {await admin.add_product(STOCK): STOCK}
    async with Load(await door.register(), [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        await until(bought, lambda count: count > SOME, within=120, what="orders")
    counted = await books.balance(admin, load.orders, initial)
    report.append(f"          the only MongoDB lost: {len(load.orders)} orders, {json.dumps(counted)}")
    await books.check(stall, load.orders)
