"""From an older version up to this one and back down, `make e2e-long`: side by side, while customers buy."""

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
import yaml

from dev.helm import ROOT
from dev.versions.tree import unpacked
from sagactl.polling import until
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.load import Load
from tests.e2e.release import SERVICES, Release, has_traffic
from tests.replay_pod import made

pytestmark = pytest.mark.long
# A commit, or a tag: the last one before orders knew of shipments.
BEFORE = os.environ.get("BEFORE", "8869113")
STOCK = 50_000
# Seconds for which both versions have traffic.
MIXED = 30
# Longer than all of that takes, and shorter than Kubernetes lets a rollout go without progress (600).
HELD = 590


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory, report: list[str]) -> Iterator[Release]:
    """That version, with its own chart and images, which are built."""
    tree = unpacked(BEFORE, tmp_path_factory.mktemp("before"), part="charts")
    subprocess.run([ROOT / "k8s/images.sh"], env={**os.environ, "COMMIT": BEFORE}, check=True)  # noqa: S603 - our own script
    tagged = tree / "tag.yaml"
    # As that script tags them.
    tagged.write_text(yaml.safe_dump({"global": {"image": {"tag": tree.name}}}))
    values = (HERE / "values.yaml", HERE / "versions.yaml", tagged)
    with installed(Release("both", "both-e2e", values, tree / "charts/sagashop"), report) as release:
        yield release


async def images(release: Release) -> dict[str, set[str]]:
    """What the ready pods of each service run."""
    found: dict[str, set[str]] = {service: set() for service in SERVICES}
    for pod in (await release.get("pods", "--selector=app.kubernetes.io/component=server"))["items"]:
        service = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        if service in found and has_traffic(pod) and "deletionTimestamp" not in pod["metadata"]:
            found[service].add(pod["spec"]["containers"][0]["image"])
    return found


async def roll(
    release: Release, begin: Callable[[], Awaitable[object]], between: Callable[[], Awaitable[None]]
) -> None:
    """Replace the pods of all services; stop half-way, with both versions ready, while `between` lasts.

    A pod that is ready has traffic, but no old one goes for it until it has been ready for `minReadySeconds`.
    """
    await wait_before_the_next(release, HELD)
    await begin()
    await until(
        lambda: images(release),
        lambda found: all(len(each) > 1 for each in found.values()),
        within=300,
        what="both versions of all services to be ready",
    )
    await between()
    assert all(len(each) > 1 for each in (await images(release)).values())
    await wait_before_the_next(release, 0)
    await release.all_ready()


async def wait_before_the_next(release: Release, seconds: int) -> None:
    """How long a pod has to have been ready before an old one goes for it."""
    patch = json.dumps({"spec": {"minReadySeconds": seconds}})
    for service in SERVICES:
        await release.kubectl("patch", f"deployment/{release.name}-{service}", "--patch", patch)


async def replayed(newer: Release, image: str) -> str:
    """What the next version's table makes of all histories, as docs/operations.md asks it."""
    pod = made(await newer.get("deployment", f"{newer.name}-sagactl"), image)
    await newer.kubectl("create", "--filename", "-", stdin=json.dumps(pod))
    ended = "jsonpath={.status.containerStatuses[0].state.terminated}"
    await newer.kubectl("wait", "pod/replay", f"--for={ended}", "--timeout=120s")
    state = (await newer.get("pod", "replay"))["status"]["containerStatuses"][0]["state"]["terminated"]
    said = await newer.kubectl("logs", "replay")
    assert state["exitCode"] == 0, said
    return said


async def test_up_and_back_down_under_load_with_both_versions_side_by_side(
    older: Release, report: list[str]
) -> None:
    newer = replace(older, values=older.values[:-1], chart=None)
    async with at_the_door_of(older) as door:
        admin = await administrator(older, door)
        initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}

        async def sound(load: Load, when: str) -> None:
            await asyncio.sleep(MIXED)
            await books.check_live(older, load.orders)
            seen = {image.rpartition(":")[2] for each in (await images(older)).values() for image in each}
            report.append(
                f"          {when}: {len(load.orders)} orders, images {sorted(seen)}, the live check is sound"
            )

        # A customer for each way: a login is good for a quarter of an hour.
        async with Load(await door.register(), [*initial]) as up:
            await sound(up, "before")
            old = await images(older)
            version = yaml.safe_load((ROOT / "charts/sagashop/Chart.yaml").read_text())["appVersion"]
            report.append(
                f"          {(await replayed(newer, f'sagashop/sagactl:{version}')).splitlines()[-1]}"
            )
            await roll(older, newer.begin_upgrade, lambda: sound(up, "both, on the way up"))
            await sound(up, "up")
            assert all(old[service] != image for service, image in (await images(older)).items())
        async with Load(await door.register(), [*initial]) as down:
            await roll(
                older, lambda: older.roll_back(wait=False), lambda: sound(down, "both, on the way down")
            )
            await sound(down, "down")
            assert await images(older) == old
        orders = up.orders | down.orders
        assert up.failures + down.failures == []
        counted = await books.balance(await administrator(older, door), orders, initial)
        report.append(f"          {json.dumps(counted)}, no request failed")
        await books.check(older, orders)
