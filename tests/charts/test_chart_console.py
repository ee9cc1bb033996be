"""The console in the chart: nothing of it, unless it is asked for; and then with users of its own, alone."""

from typing import Any, Final

import pytest

from tests.charts.rendering import RELEASE, UMBRELLA, named, of_kind, pods, render

ON: Final = "global.console.enabled=true"
NAME: Final = f"{RELEASE}-console"
USERS: Final = {
    "mongodb": ["MONGODB_URL"],
    "rabbitmq": ["AMQP_URL", "MANAGEMENT_URL"],
    "redis": ["REDIS_URL"],
}


def pod() -> dict[str, Any]:
    return dict(pods(render(UMBRELLA, None, ON)))[f"Deployment/{NAME}"]


def test_as_it_comes_the_chart_has_no_console_and_no_user_for_one() -> None:
    names = [each["metadata"]["name"] for each in render(UMBRELLA)]
    assert [name for name in names if "console" in name] == []
    assert "console" not in str(named(render(UMBRELLA), "Deployment", f"{RELEASE}-redis"))
    assert "console" not in str(named(render(UMBRELLA), "Deployment", f"{RELEASE}-rabbitmq-provision"))


@pytest.mark.parametrize("server", USERS)
def test_where_it_is_on_it_has_a_user_of_its_own_on_every_server(server: str) -> None:
    secret = named(render(UMBRELLA, None, ON), "Secret", f"{RELEASE}-{server}-console")
    assert secret["stringData"].keys() >= {"username", "password", *USERS[server]}
    sources = next(
        each["projected"]["sources"] for each in pod()["spec"]["volumes"] if each["name"] == "settings"
    )
    items = {
        item["key"]
        for source in sources
        if source.get("secret", {}).get("name") == secret["metadata"]["name"]
        for item in source["secret"]["items"]
    }
    assert items == set(USERS[server])


@pytest.mark.parametrize("server", ["mongodb", "rabbitmq"])
def test_its_users_are_made_with_the_others(server: str) -> None:
    provision = named(render(UMBRELLA, None, ON), "Deployment", f"{RELEASE}-{server}-provision")
    assert f"{RELEASE}-{server}-console" in str(provision)


def test_redis_knows_the_user_and_has_its_password() -> None:
    redis = named(render(UMBRELLA, None, ON), "Deployment", f"{RELEASE}-redis")
    (container,) = redis["spec"]["template"]["spec"]["containers"]
    rules = [line for line in container["args"][0].splitlines() if line.startswith("console ")]
    assert len(rules) == 1
    assert "~console:*" in rules[0]
    assert f"{RELEASE}-redis-console" in str(redis["spec"]["template"]["spec"]["volumes"])


def test_it_is_called_by_no_pod_and_calls_whom_it_needs() -> None:
    objects = render(UMBRELLA, None, ON)
    policy = named(objects, "NetworkPolicy", NAME)["spec"]
    ports = [each["port"] for rule in policy.get("ingress", ()) for each in rule["ports"]]
    assert int(ports[0]) == 9090 if ports else True
    assert "3008" not in map(str, ports)
    broker = named(objects, "NetworkPolicy", f"{RELEASE}-rabbitmq")["spec"]["ingress"]
    assert any("console" in str(rule["from"]) and "15672" in str(rule["ports"]) for rule in broker)
    for service in ("auth", "product", "order", "inventory", "payment", "notification"):
        callers = named(objects, "NetworkPolicy", f"{RELEASE}-{service}")["spec"]["ingress"]
        assert "console" in str(callers)


def test_it_lists_the_sagamonitors_of_its_namespace_and_may_do_nothing_else_there() -> None:
    objects = render(UMBRELLA, None, ON)
    assert pod()["spec"]["automountServiceAccountToken"] is True
    account, role = pod()["spec"]["serviceAccountName"], f"{NAME}-monitors"
    roles = [
        each["metadata"]["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for each in of_kind(objects, kind)
        if account in [subject["name"] for subject in each["subjects"]]
    ]
    assert roles == [role]
    assert named(objects, "Role", role)["rules"] == [
        {"apiGroups": ["sagashop.io"], "resources": ["sagamonitors"], "verbs": ["list"]}
    ]
    without = render(UMBRELLA, None, ON, "console.kubernetesApi=false")
    assert [each for each in of_kind(without, "Role") if each["metadata"]["name"] == role] == []
    alone = dict(pods(without))[f"Deployment/{NAME}"]
    assert alone["spec"]["automountServiceAccountToken"] is False


def test_where_jaegers_pages_are_is_said_to_it_and_asked_by_nobody() -> None:
    values = (ON, "console.jaegerUrl=https://jaeger.example.com")
    [container] = dict(pods(render(UMBRELLA, None, *values)))[f"Deployment/{NAME}"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["JAEGER_URL"] == "https://jaeger.example.com"
    egress = named(render(UMBRELLA, None, *values), "NetworkPolicy", NAME)["spec"]["egress"]
    assert egress == named(render(UMBRELLA, None, ON), "NetworkPolicy", NAME)["spec"]["egress"]


def test_it_is_a_pod_like_the_others() -> None:
    (container,) = pod()["spec"]["containers"]
    assert container["image"].startswith("sagashop/console:")
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["AUTH_URL"] == f"http://{RELEASE}-auth:3001"
    assert environment["ORDER_URL"] == f"http://{RELEASE}-order:3002"
    assert environment["NOTIFICATION_URL"] == f"http://{RELEASE}-notification:3007"
    assert environment["INVENTORY_URL"] == f"http://{RELEASE}-inventory:3005"
    assert environment["PORT"] == "3008"
    assert environment["JAEGER_URL"] == ""
    assert [each["metadata"]["name"] for each in of_kind(render(UMBRELLA, None, ON), "Ingress")] == []
