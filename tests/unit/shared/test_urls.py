"""A connection URL and the password that is kept apart from it."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.settings import GatewaySettings
from services.order.settings import OrderSettings
from services.shared.urls import with_password


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("mongodb://order@a:27017,b:27017/?replicaSet=rs0", "mongodb://order:p%2Fw@a:27017,b:27017/?replicaSet=rs0"),
        ("amqps://order@broker:5671/eu%2Fshop", "amqps://order:p%2Fw@broker:5671/eu%2Fshop"),
        ("redis://order@cache:6379/0", "redis://order:p%2Fw@cache:6379/0"),
    ],
)  # fmt: skip
def test_a_password_goes_into_the_url_of_its_user(url: str, whole: str) -> None:
    assert with_password(url, "p/w") == whole
    assert with_password(url, "") == url


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_password_is_read_from_the_url_as_it_was(password: str) -> None:
    parts = urlsplit(with_password("amqp://order@broker:5672/", password))
    assert (parts.username, unquote(parts.password or ""), parts.port) == ("order", password, 5672)


@pytest.mark.parametrize("url", ["amqp://broker/", "amqp://@broker/", "amqp://order:one@broker/"])
def test_a_password_that_is_nobodys_or_the_second_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(ValueError, match="a password is given") as refused:
        with_password(url, "s3cret")
    assert "s3cret" not in str(refused.value)
    assert "one" not in str(refused.value).split()


def test_a_service_finds_its_passwords_beside_its_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    for server, scheme in (("MONGODB", "mongodb"), ("AMQP", "amqp"), ("REDIS", "redis")):
        monkeypatch.setenv(f"{server}_URL", f"{scheme}://order@host/")
        monkeypatch.setenv(f"{server}_PASSWORD", server.lower())
    order = OrderSettings()
    assert order.mongodb_url == "mongodb://order:mongodb@host/"
    assert (order.amqp_url, order.redis_url) == ("amqp://order:amqp@host/", "redis://order:redis@host/")
    assert GatewaySettings().redis_url == order.redis_url


def test_a_service_does_not_begin_with_a_password_that_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://host/")
    monkeypatch.setenv("MONGODB_PASSWORD", "s3cret")
    with pytest.raises(SystemExit, match="names no user") as refused:
        OrderSettings.given()
    assert "s3cret" not in str(refused.value)
