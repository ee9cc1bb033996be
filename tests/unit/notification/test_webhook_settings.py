"""Webhooks are there with a key; and what is given has to be of use."""

import pytest
from pydantic import SecretStr, ValidationError

from services.notification.settings import NotificationSettings
from services.shared.sealing import CannotBeOpened

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_without_a_key_there_are_no_webhooks_and_with_several_the_first_seals() -> None:
    assert NotificationSettings().seals is None
    other = KEY.replace("AAEC", "AAED")
    both = NotificationSettings(webhooks_key=SecretStr(f"{other}, {KEY}")).seals
    assert both is not None
    sealed = both.seal(b"secret", "webhookEndpoints/1")
    alone = NotificationSettings(webhooks_key=SecretStr(other)).seals
    assert alone is not None
    assert alone.open(sealed, "webhookEndpoints/1") == b"secret"
    old = NotificationSettings(webhooks_key=SecretStr(KEY)).seals
    assert old is not None
    with pytest.raises(CannotBeOpened, match="a key that WEBHOOKS_KEY does not hold"):
        old.open(sealed, "webhookEndpoints/1")


def test_networks_are_separated_by_commas() -> None:
    found = NotificationSettings(webhook_allow_networks="10.1.0.0/16, 10.2.0.1,fd00::/8,")
    assert [str(each) for each in found.webhook_allow_networks] == ["10.1.0.0/16", "10.2.0.1/32", "fd00::/8"]


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("webhooks_key", "c2hvcnQ=", "32 random bytes"),
        ("webhook_allow_networks", "everywhere", "everywhere"),
        ("webhook_source", "shop.example", "pattern"),
        ("webhook_source", "", "at least 1"),
    ],
)
def test_what_is_no_key_network_or_source_is_refused(setting: str, value: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        NotificationSettings(**{setting: value})  # type: ignore[arg-type]  # checked by pydantic


@pytest.mark.parametrize("source", ["/api", "/", "https://shop.example", "https://shop.example/api"])
def test_a_source_is_a_url_or_a_path(source: str) -> None:
    assert NotificationSettings(webhook_source=source).webhook_source == source
