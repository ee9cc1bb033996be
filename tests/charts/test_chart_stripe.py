"""Where Stripe takes the money, its key, its secret and the way to it are there; and nowhere else."""

from typing import Any

import pytest

from tests.charts.rendering import SERVICES, UMBRELLA, named, render

STRIPE = (
    "payment.env.PAYMENT_GATEWAY=stripe",
    "global.stripe.existingSecret=stripe",
    "global.stripe.returnUrl=https://tea.example/paid",
)
CHECKS = ("sagactl.toolbox.enabled=true", "sagactl.check.enabled=true")
WAY = {"ports": [{"port": 443, "protocol": "TCP"}]}


def pod(kind: str, name: str, *settings: str) -> dict[str, Any]:
    spec = named(render(UMBRELLA, None, *settings), kind, f"shop-{name}")["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    found: dict[str, Any] = spec["template"]["spec"]
    return found


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}


def secrets(pod: dict[str, Any]) -> list[tuple[str, bool, list[str]]]:
    """Of Stripe: name, whether it may be missing, and its files."""
    (volume,) = (each for each in pod["volumes"] if each["name"] == "settings")
    sources = (each["secret"] for each in volume["projected"]["sources"] if "secret" in each)
    return [
        (each["name"], each.get("optional", False), [item["path"] for item in each["items"]])
        for each in sources
        if "stripe" in each["name"]
    ]


def egress(name: str, *settings: str) -> list[Any]:
    policy = named(render(UMBRELLA, None, *settings), "NetworkPolicy", f"shop-{name}")
    rules: list[Any] = policy["spec"]["egress"]
    return rules


def test_payment_is_told_of_stripe_and_may_reach_it() -> None:
    payment = pod("Deployment", "payment", *STRIPE)
    assert environment(payment)["STRIPE_RETURN_URL"] == "https://tea.example/paid"
    assert secrets(payment) == [
        ("stripe", False, ["STRIPE_API_KEY", "PAYMENT_WEBHOOK_SECRET"]),
        ("stripe", True, ["PAYMENT_WEBHOOK_SECRET_OTHER"]),
    ]
    assert [rule for rule in egress("payment", *STRIPE) if rule not in egress("payment")] == [WAY]


def test_who_checks_the_books_reads_at_stripe_with_a_key_of_its_own_if_there_is_one() -> None:
    own = "global.stripe.readingSecret=stripe-reads"
    for kind, name in (("Deployment", "sagactl"), ("CronJob", "check")):
        assert environment(pod(kind, name, *STRIPE, *CHECKS))["PAYMENT_GATEWAY"] == "stripe"
        assert secrets(pod(kind, name, *STRIPE, *CHECKS)) == [("stripe", False, ["STRIPE_API_KEY"])]
        assert secrets(pod(kind, name, *STRIPE, *CHECKS, own)) == [
            ("stripe-reads", False, ["STRIPE_API_KEY"])
        ]
        opened = egress(name, *STRIPE, *CHECKS)
        assert [rule for rule in opened if rule not in egress(name, *CHECKS)] == [WAY]


def test_a_check_has_room_on_disk_for_what_stripe_did() -> None:
    for kind, name in (("Deployment", "sagactl"), ("CronJob", "check")):
        with_, without = pod(kind, name, *STRIPE, *CHECKS), pod(kind, name, *CHECKS)
        assert {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}} in with_["volumes"]
        assert {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}} in without["volumes"]


def test_the_console_asks_stripe_with_the_key_that_reads_and_nothing_else() -> None:
    given = (*STRIPE, "global.console.enabled=true", "console.env.PAYMENT_GATEWAY=stripe")
    console = pod("Deployment", "console", *given)
    assert environment(console)["PAYMENT_GATEWAY"] == "stripe"
    assert "STRIPE_RETURN_URL" not in environment(console)
    assert secrets(console) == [("stripe", False, ["STRIPE_API_KEY"])]
    own = pod("Deployment", "console", *given, "global.stripe.readingSecret=stripe-reads")
    assert secrets(own) == [("stripe-reads", False, ["STRIPE_API_KEY"])]
    opened = egress("console", *given)
    assert [rule for rule in opened if rule not in egress("console", given[-2])] == [WAY]


def test_stripe_may_be_behind_a_proxy() -> None:
    peer = "global.stripe.to[0].ipBlock.cidr=198.51.100.7/32"
    opened = egress("payment", *STRIPE, peer)
    assert [rule for rule in opened if rule not in egress("payment")] == [
        {**WAY, "to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}]}
    ]


@pytest.mark.parametrize("service", sorted({*SERVICES} - {"payment"}))
def test_who_takes_no_money_is_told_nothing_of_it(service: str) -> None:
    assert "STRIPE_RETURN_URL" not in environment(pod("Deployment", service, *STRIPE))
    assert secrets(pod("Deployment", service, *STRIPE)) == []
    assert egress(service, *STRIPE) == egress(service)


def test_with_another_gateway_nobody_may_reach_stripe() -> None:
    given = (*STRIPE[1:], *CHECKS)
    assert secrets(pod("Deployment", "payment", *given)) == []
    assert "PAYMENT_GATEWAY" not in environment(pod("Deployment", "sagactl", *given))
    assert egress("payment", *given) == egress("payment", *CHECKS)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (STRIPE[:2], "returnUrl to where customers come back"),
        ((STRIPE[0], STRIPE[2]), "a Secret with STRIPE_API_KEY"),
        ((*STRIPE[:2], "global.stripe.returnUrl=tea.example"), "returnUrl"),
        (("payment.env.PAYMENT_GATEWAY=pigs",), "is `pigs`: there are `mock` and `stripe`"),
        ((*STRIPE, "global.console.enabled=true"), "set console.env.PAYMENT_GATEWAY to payment's, `stripe`"),
    ],
)
def test_what_cannot_work_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        render(UMBRELLA, None, *settings)
