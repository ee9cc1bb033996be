"""What charts render to, as a whole, and what they refuse."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from dev.helm import RenderingError, run_helm
from dev.ports import OPTIONAL
from dev.ports import SERVICES as PORTS
from dev.scraping import DETAILED
from tests.charts.rendering import (
    ALONE,
    CASES,
    CHARTS,
    LOAD,
    NAMES,
    NAMESPACE,
    SERVICES,
    UMBRELLA,
    containers,
    named,
    notes,
    of_kind,
    render,
)

every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
PRODUCTION = UMBRELLA / "ci/production-values.yaml"
# Production, but that no money moves.
PLAYED = ("payment.env.PAYMENT_GATEWAY=mock", "payment.allowMockBehindIngress=true")
STRIPE = (
    "payment.env.PAYMENT_GATEWAY=stripe",
    "global.stripe.existingSecret=stripe",
    "global.stripe.returnUrl=https://shop.example.com/paid",
)
MINIMAL = UMBRELLA / "ci/minimal-values.yaml"


@every_case
def test_no_object_comes_twice_and_each_says_what_it_belongs_to(chart: Path, values: Path | None) -> None:
    seen = set()
    for found in render(chart, values):
        identity = (found["kind"], found["metadata"]["name"])
        assert identity not in seen
        seen.add(identity)
        assert found["metadata"].get("namespace", NAMESPACE) == NAMESPACE
        if found["kind"] != "CustomResourceDefinition":
            labels = found["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "sagashop"
            for name in ("name", "instance", "component", "version", "managed-by"):
                assert labels[f"app.kubernetes.io/{name}"]
            assert labels["helm.sh/chart"]


@pytest.mark.parametrize("chart", [*ALONE, UMBRELLA], ids=lambda chart: chart.name)
def test_helm_lint_has_nothing_to_say(chart: Path) -> None:
    said = run_helm("lint", "--strict", chart)
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("chart", [*ALONE, UMBRELLA], ids=lambda chart: chart.name)
def test_a_value_that_no_chart_knows_is_refused(chart: Path) -> None:
    with pytest.raises(RenderingError, match="replicaCuont"):
        render(chart, None, "replicaCuont=3")


def test_a_misspelt_value_of_a_service_is_refused_by_the_umbrella_too() -> None:
    with pytest.raises(RenderingError, match="replicaCuont"):
        render(UMBRELLA, None, "order.replicaCuont=3")


def test_a_service_listens_at_the_same_port_in_a_cluster_and_on_a_machine() -> None:
    objects = render(UMBRELLA)
    ports = {name: named(objects, "Service", f"shop-{name}")["spec"]["ports"][0]["port"] for name in SERVICES}
    assert ports == PORTS


def test_the_umbrella_names_every_chart_beside_it_with_a_condition_and_links_to_it() -> None:
    dependencies = yaml.safe_load((UMBRELLA / "Chart.yaml").read_text())["dependencies"]
    charts = {file.parent.name for file in CHARTS.glob("*/Chart.yaml")}
    assert {one["name"] for one in dependencies} == charts - {"sagashop"}
    for one in dependencies:
        assert (UMBRELLA / "charts" / one["name"]).readlink().as_posix() == f"../../{one['name']}"
        if one["name"] != "service":
            # Those who make users for what a shop may do without have to know of it, too.
            known = "global." if one["name"] in {"console", *OPTIONAL} else ""
            assert one["condition"] == f"{known}{one['name']}.enabled"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_switched_off_leaves_nothing_behind(service: str) -> None:
    objects = render(UMBRELLA, None, f"{service}.enabled=false")
    labels = [found["metadata"].get("labels", {}) for found in objects]
    assert service not in {each.get("app.kubernetes.io/name") for each in labels}


def test_extra_environment_wins_by_name_and_may_come_from_a_secret() -> None:
    objects = render(
        CHARTS / "order",
        None,
        "extraEnv[0].name=LOG_LEVEL",
        "extraEnv[0].value=debug",
        "extraEnv[1].name=EXTRA",
        "extraEnv[1].valueFrom.secretKeyRef.name=s",
        "extraEnv[1].valueFrom.secretKeyRef.key=k",
    )
    [container] = named(objects, "Deployment", "shop-order")["spec"]["template"]["spec"]["containers"]
    assert [entry for entry in container["env"] if entry["name"] in {"LOG_LEVEL", "EXTRA"}] == [
        {"name": "EXTRA", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "LOG_LEVEL", "value": "debug"},
    ]


def test_extra_environment_that_names_a_variable_twice_is_refused() -> None:
    with pytest.raises(RenderingError, match="extraEnv names A twice"):
        render(CHARTS / "order", None, "extraEnv[0].name=A", "extraEnv[1].name=A")


def test_where_an_autoscaler_decides_the_deployment_says_nothing_of_replicas() -> None:
    objects = render(UMBRELLA, PRODUCTION)
    scalers = of_kind(objects, "HorizontalPodAutoscaler")
    scaled = {found["spec"]["scaleTargetRef"]["name"] for found in scalers}
    assert scaled == {f"shop-{name}" for name in SERVICES if name != "notification"}
    for found in of_kind(objects, "Deployment"):
        assert ("replicas" not in found["spec"]) == (found["metadata"]["name"] in scaled)


def test_a_service_that_is_to_have_no_pods_has_none_whatever_an_autoscaler_would_do() -> None:
    """As docs/operations.md restores a copy: nobody writes to the databases meanwhile."""
    objects = render(UMBRELLA, PRODUCTION, *(f"{name}.replicaCount=0" for name in SERVICES))
    assert not of_kind(objects, "HorizontalPodAutoscaler")
    for name in SERVICES:
        assert named(objects, "Deployment", f"shop-{name}")["spec"]["replicas"] == 0
    budgets = {found["metadata"]["name"] for found in of_kind(objects, "PodDisruptionBudget")}
    assert budgets == {"shop-mongodb", "shop-rabbitmq"}


def test_only_what_has_several_replicas_has_a_disruption_budget() -> None:
    def budgets(values: Path | None = None) -> set[str]:
        return {
            found["metadata"]["name"] for found in of_kind(render(UMBRELLA, values), "PodDisruptionBudget")
        }

    assert budgets() == {"shop-mongodb"}
    assert budgets(PRODUCTION) == {f"shop-{name}" for name in (*SERVICES, "mongodb", "rabbitmq")}
    assert budgets(MINIMAL) == set()


def test_metrics_are_scraped_from_all_services_the_operator_and_the_broker_when_asked() -> None:
    assert not of_kind(render(UMBRELLA), "ServiceMonitor", "PodMonitor")
    objects = render(UMBRELLA, PRODUCTION)
    for found in of_kind(objects, "ServiceMonitor", "PodMonitor"):
        assert found["metadata"]["labels"]["release"] == "prometheus"
        endpoints = found["spec"].get("endpoints") or found["spec"]["podMetricsEndpoints"]
        assert endpoints[0]["path"] == "/metrics"
        if found["kind"] == "ServiceMonitor":
            ports = named(objects, "Service", found["metadata"]["name"])["spec"]["ports"]
        else:
            pod = named(objects, "Deployment", found["metadata"]["name"])["spec"]["template"]
            ports = pod["spec"]["containers"][0]["ports"]
        assert {endpoint["port"] for endpoint in endpoints} <= {port["name"] for port in ports}
    assert {found["metadata"]["name"] for found in of_kind(objects, "ServiceMonitor")} == {"shop-rabbitmq"}
    assert {found["metadata"]["name"] for found in of_kind(objects, "PodMonitor")} == {
        f"shop-{name}" for name in (*SERVICES, "saga-operator")
    }


def test_the_broker_is_asked_for_its_sums_and_queue_by_queue() -> None:
    monitor = named(render(UMBRELLA, PRODUCTION), "ServiceMonitor", "shop-rabbitmq")
    assert monitor["spec"]["endpoints"] == [
        {"port": "metrics", "path": "/metrics", "interval": "30s"},
        {"port": "metrics", "path": "/metrics/detailed", "params": DETAILED, "interval": "30s"},
    ]


def test_metrics_of_services_are_on_a_port_that_no_service_object_has() -> None:
    objects = render(UMBRELLA, PRODUCTION)
    for name in SERVICES:
        [container] = named(objects, "Deployment", f"shop-{name}")["spec"]["template"]["spec"]["containers"]
        [port] = [each["containerPort"] for each in container["ports"] if each["name"] == "metrics"]
        assert {"name": "METRICS_PORT", "value": str(port)} in container["env"]
        assert [each["name"] for each in named(objects, "Service", f"shop-{name}")["spec"]["ports"]] == [
            "http"
        ]


def test_the_gateway_believes_the_proxies_that_it_is_told_of() -> None:
    def trusted(*settings: str) -> str:
        gateway = named(render(CHARTS / "gateway", None, *settings), "Deployment", "shop-gateway")
        [container] = gateway["spec"]["template"]["spec"]["containers"]
        [value] = [each["value"] for each in container["env"] if each["name"] == "TRUSTED_PROXIES"]
        return str(value)

    assert trusted() == ""
    assert (
        trusted("trustedProxies[0]=10.244.0.0/16", "trustedProxies[1]=fd00::/8") == "10.244.0.0/16,fd00::/8"
    )
    assert trusted("trustedProxies[0]=none") == ""


def test_who_is_reached_from_outside_the_cluster_hears_the_address_of_the_caller() -> None:
    for kind, policy in (("ClusterIP", None), ("NodePort", "Local"), ("LoadBalancer", "Local")):
        service = named(render(CHARTS / "gateway", None, f"expose.type={kind}"), "Service", "shop-gateway")
        assert service["spec"].get("externalTrafficPolicy") == policy


def test_the_shop_is_reached_over_tls_where_a_certificate_is_given() -> None:
    [ingress] = of_kind(render(UMBRELLA, PRODUCTION), "Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"] == {
        "name": "shop-gateway",
        "port": {"name": "http"},
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["jaeger.enabled=false"], "there is no Jaeger"),
        (
            ["redis.enabled=false"],
            "redis: there is none for gateway: set global.redis.existingSecrets.gateway",
        ),
        (["mongodb.enabled=false"], "nobody makes the user"),
        (["rabbitmq.external.enabled=true", "rabbitmq.external.host=x"], "nobody makes the user"),
        (["gateway.ingress.enabled=true", "gateway.trustedProxies[0]=none"], "ingress.host is needed"),
        (["gateway.ingress.enabled=true", "gateway.ingress.host=x.example"], "trustedProxies is needed"),
        (["gateway.httpRoute.enabled=true"], "trustedProxies is needed with an HTTPRoute"),
        (
            [
                "gateway.httpRoute.enabled=true",
                "gateway.trustedProxies[0]=none",
                "payment.allowMockBehindIngress=true",
            ],
            "httpRoute.parentRefs is needed",
        ),
        (
            [
                "gateway.ingress.enabled=true",
                "gateway.ingress.host=x.example",
                "gateway.trustedProxies[0]=none",
            ],
            "ingress.tlsSecret is needed for TLS",
        ),
        (["global.tracing.endpoint=http://collector:4318"], "global.tracing.endpoint: outside of the shop"),
        (["payment.env.PAYMENT_GATEWAY="], "payment.env.PAYMENT_GATEWAY is needed: `mock` is"),
        (
            [
                "gateway.ingress.enabled=true",
                "gateway.ingress.host=x.example",
                "gateway.ingress.certificate=controller",
                "gateway.trustedProxies[0]=none",
            ],
            "set payment.allowMockBehindIngress if that is meant",
        ),
        (["load.enabled=true", "gateway.enabled=false"], "load.enabled: it orders as customers do"),
        (
            ["load.enabled=true", *STRIPE],
            "load.enabled: its orders would be charged for",
        ),
        (["load.enabled=true", "auth.secondFactor.required=true"], "load.enabled: .* no second factor"),
        (["faults.enabled=true"], "without orders nothing is seen of faults: set load.enabled"),
        (
            ["faults.enabled=true", "load.enabled=true", "gateway.expose.type=LoadBalancer"],
            "customers come to this shop from outside",
        ),
        (["load.enabled=true", "load.rate=0"], "load.rate: .*must be greater than 0|exclusiveMinimum"),
        (
            ["faults.enabled=true", *STRIPE],
            "faults.enabled: .* this shop takes money .payment.env.PAYMENT_GATEWAY is `stripe`",
        ),
        (
            [
                *("load.enabled=true", "faults.enabled=true", "faults.charts={jaeger}"),
                *("jaeger.enabled=false", "global.tracing.enabled=false"),
            ],
            "faults.charts: this release has no pods of jaeger",
        ),
        (
            ["order.autoscaling.enabled=true", "order.autoscaling.minReplicas=7"],
            r"order: autoscaling.minReplicas \(7\) is more than autoscaling.maxReplicas \(6\)",
        ),
        (
            ["order.drain.preStopSeconds=45"],
            r"order: drain.preStopSeconds \(45\) is all of drain.terminationGracePeriodSeconds \(45\)",
        ),
        (
            ["monitoring.rules.enabled=true", "monitoring.rules.disabled={SagashopRedisGone}"],
            "monitoring.rules: there is no alert SagashopRedisGone: docs/runbooks has a page of each",
        ),
        (
            ["monitoring.rules.enabled=true", "monitoring.rules.severities.SagashopRedisGone=page"],
            "monitoring.rules: there is no alert SagashopRedisGone",
        ),
    ],
    ids=[
        *("traces", "cache", "database", "broker", "ingress", "proxies", "proxies of a route"),
        *("gateways", "certificate", "egress", "no gateway", "mock"),
        *(
            "load without a door",
            "load that costs money",
            "load without a second factor",
            "unseen faults",
            "faults for customers",
            "no load",
            "faults that cost money",
            "faults of nobody",
            "fewest above most",
            "no time to finish",
            "an alert that is not there",
            "a severity of none",
        ),
    ],
)
def test_values_that_cannot_work_are_refused_with_advice(settings: list[str], complaint: str) -> None:
    with pytest.raises(RenderingError, match=complaint):
        render(UMBRELLA, None, *settings)


@pytest.mark.parametrize("more", [(), (*PLAYED, "load.enabled=true")], ids=["as it is", "on trial"])
def test_faults_are_refused_in_production(more: tuple[str, ...]) -> None:
    with pytest.raises(RenderingError, match="customers come to this shop from outside"):
        render(UMBRELLA, PRODUCTION, *more, "faults.enabled=true")


def test_nobody_waits_for_pods_to_kill_that_a_release_does_not_have() -> None:
    def hurt(*settings: str) -> list[str]:
        [container] = containers(
            named(render(UMBRELLA, LOAD, *settings), "Deployment", "shop-faults")["spec"]["template"]
        )
        command: list[str] = container["command"]
        return [chart for flag, chart in pairwise(command) if flag == "--chart"]

    everybody = hurt()
    assert {"redis", "saga-operator", *SERVICES} - {"fulfilment"} == {*everybody}
    without = hurt("saga-operator.enabled=false", "notification.replicaCount=0")
    assert without == [chart for chart in everybody if chart not in {"saga-operator", "notification"}]


def test_the_notes_say_what_to_do_next() -> None:
    said = notes(values=PRODUCTION)
    assert "helm test shop --namespace market" in said
    assert "https://shop.example.com/" in said
    assert "get sagamonitors" in said
    assert "No money moves" not in said
    assert "No money moves" in notes(*PLAYED, values=PRODUCTION)


@pytest.mark.parametrize("required", ["true", "false"])
def test_a_second_factor_is_required_where_the_values_say_so(required: str) -> None:
    objects = render(UMBRELLA, None, f"auth.secondFactor.required={required}")
    [container] = named(objects, "Deployment", "shop-auth")["spec"]["template"]["spec"]["containers"]
    assert {"name": "REQUIRE_TOTP", "value": required} in container["env"]
