"""The fulfilment service in the chart: nothing of it, unless it is asked for; and then as the others."""

from typing import Final

import pytest

from tests.charts.rendering import RELEASE, UMBRELLA, named, pods, render

ON: Final = "global.fulfilment.enabled=true"
NAME: Final = f"{RELEASE}-fulfilment"
SERVERS: Final = ("mongodb", "rabbitmq", "redis")


def test_as_it_comes_the_chart_has_no_such_service_and_nobody_knows_of_one() -> None:
    objects = render(UMBRELLA)
    assert [each["metadata"]["name"] for each in objects if "fulfilment" in each["metadata"]["name"]] == []
    for name in ("gateway", "redis", "rabbitmq-provision", "mongodb-provision"):
        assert "fulfilment" not in str(named(objects, "Deployment", f"{RELEASE}-{name}")).lower()


@pytest.mark.parametrize("server", SERVERS)
def test_where_it_is_on_it_has_a_user_of_its_own_on_every_server(server: str) -> None:
    objects = render(UMBRELLA, None, ON)
    secret = named(objects, "Secret", f"{RELEASE}-{server}-fulfilment")["stringData"]
    assert secret["username"] == "fulfilment"
    # By this the provisioner knows that it runs, and binds its queue.
    maker = "redis" if server == "redis" else f"{server}-provision"
    assert f"{RELEASE}-{server}-fulfilment" in str(named(objects, "Deployment", f"{RELEASE}-{maker}"))


def test_the_gateway_leads_to_it() -> None:
    objects = render(UMBRELLA, None, ON)
    (gateway,) = dict(pods(objects))[f"Deployment/{RELEASE}-gateway"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in gateway["env"]}
    assert environment["FULFILMENT_URL"] == f"http://{NAME}:3009"
    callers = named(objects, "NetworkPolicy", NAME)["spec"]["ingress"]
    assert "'gateway'" in str(callers)
    called = named(objects, "NetworkPolicy", f"{RELEASE}-gateway")["spec"]["egress"]
    assert any(
        "fulfilment" in str(rule["to"]) and "3009" in str(rule["ports"]) for rule in called if "to" in rule
    )
    (container,) = dict(pods(objects))[f"Deployment/{NAME}"]["spec"]["containers"]
    assert container["image"].startswith("sagashop/fulfilment:")
