"""NetworkPolicies say what the design says: one public door, and nobody talks to whom he need not talk to."""

from pathlib import Path
from typing import Any

import pytest

from services.shared.contract.events import ENGINES
from tests.charts.rendering import (
    CASES,
    LOAD,
    NAMES,
    SERVICES,
    UMBRELLA,
    named,
    of_kind,
    pods,
    render,
    selects,
)

every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)
DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
API = {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}
PORTS = {"mongodb": 27017, "rabbitmq": 5672, "redis": 6379}
# Who calls whom by HTTP, and which servers each uses: the architecture, in one table.
CALLS = {
    "gateway": {"auth", "order", "product", "inventory", "payment", "notification"},
    "order": {"auth", "product"},
    "product": {"auth", "inventory"},
    "inventory": {"auth"},
    "payment": {"auth"},
    "notification": {"auth"},
    "fulfilment": {"auth"},
    "auth": set(),
}
USES = {
    "gateway": {"redis"},
    "auth": {"mongodb"},
    **{name: set(PORTS) for name in ENGINES},
}


def allows(
    objects: tuple[dict[str, Any], ...], source: dict[str, str], target: dict[str, str], port: int
) -> bool:
    """Tell whether both sides let a pod with the labels `source` connect to one with `target`."""

    def open_at(direction: str, peers: str, here: dict[str, str], there: dict[str, str]) -> bool:
        rules = [
            rule
            for policy in of_kind(objects, "NetworkPolicy")
            if selects(policy["spec"]["podSelector"], here)
            and direction.title() in policy["spec"]["policyTypes"]
            for rule in policy["spec"].get(direction) or ()
        ]
        return any(
            any(one["port"] == port for one in rule["ports"])
            and (
                peers not in rule
                or any(
                    "namespaceSelector" not in one and selects(one.get("podSelector", {}), there)
                    for one in rule[peers]
                )
            )
            for rule in rules
        )

    return open_at("egress", "to", source, target) and open_at("ingress", "from", target, source)


def labels_of(objects: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, str]:
    found: dict[str, str] = named(objects, kind, name)["spec"]["template"]["metadata"]["labels"]
    return found


@every_case
def test_every_pod_is_under_a_policy_for_both_directions(chart: Path, values: Path | None) -> None:
    objects = render(chart, values)
    for name, pod in pods(objects):
        types = {
            direction
            for policy in of_kind(objects, "NetworkPolicy")
            if selects(policy["spec"]["podSelector"], pod["metadata"]["labels"])
            for direction in policy["spec"]["policyTypes"]
        }
        assert types == {"Ingress", "Egress"}, name


@every_case
def test_only_the_gateway_is_open_to_everybody(chart: Path, values: Path | None) -> None:
    for policy in of_kind(render(chart, values), "NetworkPolicy"):
        public = any("from" not in rule for rule in policy["spec"].get("ingress") or ())
        assert public == (policy["metadata"]["name"] == "shop-gateway")


ASKS_THE_API = {"shop-console", "shop-faults", "shop-order", "shop-saga-operator"}


@every_case
def test_egress_names_a_peer_or_is_for_names_and_the_api_server(chart: Path, values: Path | None) -> None:
    for policy in of_kind(render(chart, values), "NetworkPolicy"):
        for rule in policy["spec"].get("egress") or ():
            assert "to" in rule or rule in (DNS, API), policy["metadata"]["name"]
            if rule == API:
                assert policy["metadata"]["name"] in ASKS_THE_API


@pytest.mark.parametrize("caller", SERVICES)
@pytest.mark.parametrize("callee", SERVICES)
def test_a_service_reaches_those_it_calls_and_no_others(caller: str, callee: str) -> None:
    objects = render(UMBRELLA)
    source, target = (labels_of(objects, "Deployment", f"shop-{name}") for name in (caller, callee))
    service = named(objects, "Service", f"shop-{callee}")
    [port] = service["spec"]["ports"]
    assert port["name"] == "http"
    assert selects({"matchLabels": service["spec"]["selector"]}, target)
    assert allows(objects, source, target, port["port"]) == (callee in CALLS[caller])


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("server", PORTS)
def test_a_service_reaches_the_servers_it_uses_and_no_others(service: str, server: str) -> None:
    objects = render(UMBRELLA)
    target = labels_of(objects, "Deployment" if server == "redis" else "StatefulSet", f"shop-{server}")
    source = labels_of(objects, "Deployment", f"shop-{service}")
    assert allows(objects, source, target, PORTS[server]) == (server in USES[service])


def test_the_operator_reaches_the_order_service_and_nothing_else_of_the_shop() -> None:
    objects = render(UMBRELLA)
    operator = labels_of(objects, "Deployment", "shop-saga-operator")
    for name in SERVICES:
        [port] = named(objects, "Service", f"shop-{name}")["spec"]["ports"]
        reached = allows(objects, operator, labels_of(objects, "Deployment", f"shop-{name}"), port["port"])
        assert reached == (name == "order")


def test_the_console_reaches_every_service_and_none_reaches_it() -> None:
    objects = render(UMBRELLA, None, "global.console.enabled=true", "global.fulfilment.enabled=true")
    console = labels_of(objects, "Deployment", "shop-console")
    for name in (*SERVICES, "fulfilment"):
        [port] = named(objects, "Service", f"shop-{name}")["spec"]["ports"]
        there = labels_of(objects, "Deployment", f"shop-{name}")
        assert allows(objects, console, there, port["port"]), name
        assert not allows(objects, there, console, 3008), name


def test_what_makes_users_reaches_its_server() -> None:
    objects = render(UMBRELLA)
    for server, port in (("mongodb", 27017), ("rabbitmq", 15672)):
        maker = labels_of(objects, "Deployment", f"shop-{server}-provision")
        assert allows(objects, maker, labels_of(objects, "StatefulSet", f"shop-{server}"), port)


def test_the_toolbox_reaches_the_servers_and_no_service_but_the_gateway() -> None:
    objects = render(UMBRELLA, None, "sagactl.toolbox.enabled=true")
    toolbox = labels_of(objects, "Deployment", "shop-sagactl")
    for server, ports in (("mongodb", [27017]), ("rabbitmq", [5672, 15672])):
        target = labels_of(objects, "StatefulSet", f"shop-{server}")
        assert all(allows(objects, toolbox, target, port) for port in ports)
    for service in SERVICES:
        [port] = named(objects, "Service", f"shop-{service}")["spec"]["ports"]
        reached = allows(objects, toolbox, labels_of(objects, "Deployment", f"shop-{service}"), port["port"])
        assert reached == (service == "gateway")


def test_the_check_by_the_clock_reaches_the_servers_and_no_service() -> None:
    objects = render(UMBRELLA, None, "sagactl.check.enabled=true")
    job = named(objects, "CronJob", "shop-check")["spec"]["jobTemplate"]["spec"]
    check = job["template"]["metadata"]["labels"]
    for server, ports in (("mongodb", [27017]), ("rabbitmq", [5672, 15672])):
        target = labels_of(objects, "StatefulSet", f"shop-{server}")
        assert all(allows(objects, check, target, port) for port in ports)
    for service in SERVICES:
        [port] = named(objects, "Service", f"shop-{service}")["spec"]["ports"]
        assert not allows(objects, check, labels_of(objects, "Deployment", f"shop-{service}"), port["port"])
    [container] = job["template"]["spec"]["containers"]
    assert container["command"] == ["sagactl", "check", "--live", "--last-words", "/dev/termination-log"]
    assert not of_kind(render(UMBRELLA), "CronJob")


def test_the_members_of_a_server_reach_each_other() -> None:
    objects = render(UMBRELLA)
    for server, ports in (("mongodb", [27017]), ("rabbitmq", [4369, 25672])):
        member = labels_of(objects, "StatefulSet", f"shop-{server}")
        assert all(allows(objects, member, member, port) for port in ports)


def test_the_smoke_test_reaches_the_front_door_only() -> None:
    objects = render(UMBRELLA)
    smoke = named(objects, "Pod", "shop-smoke")["metadata"]["labels"]
    assert allows(objects, smoke, labels_of(objects, "Deployment", "shop-gateway"), 3003)
    assert not allows(objects, smoke, labels_of(objects, "Deployment", "shop-order"), 3002)


def test_the_load_generator_reaches_the_front_door_only_and_the_verdict_it_and_the_books() -> None:
    objects = render(UMBRELLA, LOAD)
    load = labels_of(objects, "Deployment", "shop-load")
    verdict = named(objects, "Pod", "shop-verdict")["metadata"]["labels"]
    smoke = named(objects, "Pod", "shop-smoke")["metadata"]["labels"]
    assert allows(objects, verdict, load, 9090)
    assert not allows(objects, smoke, load, 9090)
    for server, ports in (("mongodb", [27017]), ("rabbitmq", [5672, 15672])):
        target = labels_of(objects, "StatefulSet", f"shop-{server}")
        assert all(allows(objects, verdict, target, port) for port in ports)
        assert not any(allows(objects, load, target, port) for port in ports)
    for service in SERVICES:
        [port] = named(objects, "Service", f"shop-{service}")["spec"]["ports"]
        target = labels_of(objects, "Deployment", f"shop-{service}")
        assert allows(objects, load, target, port["port"]) == (service == "gateway")
        assert not allows(objects, verdict, target, port["port"])


@pytest.mark.parametrize("settings", [(), ("global.metrics.from=null",)], ids=["default", "nobody scrapes"])
def test_nothing_in_a_policy_is_empty(settings: tuple[str, ...]) -> None:
    """The API server drops what is, and each time that it is applied again it is a change."""
    for found in of_kind(render(UMBRELLA, None, *settings), "NetworkPolicy"):
        assert all(found["spec"].values()), found["metadata"]["name"]


def test_policies_can_be_switched_off() -> None:
    assert not of_kind(render(UMBRELLA, None, "global.networkPolicy.enabled=false"), "NetworkPolicy")
