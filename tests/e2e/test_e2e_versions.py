"""From an older version up to this one and back down, `make e2e-long`: side by side, while customers buy."""

import asyncio
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
import yaml

from dev.helm import ROOT
from sagactl.polling import until
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.load import Load
from tests.e2e.release import SERVICES, Release

pytestmark = pytest.mark.long
# A commit, or a tag: the last one before orders knew of shipments.
BEFORE = os.environ.get("BEFORE", "8869113")
STOCK = 50_000
# Seconds for which both versions have traffic.
MIXED = 30


def out_of_git(*command: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *command], check=True, capture_output=True).stdout  # noqa: S603, S607 - our own repository


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory, report: list[str]) -> Iterator[Release]:
    """That version, with its own chart and images, which are built."""
    tag = out_of_git("rev-parse", "--short", BEFORE).decode().strip()
    subprocess.run([ROOT / "k8s/images.sh"], env={**os.environ, "COMMIT": BEFORE}, check=True)  # noqa: S603 - our own script
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(out_of_git("archive", BEFORE, "charts"))) as charts:
        charts.extractall(folder, filter="data")
    tagged = folder / "tag.yaml"
    tagged.write_text(yaml.safe_dump({"global": {"image": {"tag": tag}}}))
    values = (HERE / "values.yaml", HERE / "versions.yaml", tagged)
    with installed(Release("both", "both-e2e", values, folder / "charts/sagashop"), report) as release:
        yield release


async def images(release: Release) -> dict[str, set[str]]:
    """What the ready pods of each service run."""
    found: dict[str, set[str]] = {service: set() for service in SERVICES}
    for pod in (await release.get("pods", "--selector=app.kubernetes.io/component=server"))["items"]:
        service = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        ready = any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in pod["status"].get("conditions", ())
        )
        if service in found and ready and "deletionTimestamp" not in pod["metadata"]:
            found[service].add(pod["spec"]["containers"][0]["image"])
    return found


async def roll(
    release: Release, begin: Callable[[], Awaitable[object]], between: Callable[[], Awaitable[None]]
) -> None:
    """Replace the pods of all services; stop half-way, with both versions ready, while `between` lasts."""
    deployments = [f"deployment/{release.name}-{service}" for service in SERVICES]

    async def begun() -> bool:
        found = await release.get("pods", "--selector=app.kubernetes.io/component=server")
        running = {
            (pod["metadata"]["labels"]["app.kubernetes.io/name"], pod["spec"]["containers"][0]["image"])
            for pod in found["items"]
        }
        return all(sum(name == service for name, _ in running) > 1 for service in SERVICES)

    await begin()
    await until(begun, bool, within=60, what="new pods of all services", every=0.3)
    await release.kubectl("rollout", "pause", *deployments)
    await until(
        lambda: images(release),
        lambda found: all(len(each) > 1 for each in found.values()),
        within=120,
        what="both versions of all services to be ready",
    )
    await between()
    await release.kubectl("rollout", "resume", *deployments)
    await release.all_ready()


async def replayed(newer: Release, image: str) -> str:
    """What the next version's table makes of all histories, as docs/operations.md asks it."""
    toolbox = (await newer.get("deployment", f"{newer.name}-sagactl"))["spec"]["template"]
    [container] = toolbox["spec"].pop("containers")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "replay", "labels": toolbox["metadata"]["labels"]},
        "spec": toolbox["spec"]
        | {
            "restartPolicy": "Never",
            "containers": [container | {"image": image, "command": ["sagactl", "replay"]}],
        },
    }
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
        admin, customer = await administrator(older, door), await door.register()
        initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}

        async def sound(load: Load, when: str) -> None:
            await asyncio.sleep(MIXED)
            await books.check_live(older, load.orders)
            seen = {image.rpartition(":")[2] for each in (await images(older)).values() for image in each}
            report.append(
                f"          {when}: {len(load.orders)} orders, images {sorted(seen)}, the live check is sound"
            )

        async with Load(customer, [*initial]) as load:
            await sound(load, "before")
            old = await images(older)
            version = yaml.safe_load((ROOT / "charts/sagashop/Chart.yaml").read_text())["appVersion"]
            report.append(
                f"          {(await replayed(newer, f'sagashop/sagactl:{version}')).splitlines()[-1]}"
            )
            await roll(older, newer.begin_upgrade, lambda: sound(load, "both, on the way up"))
            await sound(load, "up")
            assert all(old[service] != image for service, image in (await images(older)).items())
            await roll(
                older, lambda: older.roll_back(wait=False), lambda: sound(load, "both, on the way down")
            )
            await sound(load, "down")
            assert await images(older) == old
        assert load.failures == []
        counted = await books.balance(admin, load.orders, initial)
        report.append(f"          {json.dumps(counted)}, {len(load.failures)} failed requests")
        await books.check(older, load.orders)
