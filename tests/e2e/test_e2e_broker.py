"""A shop moves to a broker that is not its own, and back, while customers buy: `make e2e-long`."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dev.helm import ROOT
from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.load import Load
from tests.e2e.release import CommandError, Release

pytestmark = pytest.mark.long
OWN = Release("depot", "depot-e2e", (HERE / "values.yaml", HERE / "moved.yaml"))
EXTERNAL = replace(OWN, values=(*OWN.values, HERE / "external.yaml"))
BROKER = Release("broker", "broker-e2e", (HERE / "broker.yaml",), ROOT / "charts/rabbitmq")
STOCK = 5_000
SOME = 40
HELD = 3
WHY = "the former broker had them"
# Seconds for which a customer waits at a door that is closed while the shop is drained.
DRAINING = 600.0


@pytest.fixture(scope="module")
def broker(report: list[str]) -> Iterator[Release]:
    with installed(BROKER, report) as broker:
        yield broker


@pytest.fixture(scope="module")
def depot(broker: Release, report: list[str]) -> Iterator[Release]:
    async def introduce(depot: Release) -> None:
        """Whoever runs the broker has given an administrator's login."""
        login = await broker.secret(f"{broker.name}-rabbitmq-admin")
        given = [f"--from-literal={key}={login[key]}" for key in ("username", "password")]
        await depot.kubectl("create", "secret", "generic", "broker-admin", *given)

    with installed(OWN, report, introduce) as depot:
        yield depot


@pytest.fixture
async def door(depot: Release) -> AsyncIterator[Client]:
    async with at_the_door_of(depot) as visitor:
        yield replace(visitor, patience=DRAINING)


async def has_a_broker(depot: Release) -> bool:
    found = await depot.get("statefulsets")
    return any(one["metadata"]["name"] == f"{depot.name}-rabbitmq" for one in found["items"])


async def ids(depot: Release, *command: str) -> list[str]:
    return (await depot.tool("sagactl", *command, "-o", "name")).split()


async def waiting(depot: Release) -> list[str]:
    """Events that no broker has taken yet."""
    return await ids(depot, "outbox", "list")


async def unfinished(depot: Release) -> list[str]:
    return await ids(depot, "orders", "list", "--open", "--limit", "10000")


async def repaired(depot: Release) -> str:
    """Carries out what can be; returns what is left to do, or moves."""
    try:
        for orders in (await unfinished(depot), []):
            await depot.tool("sagactl", "repair", "--apply", "--yes", "--reason", WHY, *orders)
        return " ".join(await unfinished(depot))
    except CommandError as error:
        return str(error)


async def become_sound(depot: Release) -> None:
    await until(lambda: waiting(depot), lambda left: not left, within=300, what="all to be published")
    await until(
        lambda: repaired(depot), lambda left: not left, within=600, what="the books to be sound", every=5
    )


async def bought_meanwhile(load: Load, number: int, what: str) -> None:
    async def bought() -> int:
        return len(load.orders)

    before = len(load.orders)
    await until(bought, lambda count: count > before + number, within=180, what=what)


@pytest.mark.parametrize("target", [EXTERNAL, OWN], ids=["to another broker", "back to its own"])
async def test_a_shop_moves_under_load_and_what_the_former_broker_held_is_repaired(
    depot: Release, door: Client, report: list[str], target: Release
) -> None:
    """Nobody drains it before."""
    admin = await administrator(depot, door)
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with Load(await door.register(), [*initial]) as load:
        await bought_meanwhile(load, SOME, "the first orders")
        seconds = await target.upgrade()
        await bought_meanwhile(load, SOME, "orders afterwards")
    assert load.failures == []
    assert await has_a_broker(depot) is (target is OWN)
    await become_sound(depot)
    counted = await books.balance(admin, load.orders, initial)
    report.append(
        f"          helm upgrade --wait {seconds:.0f} s: {len(load.orders)} orders, {json.dumps(counted)}"
    )
    await books.check(depot, load.orders)


async def test_what_the_former_broker_held_is_named_and_sold_all_the_same(
    depot: Release, door: Client, report: list[str]
) -> None:
    """Orders whose first event is in the queue of a service that is away when the shop moves."""
    away = "inventory.replicaCount=0"
    admin, customer = await administrator(depot, door), await door.register()
    tea = await admin.add_product(STOCK)
    await OWN.upgrade(away)

    async def present() -> list[str]:
        return await depot.pods("inventory", going=True)

    await until(present, lambda found: not found, within=90, what="inventory to be away")
    held = [(await customer.place({tea: 1}))["orderId"] for _ in range(HELD)]
    await until(lambda: waiting(depot), lambda left: not left, within=120, what="the broker to have them")
    await EXTERNAL.upgrade(away)
    await EXTERNAL.upgrade()
    assert set(held) <= set(await unfinished(depot))

    async def plans() -> dict[str, Any]:
        # It exits 3 where there is something to be done.
        said = await depot.tool("sh", "-c", f"sagactl repair -o json {' '.join(held)} || true")
        return {plan["order"]: plan for plan in json.loads(said)["plans"]}

    found = await until(
        plans,
        lambda found: all(plan["steps"] for plan in found.values()),
        within=120,
        what="a plan for each",
        every=5,
    )
    kinds = {order: [(step["kind"], step["type"]) for step in found[order]["steps"]] for order in held}
    assert kinds == {order: [("sendAgain", "INVENTORY_RESERVE_REQUEST")] for order in held}
    await become_sound(depot)
    for order in held:
        assert (await admin.settled(order))["status"] == "PAID"
    await admin.stock_becomes(tea, (STOCK - HELD, 0, HELD))
    await books.check(depot, held)
    report.append(f"          {HELD} orders that the former broker held: named, sent again, PAID")


async def test_a_shop_that_was_drained_before_it_moves_loses_nothing(
    depot: Release, door: Client, report: list[str]
) -> None:
    """Customers wait at the door meanwhile; nobody repairs anything."""
    admin = await administrator(depot, door)
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with Load(await door.register(), [*initial]) as load:
        await bought_meanwhile(load, SOME, "the first orders")
        await EXTERNAL.upgrade("gateway.replicaCount=0")
        await books.check(depot, load.orders)
        before = len(load.orders)
        seconds = await OWN.upgrade()
        await bought_meanwhile(load, SOME, "orders afterwards")
    assert load.failures == []
    assert await has_a_broker(depot)
    counted = await books.balance(admin, load.orders, initial)
    report.append(
        f"          drained after {before} orders, then helm upgrade --wait {seconds:.0f} s;"
        f" {len(load.orders)} orders, {json.dumps(counted)}"
    )
    await books.check(depot, load.orders)
