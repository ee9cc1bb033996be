"""The operator's chart: nothing that a deletion has to wait for, and a definition that releases share."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.helm import ROOT, RenderingError
from saga_operator.cluster import CHECKS_LABEL
from saga_operator.fleet import Owner
from saga_operator.policy.durations import parse_duration
from saga_operator.resource import Monitor
from saga_operator.settings import Settings
from saga_operator.spec import CHECKED_WITHIN
from tests.charts.rendering import (
    CASES,
    CHARTS,
    LOAD,
    NAMES,
    NAMESPACE,
    UMBRELLA,
    environment,
    named,
    of_kind,
    render,
)
from tests.charts.test_chart_schemas import CRD, SCHEMA, admit
from tests.command_lines import understood

OPERATOR = CHARTS / "saga-operator"
every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)


def settings(*given: str) -> Settings:
    """Read the operator's settings as its pod would."""
    pod = named(render(UMBRELLA, None, *given), "Deployment", "shop-saga-operator")["spec"]["template"]
    found = {name.lower(): value for name, value in environment(pod).items() if isinstance(value, str)}
    return Settings.model_validate(
        {**found, "monitor": json.loads(found["monitor"]) if "monitor" in found else None}
    )


def rights(objects: tuple[dict[str, Any], ...], role: str) -> dict[str, set[str]]:
    rules = named(objects, "Role", role)["rules"]
    return {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}


@every_case
def test_nothing_is_a_hook_but_the_test(chart: Path, values: Path | None) -> None:
    """A hook is what Argo CD, Flux and `kubectl delete namespace` do not run, or run at another time."""
    for found in render(chart, values):
        hook = found["metadata"].get("annotations", {}).get("helm.sh/hook")
        assert hook == ("test" if found["kind"] == "Pod" else None)
        assert "finalizers" not in found["metadata"]


def test_the_operator_reads_no_secret_and_where_it_may_those_that_are_named() -> None:
    def secrets(*given: str) -> list[dict[str, Any]]:
        rules = named(render(OPERATOR, None, *given), "Role", "shop-saga-operator")["rules"]
        return [rule for rule in rules if "secrets" in rule["resources"]]

    assert secrets() == []
    some = ("tokenSecrets.enabled=true", "tokenSecrets.names={order-token,other}")
    [rule] = secrets(*some)
    assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["order-token", "other"])
    [rule] = secrets("tokenSecrets.enabled=true")
    assert "resourceNames" not in rule


@every_case
def test_no_release_brings_a_sagamonitor_beside_its_definition(chart: Path, values: Path | None) -> None:
    assert not of_kind(render(chart, values), "SagaMonitor")


def test_the_releases_own_sagamonitor_lets_no_order_wait_for_ever() -> None:
    monitor = settings().monitor
    assert monitor is not None
    assert admit({"spec": monitor.spec}) == []
    assert monitor.name == "shop"
    assert monitor.labels["sagashop.io/release"] == settings().release == "shop"
    assert (monitor.spec["staleAfter"], monitor.spec["pendingStaleAfter"]) == ("5m", "15m")
    assert monitor.spec["action"] == "Compensate"
    ref = {"name": settings().order_service, "port": "http"}
    assert monitor.spec["orderService"] == {"serviceRef": ref}
    assert named(render(UMBRELLA), "Service", ref["name"])
    assert named(render(UMBRELLA), "Deployment", settings().deployment)


def test_the_releases_own_sagamonitor_may_be_another_or_none() -> None:
    other = "saga-operator.monitor.spec.orderService.serviceRef.name=elsewhere"
    monitor = settings(other, "saga-operator.monitor.spec.dryRun=true").monitor
    assert monitor is not None
    assert monitor.spec["orderService"] == {"serviceRef": {"name": "elsewhere"}}
    assert monitor.spec["dryRun"] is True
    assert settings("saga-operator.monitor.create=false").monitor is None


@pytest.mark.parametrize(
    ("field", "complaint"),
    [("staleAfter=soon", "staleAfter"), ("stalAfter=5m", "stalAfter"), ("maxPerSweep=0", "maxPerSweep")],
)
def test_a_sagamonitor_that_the_api_server_would_refuse_is_refused_at_once(
    field: str, complaint: str
) -> None:
    with pytest.raises(RenderingError, match=complaint):
        render(OPERATOR, None, f"monitor.spec.{field}")


def test_the_operator_may_make_a_monitor_only_where_it_has_to() -> None:
    objects = render(UMBRELLA)
    assert rights(objects, "shop-saga-operator") == {
        "sagamonitors": {"get", "list", "watch", "patch"},
        "sagamonitors/status": {"get", "patch"},
        "events": {"create"},
        "services": {"get"},
    }
    assert rights(objects, "shop-saga-operator-monitor") == {
        "sagamonitors": {"create"},
        "deployments": {"get"},
    }
    assert rights(objects, "shop-saga-operator-checks") == {"pods": {"list"}}
    none = render(UMBRELLA, None, "saga-operator.monitor.create=false")
    assert "shop-saga-operator-monitor" not in {one["metadata"]["name"] for one in of_kind(none, "Role")}


@pytest.mark.parametrize("values", [(), ("sagactl.check.arguments={--since,26h}",)])
def test_the_operator_finds_the_pods_of_the_check_and_reads_their_last_words(values: tuple[str, ...]) -> None:
    objects = render(UMBRELLA, None, "sagactl.check.enabled=true", *values)
    job = named(objects, "CronJob", "shop-check")["spec"]["jobTemplate"]["spec"]["template"]
    assert job["metadata"]["labels"][CHECKS_LABEL] == settings().order_service == "shop-order"
    [container] = job["spec"]["containers"]
    # Where Kubernetes looks for it, unless it is told another place.
    assert "terminationMessagePath" not in container
    at = container["command"].index("--last-words")
    assert container["command"][at + 1] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert job["spec"]["automountServiceAccountToken"] is False
    understood(container["command"][1:])


def test_a_check_counts_for_longer_than_the_chart_lets_pass_between_two() -> None:
    chart = yaml.safe_load((UMBRELLA / "values.yaml").read_text())
    minute, *rest = chart["sagactl"]["check"]["schedule"].split()
    assert (minute.isdigit(), rest) == (True, ["*"] * 4), "every hour"
    definition = yaml.safe_load((OPERATOR / "files" / "sagamonitors.yaml").read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert parse_duration(spec["checkedWithin"]["default"]) == CHECKED_WITHIN > timedelta(hours=2)


def test_an_operator_has_rights_in_the_namespaces_that_it_is_to_watch_and_in_no_others() -> None:
    watched = "saga-operator.watchNamespaces[0]=market", "saga-operator.watchNamespaces[1]=bazaar"
    objects = render(UMBRELLA, None, *watched)
    operator = named(objects, "Deployment", "shop-saga-operator")["spec"]["template"]
    assert environment(operator)["WATCH_NAMESPACE"] == "market,bazaar"
    for kind in ("Role", "RoleBinding"):
        own, there = (
            named(objects, kind, "shop-saga-operator"),
            named(objects, kind, "market-shop-saga-operator"),
        )
        assert own["metadata"]["namespace"] == "market"
        assert there["metadata"]["namespace"] == "bazaar"
        assert there.get("rules") == own.get("rules")
    assert there["subjects"] == [
        {"kind": "ServiceAccount", "name": "shop-saga-operator", "namespace": "market"}
    ]
    assert not [
        role for role in of_kind(objects, "ClusterRole") if role["metadata"]["name"].endswith("saga-operator")
    ]


def test_who_kills_pods_may_do_so_in_its_own_namespace_and_nothing_else() -> None:
    objects = render(UMBRELLA, LOAD)
    bound = [
        found
        for found in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        if any(subject["name"] == "shop-faults" for subject in found["subjects"])
    ]
    assert [(found["kind"], found["roleRef"]["name"]) for found in bound] == [("RoleBinding", "shop-faults")]
    rules = named(objects, "Role", "shop-faults")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]}]
    pod = named(objects, "Deployment", "shop-faults")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "shop-faults"
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    [container] = pod["containers"]
    killed = {value for option, value in pairwise(container["command"]) if option == "--chart"}
    deployed = [found["spec"]["selector"]["matchLabels"] for found in of_kind(objects, "Deployment")]
    assert killed <= {selected["app.kubernetes.io/name"] for selected in deployed}


def test_a_default_release_has_no_rights_in_the_whole_cluster_but_for_reviewing_tokens() -> None:
    objects = render(UMBRELLA, None, "saga-operator.rbac.aggregate=false")
    assert [role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")] == [
        f"{NAMESPACE}-shop-order-tokenreview"
    ]


def test_the_clusters_own_roles_see_and_change_sagamonitors() -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(render(OPERATOR), "ClusterRole")}
    view, edit = (roles[f"{NAMESPACE}-shop-saga-operator-{name}"] for name in ("view", "edit"))
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    for role, whose in ((view, {"view", "edit", "admin"}), (edit, {"edit", "admin"})):
        labels = role["metadata"]["labels"]
        assert {label.removeprefix(aggregate) for label in labels if label.startswith(aggregate)} == whose
    [rule] = view["rules"]
    assert {"get", "list", "watch"} == set(rule["verbs"])


def test_the_definition_is_an_object_of_the_release_that_outlives_it() -> None:
    [found] = of_kind(render(UMBRELLA), "CustomResourceDefinition")
    assert found["spec"] == CRD["spec"]
    assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert int(found["metadata"]["labels"]["sagashop.io/schema"]) >= 1
    [gone] = of_kind(render(UMBRELLA, None, "saga-operator.crds.keep=false"), "CustomResourceDefinition")
    assert "annotations" not in gone["metadata"]
    assert not of_kind(render(UMBRELLA, None, "saga-operator.crds.enabled=false"), "CustomResourceDefinition")


def unexplained(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    if "description" not in schema:
        yield path
    for name, part in schema.get("properties", {}).items():
        yield from unexplained(part, f"{path}.{name}")
    if "items" in schema:
        yield from unexplained(schema["items"], f"{path}[]")


def test_kubectl_explains_every_field() -> None:
    assert list(unexplained(SCHEMA)) == [".metadata"]  # the API server's own


def test_the_chart_can_be_read_by_those_who_apply_the_definition_themselves() -> None:
    """A plain file, for `kubectl apply --server-side --filename`."""
    assert yaml.safe_load((OPERATOR / "files/sagamonitors.yaml").read_text())["kind"] == CRD["kind"]


@pytest.mark.parametrize("sample", sorted(ROOT.glob("k8s/samples/*.yaml")), ids=lambda file: file.stem)
def test_the_sample_sagamonitors_are_served_by_the_release_that_they_are_for(sample: Path) -> None:
    owner = Owner("shop", NAMESPACE, settings().order_service)
    for found in yaml.safe_load_all(sample.read_text()):
        if found["kind"] == "SagaMonitor":
            metadata = {"namespace": NAMESPACE, "uid": "u", "generation": 1, **found["metadata"]}
            assert owner.serves(Monitor.of({**found, "metadata": metadata}))
