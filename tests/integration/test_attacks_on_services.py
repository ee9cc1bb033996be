"""Every attack on access tokens, on every service as it runs: each keeps its own verifier."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import RSAKey

from services.auth.main import make_app as make_auth
from services.auth.settings import AuthSettings
from services.fulfilment.main import make_app as make_fulfilment
from services.fulfilment.settings import FulfilmentSettings
from services.gateway.main import make_app as make_gateway
from services.gateway.settings import GatewaySettings
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
from services.shared.contract.codes import Code
from services.shared.settings import Settings
from tests.attacks.tokens import SCHEMES, Forger, good_claims
from tests.integration.issuer import Issuer
from tests.integration.room import Room, running

NOWHERE = "http://127.0.0.1:9"
# What no token of ours was ever refused with before.
REFUSALS = {Code.TOKEN_INVALID, Code.TOKEN_EXPIRED, Code.TOKEN_MISSING}


class Target(NamedTuple):
    make: Callable[[Any], FastAPI]
    settings: type[Settings]
    method: str
    # Asks for a token.
    path: str
    more: Mapping[str, Any] = MappingProxyType({})


TARGETS = {
    "fulfilment": Target(make_fulfilment, FulfilmentSettings, "GET", "/api/fulfilments/o"),
    "auth": Target(make_auth, AuthSettings, "GET", "/auth/me"),
    "gateway": Target(
        make_gateway,
        GatewaySettings,
        "GET",
        "/api/orders",
        {"rate_limit_enabled": False, "order_url": NOWHERE},
    ),
    "inventory": Target(make_inventory, InventorySettings, "POST", "/api/inventory/lamp/restock"),
    "notification": Target(
        make_notification, NotificationSettings, "GET", "/internal/notifications?orderId=o"
    ),
    "order": Target(make_order, OrderSettings, "GET", "/api/orders/o"),
    "order, as an operator": Target(make_order, OrderSettings, "GET", "/internal/orders/attention"),
    "payment": Target(make_payment, PaymentSettings, "GET", "/api/payments/o", {"payment_gateway": "mock"}),
    "product": Target(make_product, ProductSettings, "POST", "/api/products"),
}


@asynccontextmanager
async def attacked(room: Room, issuer: Issuer, name: str) -> AsyncIterator[tuple[httpx.AsyncClient, Forger]]:
    target = TARGETS[name]
    given = room.settings(target.settings.service) | dict(target.more)
    if name != "auth":
        given |= {"jwks_url": issuer.jwks_url}
    app = target.make(target.settings(**given))
    # The gateway is ready with its services alone.
    async with running(app) if name != "gateway" else _begun(app) as client:
        key, kid = issuer.key, "test"
        if name == "auth":
            key = next(iter(app.state.desk.keys._private.values()))  # noqa: SLF001  # nobody outside has it
            kid = str(key.kid)
        assert isinstance(key, RSAKey)
        yield client, Forger(key, kid, good_claims("ada"))


@asynccontextmanager
async def _begun(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


def code_of(answer: httpx.Response) -> str:
    code: str = json.loads(answer.content)["code"]
    return code


@pytest.mark.parametrize("name", TARGETS)
async def test_no_service_takes_a_forged_token(room: Room, issuer: Issuer, name: str) -> None:
    target = TARGETS[name]
    async with attacked(room, issuer, name) as (client, forger):

        async def asked(authorization: str) -> httpx.Response:
            body: dict[str, Any] | None = None if target.method == "GET" else {}
            headers = {"Authorization": authorization}
            return await client.request(target.method, target.path, json=body, headers=headers)

        good = await asked(f"Bearer {forger.good}")
        assert good.is_success or code_of(good) not in REFUSALS, good.text
        taken = {
            attack: (answer.status_code, answer.text[:200])
            for attack, token in forger.attacks()
            if (answer := await asked(f"Bearer {token}")).status_code != 401
            or code_of(answer) not in REFUSALS
        }
        assert taken == {}
        for scheme, write in SCHEMES.items():
            assert (await asked(write(forger.good))).status_code == 401, scheme
        again = await asked(f"Bearer {forger.good}")
        assert again.status_code == good.status_code, "the good token is still good"


@pytest.mark.parametrize("name", ["inventory", "product"])
async def test_where_anybody_may_ask_a_forged_token_shows_no_more(
    room: Room, issuer: Issuer, name: str
) -> None:
    async with attacked(room, issuer, name) as (client, forger):
        path = "/api/inventory?ids=lamp" if name == "inventory" else "/api/products"
        open_to_all = await client.get(path)
        for attack, token in forger.attacks():
            answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()) == (200, open_to_all.json()), attack
