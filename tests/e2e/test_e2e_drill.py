"""The restore drill, `make drill`: a copy that was taken under load becomes a shop in another namespace."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest

from sagactl.oncall.invariants import Invariant
from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, make_namespace
from tests.e2e.load import Load
from tests.e2e.release import SERVICES, Release

pytestmark = pytest.mark.drill
ELSEWHERE = Release("shop", "drill-e2e", (HERE / "values.yaml", HERE / "elsewhere.yaml"))
STOCK = 5_000
SOME = 100
# The books of the payment gateway, which a provider keeps by itself: they know what came after the copy.
LEDGER = "payment.gateway_ledger"
COMMAND = ("python", "-m", "sagactl.provision")


async def back_up(release: Release, file: Path, *only: str) -> None:
    maker = f"deployment/{release.name}-mongodb-provision"
    chosen = [f"--only={name}" for name in only]
    await release.stream("exec", maker, "--", *COMMAND, "backup", *chosen, target=file)


async def restore(release: Release, file: Path) -> datetime:
    """Returns the moment of which it is."""
    maker = f"deployment/{release.name}-mongodb-provision"
    said = file.with_suffix(".said")
    await release.stream("exec", "--stdin", maker, "--", *COMMAND, "restore", source=file, target=said)
    return datetime.fromisoformat(said.read_text().split()[-1])


def entries(file: Path) -> set[str]:
    """The orders that the payment gateway has in its books, in a copy."""
    found, collection = set(), ""
    with file.open("rb") as stream:
        for part in bson.decode_file_iter(stream):
            collection = f"{part['database']}.{part['collection']}" if "collection" in part else collection
            if "document" in part and collection == LEDGER:
                found.add(part["document"]["orderId"])
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    if "E2E_KEEP" not in os.environ:
        asyncio.run(ELSEWHERE.gone())


async def install_empty(old: Release, new: Release) -> None:
    """All but the services, and with the key that seals what is in auth's database."""
    await new.gone()
    await make_namespace(new.namespace)
    key = (await old.secret(f"{old.name}-auth-secrets-key"))["SECRETS_KEY"]
    await new.kubectl(
        "create", "secret", "generic", "restored-secrets-key", f"--from-literal=SECRETS_KEY={key}"
    )
    await new.install()


async def findings(release: Release) -> dict[str, set[str]]:
    """What the checker names, by invariant."""
    command = "python -m sagactl check -o json --wait 90 || true"
    report = json.loads(await release.tool("sh", "-c", command))
    found: dict[str, set[str]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["invariant"], set()).add(finding["subject"])
    return found


async def test_a_copy_that_was_taken_under_load_becomes_a_shop_elsewhere(
    release: Release, customer: Client, admin: Client, report: list[str], tmp_path: Path
) -> None:
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    copy, provider = tmp_path / "copy", tmp_path / "provider"
    async with Load(customer, [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        await until(bought, lambda count: count > SOME, within=60, what="the first orders")
        begin = time.monotonic()
        await back_up(release, copy)
        took, copied = time.monotonic() - begin, len(load.orders)
        await until(bought, lambda count: count > copied + SOME, within=60, what="orders after the copy")
    lost_at, begin = datetime.now(UTC), time.monotonic()
    await install_empty(release, ELSEWHERE)
    await books.balance(admin, load.orders, initial)
    await back_up(release, provider, LEDGER)
    cut = await restore(ELSEWHERE, copy)
    await restore(ELSEWHERE, provider)
    await ELSEWHERE.upgrade(*(f"{service}.replicaCount=1" for service in SERVICES))
    async with at_the_door_of(ELSEWHERE) as visitor:
        there = await administrator(ELSEWHERE, visitor)
        tea, somebody = await there.add_product(5), await visitor.register()
        order = await somebody.place({tea: 1})
        assert (await somebody.settled(order["orderId"]))["status"] == "PAID"
        recovered = time.monotonic() - begin

        after = entries(provider) - entries(copy)
        named = await until(
            lambda: findings(ELSEWHERE),
            lambda found: found.keys() <= {Invariant.MONEY_AGREES},
            within=300,
            what="what was under way to end",
            every=5,
        )
        # What was under way goes on where it was, and is charged no second time.
        known = {name for name in after if await there.payment(name) is not None}
    assert named.get(Invariant.MONEY_AGREES, set()) == after - known
    assert len(after - known) > SOME / 2
    size, lost = copy.stat().st_size / 1e6, len(after - known)
    report.append(f"          the copy: {size:.1f} MB in {took:.1f} s, under load")
    report.append(
        f"          RPO: {(lost_at - cut).total_seconds():.1f} s; the checker names {lost} payments"
    )
    report.append(f"          RTO: {recovered:.0f} s, from no namespace to an order that is PAID")
