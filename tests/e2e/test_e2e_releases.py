"""Operators of several releases, namespaces that are deleted as they are, and a definition that got lost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dev.helm import ROOT
from sagactl.polling import until
from tests.e2e.release import CommandError, Release, packaged, run

OPERATOR = ROOT / "charts/saga-operator"
OTHER = Release("kiosk", "kiosk-e2e", ())


async def conditions(release: Release, name: str) -> dict[str, tuple[str, str, str]]:
    """Return (status, reason, time of the last transition) by type; nothing where there is no monitor."""
    try:
        found = await release.get("sagamonitor", name)
    except CommandError as error:
        if "NotFound" in str(error) or "the server doesn't have a resource type" in str(error):
            return {}
        raise
    known = found.get("status", {}).get("conditions", ())
    return {one["type"]: (one["status"], one["reason"], one["lastTransitionTime"]) for one in known}


async def shows(release: Release, name: str, condition: str, status: str, within: float = 90) -> Any:
    async def look() -> tuple[str, str, str]:
        return (await conditions(release, name)).get(condition, ("", "", ""))

    return await until(
        look, lambda one: one[0] == status, within=within, what=f"{name}: {condition} {status}"
    )


async def install_operator(namespace: str) -> None:
    await run("helm", "install", "kiosk", OPERATOR, "--namespace", namespace, "--wait", "--timeout", "2m")


@pytest.fixture
async def other_namespace(release: Release) -> AsyncIterator[Release]:
    """A namespace with an operator whose order service does not exist."""
    await OTHER.gone()
    await run("kubectl", "create", "namespace", OTHER.namespace)
    await install_operator(OTHER.namespace)
    await shows(OTHER, "kiosk", "OrderServiceReachable", "False")
    yield OTHER
    await run("kubectl", "delete", "namespace", OTHER.namespace, "--ignore-not-found", "--timeout=120s")
    cluster_wide = f"app.kubernetes.io/instance={OTHER.name},app.kubernetes.io/part-of=sagashop"
    await run("kubectl", "delete", "clusterroles", f"--selector={cluster_wide}")
    assert release.namespace != OTHER.namespace


async def test_a_namespace_is_deleted_as_it_is_with_its_operator_at_work(
    other_namespace: Release, report: list[str]
) -> None:
    await run("kubectl", "delete", "namespace", other_namespace.namespace, "--timeout=60s")
    report.append("          kubectl delete namespace: gone within 60 s, operator and monitor in it")


async def test_a_namespace_is_deleted_when_its_operator_is_gone_before(other_namespace: Release) -> None:
    await other_namespace.scale("saga-operator", 0)
    await run("kubectl", "delete", "namespace", other_namespace.namespace, "--timeout=60s")


async def test_a_monitor_of_an_earlier_operator_is_freed(other_namespace: Release) -> None:
    """One that is deleted already, and waits for somebody to take the finalizer off."""
    await other_namespace.scale("saga-operator", 0)
    await other_namespace.kubectl(
        "patch", "sagamonitor", "kiosk", "--type=merge",
        "--patch", json.dumps({"metadata": {"finalizers": ["sagashop.io/saga-operator"]}}),
    )  # fmt: skip
    uid = (await other_namespace.get("sagamonitor", "kiosk"))["metadata"]["uid"]
    await other_namespace.kubectl("delete", "sagamonitor", "kiosk", "--wait=false")
    await other_namespace.scale("saga-operator", 1)
    await shows(other_namespace, "kiosk", "OrderServiceReachable", "False")

    async def now() -> str:
        found: str = (await other_namespace.get("sagamonitor", "kiosk"))["metadata"]["uid"]
        return found

    await until(now, lambda found: found != uid, within=60, what="another one in its place")


async def test_operators_of_two_releases_in_one_namespace_leave_each_others_monitors_alone(
    release: Release,
) -> None:
    await install_operator(release.namespace)
    try:
        await shows(release, "kiosk", "OrderServiceReachable", "False")
        await shows(release, release.name, "Ready", "True")
        first = await conditions(release, release.name), await conditions(release, "kiosk")
        for _ in range(8):
            await until(lambda: _swept(release), within=30, what="another sweep")
            now = await conditions(release, release.name), await conditions(release, "kiosk")
            assert now == first
    finally:
        await run("helm", "uninstall", "kiosk", "--namespace", release.namespace, "--wait")

    async def names() -> list[str]:
        return [one["metadata"]["name"] for one in (await release.get("sagamonitors"))["items"]]

    await until(names, lambda found: "kiosk" not in found, within=30, what="its monitor to go with it")


async def test_a_deleted_definition_is_healed_by_the_next_upgrade(release: Release) -> None:
    await run("kubectl", "delete", "crd", "sagamonitors.sagashop.io", "--timeout=60s")
    await release.upgrade()
    await shows(release, release.name, "Ready", "True", within=180)


async def test_a_cluster_without_a_default_storage_class_says_so_before_anything_is_installed(
    release: Release,
) -> None:
    mark = "storageclass.kubernetes.io/is-default-class"
    classes = [one["metadata"] for one in (await release.get("storageclasses"))["items"]]
    [name] = [one["name"] for one in classes if one.get("annotations", {}).get(mark) == "true"]
    options = [f"--values={file}" for file in release.values]
    into = ("--namespace", "default", "--dry-run=server")
    dry = ("helm", "install", "other", str(packaged()), *into, *options)
    await run("kubectl", "annotate", "storageclass", name, f"{mark}=false", "--overwrite")
    try:
        with pytest.raises(CommandError, match="has no default StorageClass"):
            await run(*dry)
        given = [f"--set={server}.persistence.storageClass={name}" for server in ("mongodb", "rabbitmq")]
        await run(*dry, *given)
    finally:
        await run("kubectl", "annotate", "storageclass", name, f"{mark}=true", "--overwrite")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("mongodb.replicaCount=1", "3 members are there, and 1 are fewer"),
        ("rabbitmq.persistence.size=9Gi", "does not change the volumes of a StatefulSet"),
    ],
)
async def test_a_change_that_would_do_harm_is_refused_and_changes_nothing(
    release: Release, setting: str, complaint: str
) -> None:
    revision = await run("helm", "list", "--namespace", release.namespace, "--output", "json")
    with pytest.raises(CommandError, match=complaint):
        await release.upgrade(setting)
    assert await run("helm", "list", "--namespace", release.namespace, "--output", "json") == revision


_LAST: dict[str, str] = {}


async def _swept(release: Release) -> bool:
    """Tell whether the release's monitor was swept since this was asked the last time."""
    at = (await release.get("sagamonitor", release.name))["status"]["lastSweepTime"]
    before, _LAST[release.name] = _LAST.get(release.name), at
    return before is not None and before != at
