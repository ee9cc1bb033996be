"""Webhooks are off as they come; with a key, its Secret and the way to the world are there, and no other."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.charts.rendering import CHARTS, UMBRELLA, named, render
from tests.charts.test_chart_mail import egress, pod, secrets

SENDER = "notification"
KEYED = ("notification.webhooks.existingSecret=webhooks",)


def environment(*settings: str) -> dict[str, str]:
    (container,) = pod(SENDER, *settings)["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def to_the_world(*settings: str) -> list[Any]:
    """The peers of the rule that leads to addresses."""
    return [peer for rule in egress(SENDER, *settings) for peer in rule.get("to", ()) if "ipBlock" in peer]


def leads_to(address: str, peers: list[Any]) -> bool:
    where = ip_address(address)
    return any(
        where in ip_network(peer["ipBlock"]["cidr"])
        and not any(where in ip_network(each) for each in peer["ipBlock"].get("except", ()))
        for peer in peers
    )


def test_as_it_comes_there_are_no_webhooks_and_no_way_out() -> None:
    assert to_the_world() == []
    assert "webhooks" not in secrets(SENDER)


def test_with_a_key_the_world_can_be_reached_and_nothing_of_ours() -> None:
    assert secrets(SENDER, *KEYED)["webhooks"] == ["WEBHOOKS_KEY"]
    peers = to_the_world(*KEYED)
    for address in ("8.8.8.8", "93.184.216.34", "2606:4700::1111"):
        assert leads_to(address, peers), address
    for address in (
        "10.96.0.1",
        "192.168.1.1",
        "172.20.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "fd00::1",
        "::1",
    ):
        assert not leads_to(address, peers), address


def test_networks_of_our_own_are_allowed_by_the_service_and_on_the_way() -> None:
    given = (*KEYED, "notification.webhooks.allowNetworks={10.1.0.0/16,10.2.0.1,fd00::1}")
    assert environment(*given)["WEBHOOK_ALLOW_NETWORKS"] == "10.1.0.0/16,10.2.0.1,fd00::1"
    peers = to_the_world(*given)
    for address, there in {"10.1.2.3": True, "10.2.0.1": True, "10.2.0.2": False, "fd00::1": True}.items():
        assert leads_to(address, peers) == there, address


def test_authorities_and_the_source_reach_the_service() -> None:
    given = (
        *KEYED,
        "notification.webhooks.caSecret=ours",
        "notification.webhooks.source=https://shop.example/api",
    )
    assert secrets(SENDER, *given)["ours"] == ["webhook-ca.crt"]
    found = environment(*given)
    assert found["WEBHOOK_CA_FILE"] == "/var/run/secrets/sagashop.io/settings/webhook-ca.crt"
    assert found["WEBHOOK_SOURCE"] == "https://shop.example/api"


def test_the_gateway_leads_there() -> None:
    shop = render(UMBRELLA)
    policy = named(shop, "NetworkPolicy", f"shop-{SENDER}")["spec"]["ingress"]
    assert any("from" in rule and rule["ports"] == [{"port": 3007, "protocol": "TCP"}] for rule in policy)
    (container,) = named(shop, "Deployment", "shop-gateway")["spec"]["template"]["spec"]["containers"]
    urls = {each["name"]: each.get("value") for each in container["env"]}
    assert urls["NOTIFICATION_URL"] == "http://shop-notification:3007"


@pytest.mark.parametrize("wrong", ["webhooks.source=shop", "webhooks.allowNetworks={everywhere}"])
def test_what_would_not_work_is_refused(wrong: str) -> None:
    with pytest.raises(Exception, match="webhooks"):
        render(UMBRELLA, None, *KEYED, f"{SENDER}.{wrong}")


def test_the_charts_page_names_the_values() -> None:
    assert "`webhooks.existingSecret`" in (CHARTS / "notification" / "README.md").read_text()
