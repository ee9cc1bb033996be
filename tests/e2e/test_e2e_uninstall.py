"""The end: nothing hangs, nothing waits for an operator that is gone."""

import json

import pytest

from sagactl.polling import until
from tests.e2e.release import CommandError, Release

HOOK = "helm.sh/hook"
POLICY = "helm.sh/resource-policy"


async def test_uninstall_leaves_nothing_that_hangs(release: Release, report: list[str]) -> None:
    """The release's own SagaMonitor goes with its operator; somebody else's stays, and can be deleted."""
    own = {
        "apiVersion": "sagashop.io/v1alpha1",
        "kind": "SagaMonitor",
        "metadata": {"name": "somebody-elses"},
        "spec": {"orderService": {"serviceRef": {"name": f"{release.name}-order"}}},
    }
    await release.kubectl("apply", "--filename", "-", stdin=json.dumps(own))
    await release.kubectl("wait", "sagamonitor/somebody-elses", "--for=condition=Ready", "--timeout=60s")
    seconds = await release.uninstall()
    report.append(f"          helm uninstall --wait: {seconds:.0f} s")

    async def monitors() -> list[str]:
        return [one["metadata"]["name"] for one in (await release.get("sagamonitors"))["items"]]

    await until(monitors, lambda found: found == ["somebody-elses"], within=30, what="its own monitor to go")
    await release.kubectl("delete", "sagamonitor", "somebody-elses", "--timeout=10s")

    async def objects() -> list[str]:
        kinds = "pods,services,deployments,statefulsets,jobs,secrets,configmaps,networkpolicies,roles"
        found = await release.get(kinds, f"--selector=app.kubernetes.io/instance={release.name}")
        # Helm leaves the pod of the last `helm test`, so that its logs can be read, and what seals secrets in
        # the database, which stays as well.
        marks = [one["metadata"].get("annotations", {}) for one in found["items"]]
        ours = [
            one
            for one, mark in zip(found["items"], marks, strict=True)
            if mark.get(HOOK) != "test" and mark.get(POLICY) != "keep"
        ]
        return [f"{one['kind']}/{one['metadata']['name']}" for one in ours]

    await until(objects, lambda found: not found, within=120, what="everything to go")
    with pytest.raises(CommandError, match="NotFound"):
        await release.kubectl("get", "clusterrole", f"{release.namespace}-{release.name}-order-tokenreview")


async def test_what_was_sold_is_still_known_after_the_shop_comes_back(
    release: Release, report: list[str]
) -> None:
    """The volumes outlive the release; new passwords do not lock anybody out of them."""
    seconds = await release.install()
    report.append(f"          helm install onto the old volumes: {seconds:.0f} s")
    assert "is PAID" in await release.test()
    await release.uninstall()
