"""An upgrade under load, and back down: nobody notices, and what was generated stays."""

import asyncio
import json
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e import books
from tests.e2e.load import Load
from tests.e2e.release import SERVICES, Release, packaged

STOCK = 5_000


async def secrets(release: Release) -> dict[str, Any]:
    found = await release.get("secrets", "--field-selector=type=Opaque")
    return {one["metadata"]["name"]: one["data"] for one in found["items"]}


async def every_pod(release: Release) -> dict[str, set[str]]:
    return {service: {*await release.pods(service)} for service in SERVICES}


async def test_every_service_is_rolled_under_load_and_back_down_and_no_request_fails(
    release: Release, customer: Client, admin: Client, report: list[str]
) -> None:
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    kept = await secrets(release)
    pods = [await every_pod(release)]
    async with Load(customer, [*initial]) as load:
        await asyncio.sleep(2)
        up = await release.upgrade(*(f"{service}.podAnnotations.rolled=yes" for service in SERVICES))
        pods.append(await every_pod(release))
        await books.check_live(release, load.orders)
        down = await release.roll_back()
        pods.append(await every_pod(release))
        await books.check_live(release, load.orders)
    for before, after in pairwise(pods):
        assert [service for service in SERVICES if before[service] & after[service]] == []
    assert load.failures == []
    counted: Counter[str] = await books.balance(admin, load.orders, initial)
    took = f"helm upgrade --wait {up:.0f} s, helm rollback --wait {down:.0f} s"
    report.append(f"          {took} under load: {len(load.orders)} orders, {json.dumps(counted)}")
    assert await secrets(release) == kept
    await books.check(release, load.orders)


async def test_an_upgrade_brings_the_definition_up_to_date(release: Release, tmp_path: Path) -> None:
    """Helm never changes what is in a chart's crds folder; this one is a template."""
    shutil.unpack_archive(packaged(), tmp_path)
    older = tmp_path / "sagashop"
    file = older / "charts/saga-operator/files/sagamonitors.yaml"
    file.write_text(file.read_text().replace("shortNames: [sgm]", "shortNames: [old]"))

    async def short_names() -> list[str]:
        found = await release.get("customresourcedefinition", "sagamonitors.sagashop.io")
        names: list[str] = found["spec"]["names"]["shortNames"]
        return names

    await replace(release, chart=older).upgrade()
    assert await short_names() == ["old"]
    await release.upgrade()
    assert await short_names() == ["sgm"]


async def test_a_password_is_rotated_by_its_secret_and_an_upgrade(
    release: Release, customer: Client, admin: Client
) -> None:
    """Nobody restarts the service: it sees that its Secrets are others now."""
    rotated = {"stringData": {"password": "a-new-one"}}

    async def restarts() -> int:
        found = await release.get("pods", "--selector=app.kubernetes.io/name=payment")
        return sum(
            one["restartCount"] for pod in found["items"] for one in pod["status"]["containerStatuses"]
        )

    before = await restarts()
    for server in ("mongodb", "rabbitmq"):
        secret = f"{release.name}-{server}-payment"
        await release.kubectl("patch", "secret", secret, "--type=merge", "--patch", json.dumps(rotated))
    await release.upgrade()
    assert ":a-new-one@" in (await release.secret(f"{release.name}-mongodb-payment"))["MONGODB_URL"]
    await until(restarts, lambda count: count > before, within=240, what="payment to start anew")
    await release.ready(f"deployment/{release.name}-payment")
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1})
    assert (await customer.settled(order["orderId"]))["status"] == "PAID"


async def test_an_autoscaler_begins_with_the_pods_that_there_are(release: Release) -> None:
    """A field that an upgrade leaves out falls back to its default, which is one replica."""
    await release.upgrade("notification.replicaCount=3")
    before = await release.pods("notification")
    try:
        await release.upgrade(
            "notification.autoscaling.enabled=true", "notification.autoscaling.minReplicas=2"
        )
        scaled = await release.get("deployment", f"{release.name}-notification")
        assert scaled["spec"]["replicas"] == len(before) == 3
        assert await release.pods("notification") == before
    finally:
        await release.upgrade()
