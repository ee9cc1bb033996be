"""Where the orders are asked for, and that nobody but the trusted is sent the operator's own token."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml

from dev.helm import ROOT
from saga_operator.endpoint import OwnToken, ServicePort, resolve
from saga_operator.policy.orders import Endpoint, OrderServiceError
from saga_operator.settings import Settings
from saga_operator.spec import parse_spec

CRD: Final = yaml.safe_load((ROOT / "charts/saga-operator/files/sagamonitors.yaml").read_text())
SPEC: Final = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
URL: Final = re.compile(SPEC["orderService"]["properties"]["url"]["pattern"])

FIVE_SECONDS = timedelta(seconds=5)


class OneService:
    """A cluster with Service `order`, ports `http` and `safe`, and Secret `shop-token` in every namespace."""

    async def service_port(self, namespace: str, name: str, port: str) -> ServicePort:
        if name != "order" or port not in {"http", "safe"}:
            raise OrderServiceError("PortNotFound", f"{namespace}/{name} has no {port}")
        return ServicePort(3002, by_tls=port == "safe")

    async def secret_token(self, namespace: str, name: str, key: str) -> str:
        return f"{namespace}/{name}/{key}"


@pytest.fixture
def own(tmp_path: Path) -> OwnToken:
    path = tmp_path / "token"
    path.write_text("own-token\n")
    return OwnToken(path, frozenset({"shop"}))


async def endpoint_of(ref: dict[str, object], own: OwnToken, namespace: str = "shop") -> Endpoint:
    return await resolve(parse_spec({"orderService": ref}).order_service, namespace, OneService(), own)


async def test_a_service_is_asked_at_its_named_port_with_the_operators_token(own: OwnToken) -> None:
    found = await endpoint_of({"serviceRef": {"name": "order", "port": "http"}}, own)
    assert found == Endpoint("http://order.shop.svc:3002", "own-token", FIVE_SECONDS)


async def test_a_service_whose_port_says_https_is_asked_by_tls(own: OwnToken) -> None:
    found = await endpoint_of({"serviceRef": {"name": "order", "port": "safe"}}, own)
    assert found.url == "https://order.shop.svc:3002"


async def test_a_rotated_token_is_used_at_once(own: OwnToken) -> None:
    own.path.write_text("rotated")
    assert (await endpoint_of({"serviceRef": {"name": "order"}}, own)).token == "rotated"


async def test_a_namespace_that_is_not_trusted_is_not_sent_the_operators_token(own: OwnToken) -> None:
    with pytest.raises(OrderServiceError, match="not for namespace evil"):
        await endpoint_of({"serviceRef": {"name": "order"}}, own, namespace="evil")


async def test_a_url_is_never_sent_the_operators_token(own: OwnToken) -> None:
    with pytest.raises(OrderServiceError, match="needs its own tokenSecretRef"):
        await endpoint_of({"url": "http://evil"}, own)


async def test_a_secrets_token_goes_to_a_url_or_a_service_of_any_namespace(own: OwnToken) -> None:
    secret = {"tokenSecretRef": {"name": "shop-token", "key": "k"}}
    assert (await endpoint_of({"url": "http://o", **secret}, own)).token == "shop/shop-token/k"
    assert (
        await endpoint_of({"serviceRef": {"name": "order"}, **secret}, own, "b")
    ).token == "b/shop-token/k"


async def test_a_missing_token_file_is_told_and_not_raised_as_such(tmp_path: Path) -> None:
    with pytest.raises(OrderServiceError, match="cannot be read") as caught:
        await endpoint_of({"serviceRef": {"name": "order"}}, OwnToken(tmp_path / "none", frozenset({"shop"})))
    assert caught.value.failure.reason == "TokenUnavailable"


def test_no_request_may_take_longer_than_the_heartbeat_can_bear() -> None:
    spec = parse_spec({"orderService": {"url": "http://o", "timeout": "10m"}})
    assert spec.order_service.timeout == timedelta(seconds=30)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"orderService": {}},
        {"orderService": {"url": "http://o", "serviceRef": {"name": "order"}}},
        {"orderService": {"url": "http://o"}, "interval": "soon"},
        {"orderService": {"url": "http://o"}, "action": "Shout"},
        {"orderService": {"url": "http://o"}, "interval": 5},
        {"orderService": []},
    ],
)
def test_a_spec_that_passed_by_validation_is_a_value_error(spec: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_spec(spec)


@pytest.mark.parametrize(
    "url",
    [
        "https://order.example/admin",
        "https://order.example?to=",
        "https://order.example/?",
        "https://order.example#",
        "https://user:password@order.example",
        "https://",
        "https://order example",
        "ftp://order.example",
        "order.example",
        "https://order.example\n",
    ],
)
def test_a_url_is_an_address_and_nothing_that_could_swallow_the_path(url: str) -> None:
    """By the resource's own schema, and again in code."""
    ref = {"url": url, "tokenSecretRef": {"name": "token"}}
    with pytest.raises(ValueError, match="is the address of the order service alone"):
        parse_spec({"orderService": ref})
    assert not URL.fullmatch(url)


@pytest.mark.parametrize(
    "url", ["http://o", "https://order.example:8443", "http://[::1]:80/", "http://10.0.0.1"]
)
def test_an_address_may_have_a_port_and_end_in_a_slash(url: str) -> None:
    ref = {"url": url, "tokenSecretRef": {"name": "token"}}
    assert parse_spec({"orderService": ref}).order_service.url == url
    assert URL.fullmatch(url)


def test_the_operators_token_is_for_its_own_namespace_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trusted(**environment: str) -> set[str]:
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            return set(Settings().trusted_namespaces)

    assert trusted(WATCH_NAMESPACE="a, b", POD_NAMESPACE="ops") == {"ops"}
    assert trusted(WATCH_NAMESPACE="a, b") == set()
    assert trusted(POD_NAMESPACE="ops") == {"ops"}
    assert trusted(POD_NAMESPACE="ops", TOKEN_NAMESPACES="shop") == {"shop"}
    assert trusted() == set()
