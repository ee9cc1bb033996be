"""Mail is off as it comes; with a server, its address, its Secrets and the way to it are there."""

from typing import Any

import pytest

from tests.charts.rendering import SERVICES, UMBRELLA, named, render

SENDS = ("global.smtp.url=smtp+starttls://me@mail.example", "global.mail.from=Tea <orders@tea.example>")
# Who writes to customers: of accounts, and of orders.
each_writer = pytest.mark.parametrize("writer", WRITERS := ("auth", "notification"))


def environment(service: str, *settings: str) -> dict[str, str]:
    """What it is told of mail."""
    (container,) = pod(service, *settings)["containers"]
    told = {each["name"]: each.get("value", "") for each in container["env"]}
    return {name: value for name, value in told.items() if name.startswith(("SMTP_", "MAIL_"))}


def pod(service: str, *settings: str) -> dict[str, Any]:
    deployment = named(render(UMBRELLA, None, *settings), "Deployment", f"shop-{service}")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def secrets(service: str, *settings: str) -> dict[str, list[str]]:
    (volume,) = (each for each in pod(service, *settings)["volumes"] if each["name"] == "settings")
    sources = (each["secret"] for each in volume["projected"]["sources"] if "secret" in each)
    return {each["name"]: [item["path"] for item in each["items"]] for each in sources}


def egress(service: str, *settings: str) -> list[Any]:
    policy = named(render(UMBRELLA, None, *settings), "NetworkPolicy", f"shop-{service}")
    rules: list[Any] = policy["spec"]["egress"]
    return rules


@each_writer
def test_as_it_comes_no_mail_is_sent_and_nobody_may_be_asked_to(writer: str) -> None:
    assert environment(writer) == {}
    assert all("to" in rule or {each["port"] for each in rule["ports"]} == {53} for rule in egress(writer))
    assert not [name for name in secrets(writer) if not name or "smtp" in name]


@pytest.mark.parametrize("service", sorted({*SERVICES} - {*WRITERS}))
def test_who_does_not_write_is_told_nothing_of_it(service: str) -> None:
    given = (*SENDS, "global.smtp.existingSecret=relay")
    assert environment(service, *given) == {}
    assert secrets(service, *given) == secrets(service)
    assert egress(service, *given) == egress(service)


@each_writer
def test_what_is_said_of_mail_reaches_the_service(writer: str) -> None:
    found = environment(writer, *SENDS, "global.mail.replyTo=help@tea.example", "global.mail.locale=de-AT")
    assert found == {
        "SMTP_URL": "smtp+starttls://me@mail.example",
        "MAIL_FROM": "Tea <orders@tea.example>",
        "MAIL_REPLY_TO": "help@tea.example",
        "MAIL_LOCALE": "de-AT",
    }


@each_writer
def test_password_and_authorities_come_from_secrets(writer: str) -> None:
    given = (*SENDS, "global.smtp.existingSecret=relay", "global.smtp.caSecret=relay-ca")
    found = secrets(writer, *given)
    assert (found["relay"], found["relay-ca"]) == (["SMTP_PASSWORD"], ["smtp-ca.crt"])
    file = environment(writer, *given)["SMTP_CA_FILE"]
    assert file == "/var/run/secrets/sagashop.io/settings/smtp-ca.crt"


@each_writer
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
def test_the_port_of_the_server_is_open_and_no_other(writer: str, url: str, port: int) -> None:
    opened = egress(writer, f"global.smtp.url={url}", SENDS[1])
    assert [rule for rule in opened if rule not in egress(writer)] == [
        {"ports": [{"port": port, "protocol": "TCP"}]}
    ]


@each_writer
def test_a_server_in_the_cluster_is_named_by_its_pods(writer: str) -> None:
    peer = "global.smtp.to[0].podSelector.matchLabels.app=relay"
    (rule,) = (rule for rule in egress(writer, *SENDS, peer) if rule not in egress(writer))
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app": "relay"}}}]


def test_letters_lead_to_the_pages_of_the_shop() -> None:
    page = "https://shop.example/verify#{token}"
    (container,) = pod("auth", f"auth.pages.verify={page.replace('{', chr(92) + '{')}")["containers"]
    told = {each["name"]: each.get("value", "") for each in container["env"]}
    assert (told["VERIFY_URL"], told["RESET_URL"]) == (page, "")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("global.smtp.url=smtp://mail.example",), "mail.from is needed"),
        (("global.smtp.url=http://mail.example", SENDS[1]), "smtp.url|/smtp/url"),
        (("global.mail.locale=klingon",), "mail.locale|/mail/locale"),
        (("auth.pages.verify=https://shop.example/verify",), "pages.verify|/pages/verify"),
    ],
)
def test_what_cannot_work_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        render(UMBRELLA, None, *settings)
