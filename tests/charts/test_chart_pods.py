"""Every pod that any chart can make is as hard as the next one: hooks, jobs and tests too."""

from pathlib import Path

import pytest

from dev.release import current
from tests.charts.rendering import (
    CASES,
    NAMES,
    SERVICES,
    UMBRELLA,
    containers,
    environment,
    named,
    pods,
    render,
)

every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
# These talk to the Kubernetes API; nothing else gets a token for it.
WITH_TOKEN = {
    "Deployment/shop-console",
    "Deployment/shop-faults",
    "Deployment/shop-order",
    "Deployment/shop-saga-operator",
}
# Seconds.
STARTED_WITHIN = 300
COMMAND_WITHIN = 5


@every_case
def test_pods_pass_restricted_pod_security(chart: Path, values: Path | None) -> None:
    for name, pod in pods(render(chart, values)):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["runAsGroup"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys(), name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert not any("hostPort" in port for port in container.get("ports", ())), name
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "projected", "secret"}, name


@every_case
def test_pods_get_no_api_token_and_no_service_links_unless_they_need_the_api(
    chart: Path, values: Path | None
) -> None:
    objects = render(chart, values)
    for name, pod in pods(objects):
        assert pod["spec"]["enableServiceLinks"] is False, name
        assert pod["spec"]["automountServiceAccountToken"] is (name in WITH_TOKEN), name
        account = named(objects, "ServiceAccount", pod["spec"]["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False, name


@every_case
def test_containers_ask_for_what_they_need_and_are_limited(chart: Path, values: Path | None) -> None:
    for name, pod in pods(render(chart, values)):
        for container in containers(pod):
            for bound in ("requests", "limits"):
                assert container["resources"][bound].keys() == {"cpu", "memory"}, name


@every_case
def test_images_have_an_exact_tag_or_a_digest(chart: Path, values: Path | None) -> None:
    for name, pod in pods(render(chart, values)):
        for container in containers(pod):
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            assert tag, name
            assert not tag.startswith("latest"), name
            assert container["imagePullPolicy"] in {"IfNotPresent", "Never"}, name


@every_case
def test_what_runs_for_ever_has_all_three_probes(chart: Path, values: Path | None) -> None:
    for name, pod in pods(render(chart, values)):
        if name.startswith(("Deployment/", "StatefulSet/")) and name != "Deployment/shop-sagactl":
            [container] = pod["spec"]["containers"]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), name


@every_case
def test_what_starts_on_a_busy_node_is_given_its_time(chart: Path, values: Path | None) -> None:
    """Whoever is killed for being late starts again, on a node that is busier by that."""
    for name, pod in pods(render(chart, values)):
        for container in containers(pod):
            probe = container.get("startupProbe", {})
            if probe:
                assert probe["periodSeconds"] * probe["failureThreshold"] >= STARTED_WITHIN, name
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "exec" in container.get(kind, {}):  # a process of its own, which has to start as well
                    assert container[kind].get("timeoutSeconds", 1) >= COMMAND_WITHIN, (name, kind)


@every_case
def test_nothing_is_written_but_to_volumes(chart: Path, values: Path | None) -> None:
    """What is mounted of a Secret or ConfigMap is read-only; every pod has a place for temporary files."""
    for name, pod in pods(render(chart, values)):
        writable = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume} | {"data"}
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                assert mount.get("readOnly", False) or mount["name"] in writable, (name, mount)
        [container] = pod["spec"]["containers"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, name  # noqa: S108 - a mount path


@every_case
def test_no_secret_is_in_the_environment_or_on_a_command_line(chart: Path, values: Path | None) -> None:
    for name, pod in pods(render(chart, values)):
        for entry in environment(pod).values():
            assert not (isinstance(entry, dict) and "secretKeyRef" in entry), name
        for container in containers(pod):
            words = " ".join([*container.get("command", ()), *container.get("args", ())])
            assert "://" not in words or "@" not in words, name


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_drained_before_it_is_stopped(service: str) -> None:
    pod = named(render(UMBRELLA), "Deployment", f"shop-{service}")["spec"]["template"]
    [container] = pod["spec"]["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause >= 3
    assert pod["spec"]["terminationGracePeriodSeconds"] >= pause + 30
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http", "scheme": "HTTP"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http", "scheme": "HTTP"}


@pytest.mark.parametrize("service", SERVICES)
def test_an_upgrade_never_has_fewer_pods_of_a_service_than_wanted(service: str) -> None:
    deployment = named(render(UMBRELLA), "Deployment", f"shop-{service}")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert len(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]) == 2


def test_a_digest_pins_an_image_and_a_mirror_goes_before_it() -> None:
    digest = f"sha256:{'a' * 64}"
    objects = render(
        UMBRELLA, None, f"order.image.digest={digest}", "global.imageRegistry=mirror.example/hub"
    )
    for name, image in (
        ("shop-order", f"mirror.example/hub/sagashop/order:{current()}@{digest}"),
        ("shop-redis", "mirror.example/hub/library/redis:8.4.4"),
    ):
        [container] = named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert container["image"] == image
