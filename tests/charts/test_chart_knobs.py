"""What others' clusters ask of a chart: names, labels, doors and objects of their own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.helm import RenderingError
from tests.charts.rendering import (
    CASES,
    CHARTS,
    DEFAULT,
    GITOPS,
    NAMES,
    NAMESPACE,
    RELEASE,
    SERVICES,
    TOOLS,
    UMBRELLA,
    containers,
    environment,
    named,
    notes,
    of_kind,
    pods,
    render,
    selects,
)

SERVERS = ("jaeger", "mongodb", "rabbitmq", "redis")
INGRESS = (
    *("ingress.enabled=true", "ingress.host=shop.example", "trustedProxies[0]=none"),
    *("ingress.moreHosts[0].host=shop.test", "ingress.tlsSecret=shop-tls"),
)

# A namespace that the operator watches, too.
ELSEWHERE = "other"
# Whatever is rendered only when it is asked for.
EVERYTHING: dict[Path, tuple[str, ...]] = {
    UMBRELLA: (
        *(
            "load.enabled=true",
            # Load is refused where its orders would be charged for.
            "payment.env.PAYMENT_GATEWAY=mock",
            "payment.allowMockBehindIngress=true",
            "sagactl.toolbox.enabled=true",
            "sagactl.check.enabled=true",
            "global.metrics.enabled=true",
        ),
        *("monitoring.rules.enabled=true", "monitoring.dashboards.enabled=true"),
        *(f"saga-operator.watchNamespaces[0]={ELSEWHERE}", "order.autoscaling.enabled=true"),
    ),
    CHARTS / "gateway": (
        *("httpRoute.enabled=true", "httpRoute.parentRefs[0].name=public", "trustedProxies[0]=none"),
    ),
}
OF_THE_CLUSTER = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def described(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, metadata) of an object, and of the jobs and pods that are made of it.

    Volumes are left out: a StatefulSet's never change.
    """
    place: str | None = found["kind"]
    while place:
        yield place, found["metadata"]
        spec = found.get("spec", {})
        place = next((key for key in ("jobTemplate", "template") if key in spec), None)
        found = spec[place] if place else {}


def with_values(directory: Path, **values: Any) -> tuple[dict[str, Any], ...]:
    file = directory / "values.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(DEFAULT.read_text()), **values}))
    return render(UMBRELLA, file)


def test_names_of_objects_may_begin_with_something_else_than_the_releases_name() -> None:
    given = render(UMBRELLA, None, "global.nameOverride=store", "sagactl.toolbox.enabled=true")
    as_it_comes = render(UMBRELLA, None, "sagactl.toolbox.enabled=true")

    def names(objects: tuple[dict[str, Any], ...]) -> list[tuple[str, str]]:
        return sorted(
            (found["kind"], found["metadata"]["name"].rstrip("0123456789abcdef")) for found in objects
        )

    assert names(given) == sorted(
        (kind, name.replace("shop-", "store-")) for kind, name in names(as_it_comes)
    )
    # Whatever names another object does so by its new name. The release itself is still called shop.
    assert "shop-" not in json.dumps(given).replace("sagashop-", "").replace("stored-", "")


@pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
def test_every_object_says_its_namespace_which_may_be_another_than_the_releases(
    chart: Path, values: Path | None
) -> None:
    objects = render(chart, values, *EVERYTHING.get(chart, ()), "global.namespaceOverride=bazaar")
    for found in objects:
        of_the_cluster = found["kind"] in OF_THE_CLUSTER
        wanted = {None} if of_the_cluster else {"bazaar", ELSEWHERE}
        assert found["metadata"].get("namespace") in wanted, found["metadata"]
    # Nor does a name, an address, a policy, a right or a setting speak of the release's own.
    assert NAMESPACE not in json.dumps(objects)


def test_but_for_its_namespace_a_release_elsewhere_is_the_same() -> None:
    here = render(UMBRELLA, GITOPS, *EVERYTHING[UMBRELLA])
    there = render(UMBRELLA, GITOPS, *EVERYTHING[UMBRELLA], "global.namespaceOverride=bazaar")
    assert json.loads(json.dumps(here).replace(NAMESPACE, "bazaar")) == list(there)


def test_the_notes_lead_to_the_namespace_of_the_objects_and_the_test_to_the_releases() -> None:
    said = notes("global.namespaceOverride=bazaar")
    assert "is installed in the namespace bazaar" in said
    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in said
    assert set(re.findall(r"kubectl --namespace (\S+)", said)) == {"bazaar"}


@pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
def test_all_objects_and_pods_have_the_common_annotations_beside_their_own(
    chart: Path, values: Path | None
) -> None:
    common = "global.commonAnnotations.owner=checkout"
    given = render(chart, values, *EVERYTHING.get(chart, ()), common)
    as_it_comes = render(chart, values, *EVERYTHING.get(chart, ()))
    for before, found in zip(as_it_comes, given, strict=True):
        own = {place: metadata.get("annotations", {}) for place, metadata in described(before)}
        for place, metadata in described(found):
            assert metadata["annotations"] == own[place] | {"owner": "checkout"}, (metadata, place)


def test_an_objects_own_annotation_wins_over_the_common_one() -> None:
    own = "gateway.expose.annotations.owner=edge", "gateway.podAnnotations.owner=door"
    objects = render(UMBRELLA, None, "global.commonAnnotations.owner=checkout", *own)
    assert named(objects, "Service", "shop-gateway")["metadata"]["annotations"] == {"owner": "edge"}
    deployment = named(objects, "Deployment", "shop-gateway")
    assert deployment["metadata"]["annotations"] == {"owner": "checkout"}
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"owner": "door"}


def test_all_objects_and_pods_have_the_common_labels_and_no_selector_does() -> None:
    objects = render(UMBRELLA, None, *EVERYTHING[UMBRELLA], "global.commonLabels.team=checkout")
    for found in objects:
        for place, metadata in described(found):
            assert metadata["labels"]["team"] == "checkout", (metadata, place)
    for found in of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"):
        assert "team" not in json.dumps(found["spec"].get("selector", found["spec"].get("podSelector", {})))


def test_a_common_label_that_pods_are_selected_by_is_refused() -> None:
    with pytest.raises(RenderingError, match=r"invalid propertyName 'app\.kubernetes\.io/name'"):
        render(UMBRELLA, None, r"global.commonLabels.app\.kubernetes\.io/name=x")


def test_objects_of_ones_own_are_templates(tmp_path: Path) -> None:
    own = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-own"},
        "data": {"order": '{{ include "sagashop.url" (list . "order") }}'},
    }
    found = named(with_values(tmp_path, extraObjects=[own]), "ConfigMap", "shop-own")
    assert found["data"] == {"order": "http://shop-order:3002"}


@pytest.mark.parametrize("chart", SERVERS)
def test_a_server_takes_what_a_service_takes(chart: str, tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "podLabels": {"sidecar": "no"},
        "podAnnotations": {"note": "x"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraVolumes": [{"name": "own", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
        "networkPolicy": {"extraIngress": [{"ports": [{"port": 1}]}]},
    }
    objects = with_values(tmp_path, **{chart: own})
    [pod] = [pod for owner, pod in pods(objects) if owner.endswith(f"/shop-{chart}")]
    [container] = pod["spec"]["containers"]
    assert pod["metadata"]["labels"].items() >= own["podLabels"].items()
    assert pod["metadata"]["annotations"].items() >= own["podAnnotations"].items()
    for key, where in (("extraEnv", container["env"]), ("extraVolumeMounts", container["volumeMounts"])):
        assert own[key][0] in where
    assert own["extraVolumes"][0] in pod["spec"]["volumes"]
    assert (
        own["networkPolicy"]["extraIngress"][0]
        in named(objects, "NetworkPolicy", f"shop-{chart}")["spec"]["ingress"]
    )


def test_every_pod_of_the_tools_takes_variables_and_volumes(tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "extraVolumes": [{"name": "own", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
    }
    switches = {"toolbox": {"enabled": True}, "check": {"enabled": True}}
    objects = with_values(tmp_path, sagactl=own | switches, load={"enabled": True}, faults={"enabled": True})
    check = named(objects, "CronJob", "shop-check")["spec"]["jobTemplate"]["spec"]["template"]
    tools = [pod for owner, pod in pods(objects) if owner.partition("/")[2] in TOOLS]
    assert len(tools) == len(TOOLS)
    for pod in (*tools, check):
        [container] = pod["spec"]["containers"]
        assert own["extraEnv"][0] in container["env"]
        assert own["extraVolumeMounts"][0] in container["volumeMounts"]
        assert own["extraVolumes"][0] in pod["spec"]["volumes"]


def test_an_autoscaler_goes_by_other_metrics_where_it_is_told_to(tmp_path: Path) -> None:
    memory = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}}
    slowly = {"scaleDown": {"stabilizationWindowSeconds": 600}}
    scaling = {"enabled": True, "metrics": [memory], "behavior": slowly}
    objects = with_values(tmp_path, order={"autoscaling": scaling}, auth={"autoscaling": {"enabled": True}})
    spec = named(objects, "HorizontalPodAutoscaler", "shop-order")["spec"]
    assert (spec["metrics"], spec["behavior"]) == ([memory], slowly)
    other = named(objects, "HorizontalPodAutoscaler", "shop-auth")["spec"]
    assert [metric["resource"]["name"] for metric in other["metrics"]] == ["cpu"]
    assert "behavior" not in other


def test_keda_scales_by_its_triggers_in_place_of_an_autoscaler_of_ours(tmp_path: Path) -> None:
    queue = {"type": "rabbitmq", "metadata": {"queueName": "orders", "mode": "QueueLength", "value": "200"}}
    slowly = {"scaleDown": {"stabilizationWindowSeconds": 600}}
    scaling = {"enabled": True, "minReplicas": 3, "triggers": [queue], "behavior": slowly}
    objects = with_values(
        tmp_path, order={"autoscaling": scaling}, auth={"autoscaling": {"triggers": [queue]}}
    )
    assert named(objects, "ScaledObject", "shop-order")["spec"] == {
        "scaleTargetRef": {"name": "shop-order"},
        "minReplicaCount": 3,
        "maxReplicaCount": 6,
        "triggers": [queue],
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": slowly}},
    }
    kinds = {each["kind"] for each in objects}
    assert "HorizontalPodAutoscaler" not in kinds
    # Not switched on.
    assert sum(each["kind"] == "ScaledObject" for each in objects) == 1


def test_a_service_may_prefer_pods_that_are_near() -> None:
    objects = render(UMBRELLA, None, "order.expose.trafficDistribution=PreferClose")
    assert named(objects, "Service", "shop-order")["spec"]["trafficDistribution"] == "PreferClose"
    assert "trafficDistribution" not in named(objects, "Service", "shop-auth")["spec"]


def test_every_monitor_relabels_as_it_is_told_to(tmp_path: Path) -> None:
    cluster = {"targetLabel": "cluster", "replacement": "east"}
    dropped = {"action": "labeldrop", "regex": "pod"}
    told = {"enabled": True, "relabelings": [cluster], "metricRelabelings": [dropped]}
    monitors = of_kind(with_values(tmp_path, **{"global": {"metrics": told}}), "ServiceMonitor", "PodMonitor")
    assert len(monitors) > len(SERVICES)
    for monitor in monitors:
        for endpoint in monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]:
            assert (endpoint["relabelings"], endpoint["metricRelabelings"]) == ([cluster], [dropped])


def test_names_may_be_asked_for_at_another_port() -> None:
    settings = "global.networkPolicy.dnsPorts={53,5353}", "load.enabled=true"
    for policy in of_kind(render(UMBRELLA, None, *settings), "NetworkPolicy"):
        for rule in policy["spec"].get("egress") or ():
            ports = {(port["port"], port["protocol"]) for port in rule["ports"]}
            asked = {port for port, _ in ports} & {53, 5353}
            assert not asked or ports == {(port, by) for port in (53, 5353) for by in ("UDP", "TCP")}


def test_the_operator_takes_volumes(tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "extraVolumes": [{"name": "own", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "own", "mountPath": "/own"}],
    }
    operator = named(with_values(tmp_path, **{"saga-operator": own}), "Deployment", "shop-saga-operator")
    pod = operator["spec"]["template"]["spec"]
    assert own["extraVolumes"][0] in pod["volumes"]
    assert own["extraVolumeMounts"][0] in pod["containers"][0]["volumeMounts"]


def test_several_hosts_have_a_certificate_each_or_one_for_all() -> None:
    own = "ingress.moreHosts[1].host=shop.other", "ingress.moreHosts[1].tlsSecret=other-tls"
    [ingress] = of_kind(render(CHARTS / "gateway", None, *INGRESS, *own), "Ingress")
    assert ingress["spec"]["tls"] == [
        {"hosts": ["shop.example"], "secretName": "shop-tls"},
        {"hosts": ["shop.test"], "secretName": "shop-tls"},
        {"hosts": ["shop.other"], "secretName": "other-tls"},
    ]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["shop.example", "shop.test", "shop.other"]
    backends = [rule["http"]["paths"][0]["backend"]["service"] for rule in ingress["spec"]["rules"]]
    assert backends == 3 * [{"name": "shop-gateway", "port": {"name": "http"}}]


@pytest.mark.parametrize(
    ("certificate", "tls"),
    [("controller", [{"hosts": ["shop.example"]}, {"hosts": ["shop.test"]}]), ("elsewhere", None)],
)
def test_the_certificate_may_be_the_controllers_or_elsewhere(certificate: str, tls: object) -> None:
    [ingress] = of_kind(
        render(CHARTS / "gateway", None, *INGRESS, f"ingress.certificate={certificate}"), "Ingress"
    )
    assert ingress["spec"].get("tls") == tls


def test_a_route_of_the_gateway_api_leads_to_the_shop() -> None:
    settings = "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=public", "trustedProxies[0]=none"
    hosts = "httpRoute.hostnames[0]=shop.example"
    [route] = of_kind(render(CHARTS / "gateway", None, *settings, hosts), "HTTPRoute")
    assert route["spec"] == {
        "parentRefs": [{"name": "public"}],
        "hostnames": ["shop.example"],
        "rules": [{"backendRefs": [{"name": "shop-gateway", "port": 3003}]}],
    }


def test_on_a_cluster_of_ipv6_alone_nothing_listens_on_ipv4() -> None:
    def told(*settings: str) -> str:
        return json.dumps([pod["spec"] for _, pod in pods(render(UMBRELLA, None, *settings))])

    objects = render(UMBRELLA, None, "global.ipv6=true")
    assert "0.0.0.0" in told()  # noqa: S104 - what is looked for
    assert "0.0.0.0" not in json.dumps(objects)  # noqa: S104 - what is looked for
    services = (*SERVICES, "saga-operator")
    deployed = (named(objects, "Deployment", f"shop-{name}")["spec"]["template"] for name in services)
    assert {environment(pod)["HOST"] for pod in deployed} == {"::"}
    assert (
        "--ipv6" in containers(named(objects, "StatefulSet", "shop-mongodb")["spec"]["template"])[-1]["args"]
    )
    broker = environment(named(objects, "StatefulSet", "shop-rabbitmq")["spec"]["template"])
    assert broker["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] == "-proto_dist inet6_tcp"


def test_a_namespace_for_monitoring_reaches_the_ports_of_metrics_and_nothing_else() -> None:
    objects = render(UMBRELLA)
    there = {"kubernetes.io/metadata.name": "monitoring"}
    metrics = {
        found["metadata"]["name"]: {
            port["containerPort"]
            for container in found["spec"]["template"]["spec"]["containers"]
            for port in container.get("ports", ())
            if port["name"] == "metrics"
        }
        for found in of_kind(objects, "Deployment", "StatefulSet")
    }
    for policy in of_kind(objects, "NetworkPolicy"):
        opened = {
            port["port"]
            for rule in policy["spec"].get("ingress") or ()
            for peer in rule.get("from", ())
            if "namespaceSelector" in peer and selects(peer["namespaceSelector"], there)
            for port in rule["ports"]
        }
        assert opened == metrics.get(policy["metadata"]["name"], set()), policy["metadata"]["name"]
    # Peers without a namespaceSelector are of the shop's own namespace, whatever that is called.
    assert NAMESPACE != "monitoring"
