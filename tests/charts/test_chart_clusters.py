"""Clusters of other people: long names, tainted nodes, an umbrella around ours, other registries."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.helm import RenderingError, run_helm
from dev.release import current
from tests.charts.rendering import (
    CASES,
    CHARTS,
    DEFAULT,
    NAMES,
    NAMESPACE,
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
)

every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
PRODUCTION = UMBRELLA / "ci/production-values.yaml"
LONGEST = 53  # what Helm allows
TAINTED = {"key": "dedicated", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}
# Kinds whose names are DNS labels; a Pod's name is that of its owner and up to 17 more characters.
AT_MOST = {"Service": 63, "StatefulSet": 52, "Deployment": 46 + 17}


def render_as(release: str, *settings: str, namespace: str = NAMESPACE) -> tuple[dict[str, Any], ...]:
    options: list[str | Path] = ["--namespace", namespace, "--values", DEFAULT, "--kube-version", "1.34.0"]
    text = run_helm("template", release, UMBRELLA, *options, *(f"--set={setting}" for setting in settings))
    return tuple(found for found in yaml.load_all(text, yaml.CSafeLoader) if found)


def texts(found: Any, path: str = "") -> Iterator[str]:
    """Yield where there are texts in an object."""
    match found:
        case dict():
            for key, value in found.items():
                yield from texts(value, f"{path}/{key}")
        case list():
            for number, value in enumerate(found):
                yield from texts(value, f"{path}/{number}")
        case str():
            yield path


@pytest.mark.parametrize("word", ["on", "null", "no"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(word: str) -> None:
    """Of a release, and a namespace may have one of digits alone."""
    settings = ("load.enabled=true", "faults.enabled=true", "sagactl.toolbox.enabled=true")
    usual = render_as("shop", *settings)
    for release, namespace in ((word, NAMESPACE), ("shop", "2026")):
        others = render_as(release, *settings, namespace=namespace)
        for expected, found in zip(usual, others, strict=True):
            assert [*texts(found)] == [*texts(expected)], (release, namespace, found["metadata"])


@pytest.mark.parametrize("length", [30, 35, 36, 41, LONGEST])
def test_a_release_may_have_as_long_a_name_as_helm_allows(length: int) -> None:
    release = ("abcdefghi-" * 6)[:length].rstrip("-").ljust(length, "x")
    objects = render_as(release, "sagactl.toolbox.enabled=true")
    identities = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(identities) == len(set(identities))
    assert len(objects) == len(render(UMBRELLA, None, "sagactl.toolbox.enabled=true"))
    for kind, name in identities:
        assert len(name) <= AT_MOST.get(kind, 253), (kind, name)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name), name
    for found in objects:
        for value in found["metadata"].get("labels", {}).values():
            assert len(value) <= 63
    accounts = {found["metadata"]["name"] for found in of_kind(objects, "ServiceAccount")}
    secrets = {found["metadata"]["name"] for found in of_kind(objects, "Secret")}
    for name, pod in pods(objects):
        assert pod["spec"]["serviceAccountName"] in accounts, name
        for volume in pod["spec"]["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                assert "secret" not in source or source["secret"]["name"] in secrets, name
    [order] = [pod for name, pod in pods(objects) if name.endswith("-order")]
    [operator] = [pod for name, pod in pods(objects) if name.endswith("-saga-operator")]
    account = operator["spec"]["serviceAccountName"]
    assert environment(order)["OPERATOR_SUBJECTS"] == f"system:serviceaccount:{NAMESPACE}:{account}"


def test_two_long_names_that_begin_alike_share_no_object() -> None:
    begin = "a" * (LONGEST - 1)
    one, other = (
        {(found["kind"], found["metadata"]["name"]) for found in render_as(begin + end)} for end in "xy"
    )
    assert one & other == {("CustomResourceDefinition", "sagamonitors.sagashop.io")}


def test_one_value_lets_every_pod_run_on_tainted_nodes() -> None:
    given = [f"global.tolerations[0].{key}={value}" for key, value in TAINTED.items()]
    affinity = "global.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    given += [
        f"{affinity}[0].matchExpressions[0].key=pool",
        f"{affinity}[0].matchExpressions[0].operator=Exists",
        "global.nodeSelector.pool=shop",
        "global.priorityClassName=shop",
        "sagactl.toolbox.enabled=true",
    ]
    objects = render(UMBRELLA, None, *given)
    for name, pod in pods(objects):
        spec = pod["spec"]
        assert spec["tolerations"] == [TAINTED], name
        assert spec["nodeSelector"]["pool"] == "shop", name
        assert "nodeAffinity" in spec["affinity"], name
        assert spec["priorityClassName"] == "shop", name


@pytest.mark.parametrize("server", ["mongodb", "rabbitmq"])
def test_what_makes_a_servers_users_runs_where_the_server_may(server: str) -> None:
    given = [f"{server}.tolerations[0].{key}={value}" for key, value in TAINTED.items()]
    objects = render(UMBRELLA, None, *given, f"{server}.nodeSelector.pool=databases")
    here = {name: pod["spec"] for name, pod in pods(objects) if f"-{server}" in name}
    assert len(here) == 2
    for name, spec in here.items():
        assert spec["tolerations"] == [TAINTED], name
        assert spec["nodeSelector"]["pool"] == "databases", name


def test_the_test_and_the_toolbox_run_where_they_are_told_to() -> None:
    given = [f"sagactl.tolerations[0].{key}={value}" for key, value in TAINTED.items()]
    given += ["sagactl.nodeSelector.pool=tools", "sagactl.priorityClassName=low"]
    objects = render(
        UMBRELLA, None, "sagactl.toolbox.enabled=true", "load.enabled=true", "faults.enabled=true", *given
    )
    for name, pod in pods(objects):
        if name.removeprefix("Pod/").removeprefix("Deployment/") in TOOLS:
            assert pod["spec"]["tolerations"] == [TAINTED], name
            assert pod["spec"]["nodeSelector"]["pool"] == "tools", name
            assert pod["spec"]["priorityClassName"] == "low", name


@every_case
def test_pods_run_on_linux_alone_wherever_the_umbrella_is_used(chart: Path, values: Path | None) -> None:
    if chart == UMBRELLA:
        for name, pod in pods(render(chart, values)):
            assert pod["spec"]["nodeSelector"]["kubernetes.io/os"] == "linux", name


def test_a_drained_node_does_not_keep_replicas_from_running_on_the_others() -> None:
    for name, pod in pods(render(UMBRELLA, PRODUCTION)):
        for constraint in pod["spec"].get("topologySpreadConstraints", ()):
            assert constraint["nodeTaintsPolicy"] == "Honor", name
            if name.startswith("Deployment/"):
                assert constraint["matchLabelKeys"] == ["pod-template-hash"], name


def test_what_scales_by_cpu_asks_for_enough_of_it() -> None:
    """Of 50m seventy percent is what one customer uses."""
    objects = render(UMBRELLA, PRODUCTION)
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        pod = named(objects, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])["spec"]["template"]
        for container in containers(pod):
            assert int(container["resources"]["requests"]["cpu"].removesuffix("m")) >= 250


def test_in_production_a_server_is_promised_all_the_memory_that_it_may_take() -> None:
    for server in of_kind(render(UMBRELLA, PRODUCTION), "StatefulSet"):
        [container] = server["spec"]["template"]["spec"]["containers"]
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_an_umbrella_around_ours_may_have_globals_of_its_own() -> None:
    assert render(UMBRELLA, None, "global.cattle.clusterName=c", "global.env=prod")
    with pytest.raises(RenderingError, match="sampelRatio"):
        render(UMBRELLA, None, "global.tracing.sampelRatio=1")


def images(*settings: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return (image, pull policy) of the shop's own programs, and of the servers that others make."""
    found = [
        (name, container["image"], container["imagePullPolicy"])
        for name, pod in pods(render(UMBRELLA, None, "sagactl.toolbox.enabled=true", *settings))
        for container in containers(pod)
    ]
    servers = tuple(f"{kind}/shop-{name}" for kind, name in SERVERS)
    others = {(image, policy) for name, image, policy in found if name in servers}
    return {(image, policy) for name, image, policy in found if name not in servers}, others


SERVERS = (
    ("StatefulSet", "mongodb"),
    ("StatefulSet", "rabbitmq"),
    ("Deployment", "redis"),
    ("Deployment", "jaeger"),
)
OWN = {*SERVICES, "operator", "sagactl"}


def test_one_value_says_where_all_our_own_images_are() -> None:
    settings = ("registry=123.dkr.ecr.example/team", "tag=7.0.0", "pullPolicy=Always")
    ours, others = images(*(f"global.image.{setting}" for setting in settings))
    assert ours == {(f"123.dkr.ecr.example/team/sagashop/{name}:7.0.0", "Always") for name in OWN}
    assert {(image.split("/")[0], policy) for image, policy in others} == {("docker.io", "IfNotPresent")}


def test_without_a_registry_our_own_images_are_not_taken_from_somebody_on_docker_hub() -> None:
    ours, others = images()
    assert ours == {(f"sagashop/{name}:{current()}", "Never") for name in OWN}
    assert {policy for _, policy in others} == {"IfNotPresent"}
    ours, _ = images("order.image.registry=own.example", "auth.image.repository=own.example/auth")
    assert {policy for image, policy in ours if "own.example" in image} == {"IfNotPresent"}
    ours, _ = images("global.imageRegistry=mirror.example")
    assert {policy for _, policy in ours} == {"IfNotPresent"}


def test_a_mirror_of_all_registries_stands_beside_the_registry_of_our_own() -> None:
    ours, others = images("global.imageRegistry=mirror.example")
    assert {image.split("/")[0] for image, _ in ours | others} == {"mirror.example"}
    ours, others = images("global.imageRegistry=mirror.example", "global.image.registry=own.example")
    assert {image.split("/")[0] for image, _ in ours} == {"own.example"}
    assert {image.split("/")[0] for image, _ in others} == {"mirror.example"}


def test_what_an_image_says_itself_goes_before_what_all_say() -> None:
    settings = ("order.image.tag=patched", "order.image.pullPolicy=Never", "mongodb.provision.image.tag=mine")
    ours, _ = images("global.image.tag=7.0.0", *settings)
    tags = {image.rpartition("/")[2] for image, _ in ours}
    assert {"order:patched", "sagactl:mine", "sagactl:7.0.0", "payment:7.0.0"} <= tags
    assert {policy for image, policy in ours if "order:" in image} == {"Never"}


@pytest.mark.parametrize("form", ["global.imagePullSecrets[0]", "global.imagePullSecrets[0].name"])
def test_pull_secrets_are_named_in_either_form(form: str) -> None:
    for name, pod in pods(render(UMBRELLA, None, f"{form}=regcred", "sagactl.toolbox.enabled=true")):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "regcred"}], name


@pytest.mark.parametrize("value", ["false", "0.5"])
def test_a_setting_may_be_a_number_or_a_boolean(value: str) -> None:
    objects = render(UMBRELLA, None, f"gateway.env.RATE_LIMIT_ENABLED={value}")
    pod = named(objects, "Deployment", "shop-gateway")["spec"]["template"]
    assert environment(pod)["RATE_LIMIT_ENABLED"] == value


@pytest.mark.parametrize("field", ["podAnnotations", "podLabels"])
def test_what_the_api_server_wants_as_text_is_refused_as_a_number(field: str) -> None:
    with pytest.raises(RenderingError, match="want string"):
        render(CHARTS / "order", None, f"{field}.revision=7")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["gateway.expose.type=LoadBalancer"], "get service shop-gateway --output jsonpath"),
        (["gateway.expose.type=NodePort"], "nodePort"),
        ([], "port-forward service/shop-gateway"),
    ],
)
def test_the_notes_say_how_to_reach_the_shop_that_was_installed(settings: list[str], said: str) -> None:
    told = notes(*settings)
    assert said in told
    assert "describe pods" in told


def test_the_operator_takes_what_other_pods_take() -> None:
    objects = render(
        CHARTS / "saga-operator",
        None,
        "podLabels.team=shop",
        "podAnnotations.note=yes",
        "serviceAccount.annotations.role=arn",
        "extraEnv[0].name=HTTPS_PROXY",
        "extraEnv[0].value=http://proxy",
        "extraEnv[1].name=LOG_LEVEL",
        "extraEnv[1].value=debug",
    )
    pod = named(objects, "Deployment", "shop-saga-operator")["spec"]["template"]
    assert pod["metadata"]["labels"]["team"] == "shop"
    assert pod["metadata"]["annotations"] == {"note": "yes"}
    env = pod["spec"]["containers"][0]["env"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in env
    assert [one["value"] for one in env if one["name"] == "LOG_LEVEL"] == ["debug"]
    account = named(objects, "ServiceAccount", "shop-saga-operator")
    assert account["metadata"]["annotations"] == {"role": "arn"}


def test_an_operator_of_the_whole_cluster_may_be_let_into_other_shops() -> None:
    egress = "global.networkPolicy.externalEgress[0]"
    objects = render(
        UMBRELLA,
        None,
        "saga-operator.clusterWide=true",
        f"{egress}.to[0].namespaceSelector.matchLabels.shops=yes",
        f"{egress}.ports[0].port=3002",
    )
    policy = named(objects, "NetworkPolicy", "shop-saga-operator")["spec"]
    assert {
        "to": [{"namespaceSelector": {"matchLabels": {"shops": "yes"}}}],
        "ports": [{"port": 3002}],
    } in policy["egress"]
    role = named(objects, "ClusterRole", f"{NAMESPACE}-shop-saga-operator")
    assert {"sagamonitors", "namespaces"} <= {one for rule in role["rules"] for one in rule["resources"]}


def test_a_load_balancer_may_have_the_ports_and_the_limits_that_its_cloud_wants() -> None:
    objects = render(
        CHARTS / "gateway",
        None,
        "expose.type=LoadBalancer",
        "expose.morePorts[0]=80",
        "expose.loadBalancerClass=service.k8s.aws/nlb",
        "expose.loadBalancerSourceRanges[0]=203.0.113.0/24",
        "expose.ipFamilyPolicy=PreferDualStack",
    )
    spec = named(objects, "Service", "shop-gateway")["spec"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in spec["ports"]] == [
        ("http", 3003, "http"),
        ("http-80", 80, "http"),
    ]
    assert spec["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert spec["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert spec["ipFamilyPolicy"] == "PreferDualStack"
    plain = named(render(CHARTS / "gateway"), "Service", "shop-gateway")["spec"]
    assert not {"loadBalancerClass", "loadBalancerSourceRanges", "ipFamilyPolicy"} & plain.keys()


def test_the_api_server_may_be_on_another_port() -> None:
    """As on minikube (8443) and MicroK8s (16443)."""
    objects = render(UMBRELLA, None, "global.networkPolicy.apiServerPorts={443,16443}")
    for name in ("shop-order", "shop-saga-operator"):
        ports = [rule["ports"] for rule in named(objects, "NetworkPolicy", name)["spec"]["egress"]]
        assert [{"port": 443, "protocol": "TCP"}, {"port": 16443, "protocol": "TCP"}] in ports


def test_the_api_server_alone_may_be_reached_at_its_ports() -> None:
    addresses = "global.networkPolicy.apiServerCidrs={10.96.0.1/32,192.0.2.7/32}"
    wanted = {
        "to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}, {"ipBlock": {"cidr": "192.0.2.7/32"}}],
        "ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}],
    }
    objects = render(UMBRELLA, None, addresses)
    for name in ("shop-order", "shop-saga-operator"):
        assert wanted in named(objects, "NetworkPolicy", name)["spec"]["egress"]
