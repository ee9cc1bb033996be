"""Mail is off as it comes; with a server, its address, its Secrets and the way to it are there."""

from typing import Any

import pytest

from tests.charts.rendering import CHARTS, named, render

CHART = CHARTS / "notification"
NAME = "shop-notification"
SENDS = ("smtp.url=smtp+starttls://me@mail.example", "mail.from=Tea <orders@tea.example>")


def environment(*settings: str) -> dict[str, str]:
    (container,) = pod(*settings)["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def pod(*settings: str) -> dict[str, Any]:
    found: dict[str, Any] = named(render(CHART, None, *settings), "Deployment", NAME)["spec"]["template"][
        "spec"
    ]
    return found


def secrets(*settings: str) -> dict[str, list[str]]:
    (volume,) = (each for each in pod(*settings)["volumes"] if each["name"] == "settings")
    sources = (each["secret"] for each in volume["projected"]["sources"] if "secret" in each)
    return {each["name"]: [item["path"] for item in each["items"]] for each in sources}


def egress(*settings: str) -> list[Any]:
    policy = named(render(CHART, None, *settings), "NetworkPolicy", NAME)
    rules: list[Any] = policy["spec"]["egress"]
    return rules


def test_as_it_comes_no_mail_is_sent_and_nobody_may_be_asked_to() -> None:
    assert environment()["SMTP_URL"] == ""
    assert all("to" in rule or {each["port"] for each in rule["ports"]} == {53} for rule in egress())
    assert not [name for name in secrets() if not name or "smtp" in name]


def test_what_is_said_of_mail_reaches_the_service() -> None:
    found = environment(*SENDS, "mail.replyTo=help@tea.example", "mail.locale=de-AT")
    assert {name: value for name, value in found.items() if name.startswith(("SMTP", "MAIL"))} == {
        "SMTP_URL": "smtp+starttls://me@mail.example",
        "SMTP_CA_FILE": "",
        "MAIL_FROM": "Tea <orders@tea.example>",
        "MAIL_REPLY_TO": "help@tea.example",
        "MAIL_LOCALE": "de-AT",
    }


def test_password_and_authorities_come_from_secrets() -> None:
    given = (*SENDS, "smtp.existingSecret=relay", "smtp.caSecret=relay-ca")
    found = secrets(*given)
    assert (found["relay"], found["relay-ca"]) == (["SMTP_PASSWORD"], ["smtp-ca.crt"])
    assert environment(*given)["SMTP_CA_FILE"] == "/var/run/secrets/sagashop.io/settings/smtp-ca.crt"


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("smtp://mail.example", 25),
        ("smtp+starttls://mail.example", 587),
        ("smtps://me@mail.example", 465),
        ("smtps://me@mail.example:4650/", 4650),
        ("smtp://[fd00::1]:2525", 2525),
    ],
)
def test_the_port_of_the_server_is_open_and_no_other(url: str, port: int) -> None:
    added = [rule for rule in egress(f"smtp.url={url}", SENDS[1]) if rule not in egress()]
    assert added == [{"ports": [{"port": port, "protocol": "TCP"}]}]


def test_a_server_in_the_cluster_is_named_by_its_pods() -> None:
    peer = "smtp.to[0].podSelector.matchLabels.app=relay"
    (rule,) = (rule for rule in egress(*SENDS, peer) if rule not in egress())
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app": "relay"}}}]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("smtp.url=smtp://mail.example",), "mail.from is needed"),
        (("smtp.url=http://mail.example", SENDS[1]), "smtp.url|/smtp/url"),
        (("mail.locale=klingon",), "mail.locale|/mail/locale"),
    ],
)
def test_what_cannot_work_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        render(CHART, None, *settings)
