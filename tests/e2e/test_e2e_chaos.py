"""Anything may be killed, or stand still, while customers are buying: the books balance afterwards."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from operator import not_

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
# To be run beside the service: the first process of a container cannot be stopped from inside.
FREEZE = """
import os, pathlib, signal, sys
for place in pathlib.Path("/proc").glob("[0-9]*"):
    if sys.argv[1].encode() in (place / "cmdline").read_bytes().split(b"\\0")[1:3]:
        os.kill(int(place.name), signal.SIGSTOP)
        print(place.name)
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


@asynccontextmanager
async def two_of(release: Release, service: str) -> AsyncIterator[None]:
    """Two replicas, one process of each of which another of its pod can stop."""
    deployment = f"deployment/{release.name}-{service}"

    async def become(replicas: int, shared: str) -> None:
        pod = f'{{"spec": {{"shareProcessNamespace": {shared}}}}}'
        patch = f'{{"spec": {{"replicas": {replicas}, "template": {pod}}}}}'
        await release.kubectl("patch", deployment, "--type=merge", f"--patch={patch}")
        await release.ready(deployment)

    await become(2, "true")
    try:
        yield
    finally:
        await become(1, "null")


@pytest.mark.long
@pytest.mark.parametrize("service", ["order", "inventory"])
async def test_a_replica_that_stands_still_is_passed_by_and_replaced(
    service: str, release: Release, customer: Client, admin: Client, report: list[str]
) -> None:
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with two_of(release, service), Load(customer, [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        async def more(within: float, what: str) -> None:
            before = len(load.orders)
            await until(bought, lambda count: count > before + SOME, within=within, what=what)

        await more(60, "the first orders")
        [pod, _] = await release.pods(service)
        program = f"services.{service}.main"
        stopped = await release.kubectl("exec", pod, "--", "python", "-c", FREEZE, program)
        assert stopped.split(), f"{program} was not found in {pod}"
        began = time.monotonic()
        await until(lambda: release.is_ready(pod), not_, within=60, what=f"{pod} is known to stand still")
        passed_by = time.monotonic() - began
        await more(60, f"orders beside {pod}")
        await until(lambda: release.is_ready(pod), within=240, what=f"{pod} is started again")
        replaced = time.monotonic() - began
        await more(60, f"orders after {pod} was started again")
    assert load.failures == []
    counted = await books.balance(admin, load.orders, initial)
    report.append(
        f"          {pod} stood still: passed by after {passed_by:.0f} s, new after {replaced:.0f} s"
    )
    report.append(f"          {len(load.orders)} orders, {json.dumps(counted)}")
    await books.check(release, load.orders)
