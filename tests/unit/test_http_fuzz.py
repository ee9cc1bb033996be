"""Any body, query and path on every route of every service: an answer as described, and never our fault.

What is behind the routes does not answer: what passes for right is told 503.
"""

import asyncio
import base64
import json
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Final, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.auth.main import make_app as make_auth
from services.auth.settings import AuthSettings
from services.fulfilment.main import make_app as make_fulfilment
from services.fulfilment.settings import FulfilmentSettings
from services.inventory.main import make_app as make_inventory
from services.inventory.settings import InventorySettings
from services.notification.main import make_app as make_notification
from services.notification.settings import NotificationSettings
from services.order.main import make_app as make_order
from services.order.settings import OrderSettings
from services.payment.main import make_app as make_payment
from services.payment.settings import PaymentSettings
from services.product.main import make_app as make_product
from services.product.settings import ProductSettings
from services.shared.contract.decisions import Unavailable
from services.shared.http.auth import User
from services.shared.http.rights import Right, Role

SECRETS_KEY: Final = SecretStr(base64.b64encode(bytes(32)).decode())
MEDIA_TYPE = "application/problem+json"
# What a request can be answered that nobody serves: it is wrong, or has to come back.
EXPECTED = {400, 404, 413, 415, 422, 428, 503}
BOSS = User("boss", "boss@shop.example", frozenset(Right), (Role.ADMIN,))


class Absent:
    """Whatever is asked of it does not answer."""

    def __getattr__(self, _: str) -> "Absent":
        return self

    def __call__(self, *_: object, **__: object) -> "Absent":
        return self

    def __await__(self) -> Generator[None]:
        raise Unavailable("nothing is behind this")
        yield

    def __sub__(self, _: object) -> "Absent":
        return self

    def __aiter__(self) -> "Absent":
        return self

    async def __anext__(self) -> None:
        await self

    async def __aenter__(self) -> None:
        await self

    async def __aexit__(self, *_: object) -> None: ...


class Tokens:
    async def user(self, _: object) -> User:
        return BOSS


def shut(app: FastAPI) -> FastAPI:
    """With nothing behind its routes."""
    for name in ("engine", "catalogue", "stocks", "pressure", "watching", "desk", "gateway"):
        setattr(app.state, name, Absent())
    app.state.tokens, app.state.reviewer = Tokens(), None
    app.state.sender = SimpleNamespace(seals=Absent(), caller=SimpleNamespace(allowed=()))
    app.state.sends_mail = True
    # Of a payment gateway that its webhook's path names.
    app.state.provider = "provider"
    return app


APPS = {
    "fulfilment": shut(make_fulfilment(FulfilmentSettings())),
    "auth": shut(make_auth(AuthSettings(secrets_key=SECRETS_KEY))),
    "inventory": shut(make_inventory(InventorySettings())),
    "notification": shut(make_notification(NotificationSettings())),
    "order": shut(make_order(OrderSettings())),
    "payment": shut(make_payment(PaymentSettings(payment_gateway="mock"))),
    "product": shut(make_product(ProductSettings())),
}


class Door(NamedTuple):
    service: str
    method: str
    path: str
    takes_body: bool


def doors() -> Iterator[Door]:
    for service, app in APPS.items():
        for path, item in app.openapi()["paths"].items():
            for method, operation in item.items():
                yield Door(service, method.upper(), path, "requestBody" in operation)


DOORS = list(doors())
NAMES = st.sampled_from(
    [
        *("ids", "quantities", "fulfilment", "paymentToken", "reason", "status", "olderThan", "quantity"),
        *("name", "description", "price", "currency", "initialStock", "email", "password", "refreshToken"),
        *("currentPassword", "newPassword", "roles", "disabled", "totp", "token", "code", "secret"),
    ]
)
VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30)),
        st.sampled_from(
            ["ada@x.example", "\ud800", "\x00", "1e999", "admin", "\ufdfa" * 50, 10**400, -0.0, 2**63]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=9), inner, max_size=6)
    ),
    max_leaves=10,
)
JSON = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda each: json.dumps(each).encode())
BODIES = st.one_of(
    st.binary(max_size=100),
    JSON,
    st.sampled_from(
        [
            *(b"", b"null", b"[]", b'"', b"[" * 30_000, b'{"a":' * 10_000, b"9" * 60_000, b"1e99999999"),
            *(
                b'{"price": 1e99999999}',
                b'{"quantity": ' + b"9" * 5000 + b"}",
                b"\xff\xfe{}",
                b"\xef\xbb\xbf{}",
            ),
            *("{}".encode("utf-16"), "{}".encode("utf-32"), b'{"email": "\\ud800"}', b"NaN", b"{}{}"),
        ]
    ),
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-16",
        "application/merge-patch+json",
        "text/plain",
        "x",
        "",
    ]
)
QUERIES = st.text(max_size=60) | st.dictionaries(
    st.sampled_from(["ids", "cursor", "limit", "status", "olderThan", "email", "orderId", "include"]),
    st.text(max_size=40) | st.sampled_from(["NaN", "1e999", "-1", "9" * 400, "\x00", "MTIz"]),
    max_size=3,
).map(lambda each: "&".join(f"{name}={quote(value, safe='')}" for name, value in each.items()))
SEGMENTS = st.text(min_size=1, max_size=20).filter(lambda each: each not in {".", ".."})


def asked(door: Door, path: str, body: bytes | None, headers: dict[str, str]) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(APPS[door.service], raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(door.method, path, content=body, headers=headers)

    return asyncio.run(ask())


def is_told(answer: httpx.Response) -> None:
    assert answer.status_code in EXPECTED | {204, 200, 201}, (answer.status_code, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == MEDIA_TYPE
        told = answer.json()
        assert told["detail"]
        assert told["status"] == answer.status_code


def named(door: Door) -> str:
    return f"{door.method} {door.path}"


@pytest.mark.parametrize("door", [door for door in DOORS if door.takes_body], ids=named)
@settings(max_examples=30)
@given(body=BODIES, media_type=TYPES)
def test_any_body_is_answered(door: Door, body: bytes, media_type: str) -> None:
    is_told(asked(door, door.path.replace("{", "").replace("}", ""), body, {"content-type": media_type}))


@pytest.mark.parametrize("door", DOORS, ids=named)
@settings(max_examples=25)
@given(query=QUERIES, segment=SEGMENTS)
def test_any_path_and_query_is_answered(door: Door, query: str, segment: str) -> None:
    names = [part for part in door.path.split("/") if part.startswith("{")]
    path = door.path
    for name in names:
        path = path.replace(name, quote(segment, safe=""))
    is_told(asked(door, f"{path}?{quote(query, safe='=&%')}", b"{}" if door.takes_body else None, {}))


def test_every_service_but_the_gateway_is_tried() -> None:
    routes = {
        (service, route.path)
        for service, app in APPS.items()
        for route in app.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    }
    assert routes <= {(door.service, door.path) for door in DOORS}
