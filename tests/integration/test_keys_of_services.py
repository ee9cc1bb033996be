"""The keys that tokens are signed with: sealed in the database, turned over and revoked by administrators."""

import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from typer.testing import Result

from sagactl.polling import until
from services.auth import keys
from services.auth.main import make_app
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
from services.shared.database.trail import COLLECTION, database_of
from services.shared.http import auth as verifying
from services.shared.settings import Settings
from tests.forms import document
from tests.integration.command_line import called
from tests.integration.room import PATIENCE, Room, running
from tests.integration.serving import serving
from tests.integration.signing import opened

BOSS: Final = {"email": "boss@x.example", "password": "first password"}
# What the documents say of a revoked key: within two minutes, half an hour where auth cannot be reached.
STATED_SECONDS: Final = 120.0
STATED_WITHOUT_AUTH_SECONDS: Final = 1800.0


def settings(room: Room, **changes: Any) -> AuthSettings:
    boss = {"admin_email": BOSS["email"], "admin_password": SecretStr(BOSS["password"])}
    return AuthSettings(**room.settings("auth") | boss | changes)


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@asynccontextmanager
async def auth(room: Room, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(settings(room, **changes))) as client:
        yield client


async def log_in(client: httpx.AsyncClient) -> str:
    """An access token, by which the client goes on."""
    answer = await client.post("/auth/login", json=BOSS)
    assert answer.status_code == 200, answer.text
    token = str(answer.json()["accessToken"])
    client.headers["Authorization"] = f"Bearer {token}"
    return token


async def me(client: httpx.AsyncClient, token: str) -> int:
    return (await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code


def kid_of(token: str) -> str:
    header = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


async def published(client: httpx.AsyncClient) -> set[str]:
    return {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}


async def turns(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    answer = await client.get("/auth/keys")
    assert answer.status_code == 200, answer.text
    assert "sealed" not in answer.text
    return [(key["keyId"], key["turn"]) for key in answer.json()["items"]]


async def stored(room: Room) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await room.database("auth")["signingKeys"].find().sort("_id").to_list()
    return found


# --- at rest ----------------------------------------------------------------------------------------------


async def test_a_copy_of_the_database_signs_nothing(room: Room) -> None:
    async with auth(room) as client:
        token = await log_in(client)
    [document] = await stored(room)
    assert set(document["jwk"]) == {"kty", "n", "e", "kid", "use", "alg"}
    assert kid_of(token) == document["jwk"]["kid"]
    private = opened(document, room.secrets_key).as_dict(private=True)
    database = room.database("auth")
    names = await database.list_collection_names()
    everything = str([await database[name].find().to_list() for name in names])
    assert [part for part in ("d", "p", "q", "dp", "dq", "qi") if str(private[part]) in everything] == []


async def test_the_same_key_signs_after_a_restart(room: Room) -> None:
    async with auth(room) as client:
        token = await log_in(client)
    async with auth(room) as client:
        assert kid_of(await log_in(client)) == kid_of(token)
        assert await me(client, token) == 200


async def test_the_key_that_seals_is_changed_by_putting_a_new_one_first(room: Room) -> None:
    old, new = room.secrets_key, new_key()
    async with auth(room) as client:
        token = await log_in(client)
    async with auth(room, secrets_key=SecretStr(f"{new},{old}")) as client:
        assert kid_of(await log_in(client)) == kid_of(token)
    async with auth(room, secrets_key=SecretStr(new)) as client:
        assert kid_of(await log_in(client)) == kid_of(token)
        assert await me(client, token) == 200


async def test_without_the_key_that_sealed_it_a_signing_key_verifies_and_another_signs(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    async with auth(room) as client:
        token = await log_in(client)
    async with auth(room, secrets_key=SecretStr(new_key())) as client:
        another = await log_in(client)
        assert kid_of(another) != kid_of(token)
        assert await published(client) == {kid_of(another), kid_of(token)}
        assert await me(client, token) == 200
    assert (
        "does not sign with key 1: signingKeys/1 is sealed with a key that SECRETS_KEY"
        in capsys.readouterr().out
    )


async def test_what_an_earlier_release_kept_in_clear_is_sealed_and_goes_on_signing(room: Room) -> None:
    whole = RSAKey.generate_key(2048, auto_kid=True)
    async with auth(room) as client:
        [document] = await stored(room)
        clear = {**whole.as_dict(private=True), "use": "sig", "alg": "RS256"}
        await room.database("auth")["signingKeys"].replace_one(
            {"_id": "1"}, {"_id": "1", "version": 0, "jwk": clear, "createdAt": document["createdAt"]}
        )
    async with auth(room) as client:
        assert kid_of(await log_in(client)) == whole.kid
        assert await published(client) == {whole.kid}
    [document] = await stored(room)
    assert "d" not in document["jwk"]
    assert document["sealed"]


# --- what administrators do -------------------------------------------------------------------------------


async def test_the_next_key_is_known_before_it_signs_and_is_made_once(room: Room) -> None:
    async with auth(room, signing_key_days=30) as client:
        token = await log_in(client)
        assert await turns(client) == [("1", "signing")]
        await backdated(room, "1")
        made = await client.post("/auth/keys")
        assert (made.status_code, made.json()["keyId"], made.json()["turn"]) == (201, "2", "next")
        assert (await client.post("/auth/keys")).json() == made.json()
        assert await turns(client) == [("1", "signing"), ("2", "next")]
        assert kid_of(await log_in(client)) == kid_of(token)
        assert made.json()["kid"] in await published(client)


async def backdated(room: Room, id_: str) -> None:
    """As if it had been made a day ago: verifiers know it by now."""
    collection = room.database("auth")["signingKeys"]
    [document] = [each for each in await stored(room) if each["_id"] == id_]
    at = document["createdAt"].replace(year=document["createdAt"].year - 1)
    await collection.update_one({"_id": id_}, {"$set": {"createdAt": at}})


async def test_a_revoked_key_neither_signs_nor_verifies_and_its_private_part_is_gone(room: Room) -> None:
    async with auth(room) as client, auth(room) as another:
        token = await log_in(client)
        assert await me(another, token) == 200
        answer = await client.post("/auth/keys/1/revoke")
        assert answer.status_code == 204, answer.text
        assert await me(client, token) == 401
        again = await log_in(client)
        assert kid_of(again) != kid_of(token)
        assert await turns(client) == [("1", "revoked"), ("2", "signing")]
        assert (await client.post("/auth/keys/1/revoke")).status_code == 204
        assert (await client.post("/auth/keys/7/revoke")).status_code == 404
        assert await published(client) == {kid_of(again)}
    [revoked, _] = await stored(room)
    assert revoked["sealed"] == ""
    async with auth(room) as client:
        assert kid_of(await log_in(client)) == kid_of(again)
        assert await me(client, token) == 401


async def test_keys_are_the_administrators_alone_and_leave_a_trail(room: Room) -> None:
    ada = {"email": "ada@x.example", "password": "correct horse"}
    async with auth(room) as client:
        await client.post("/auth/register", json=ada | {"name": "Ada"})
        token = (await client.post("/auth/login", json=ada)).json()["accessToken"]
        for method, path in (("GET", ""), ("POST", ""), ("POST", "/1/revoke")):
            answer = await client.request(
                method, f"/auth/keys{path}", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 403
        await log_in(client)
        await client.post("/auth/keys")
        await client.post("/auth/keys/1/revoke")
    trail = room.mongodb[database_of(room.database_name("auth"))][COLLECTION]
    entries = await trail.find({"action": {"$regex": "^key"}}).sort("_id").to_list()
    told = [(each["action"], each["subject"]) for each in entries]
    assert told == [("key.rotated", "1"), ("key.revoked", "1")]


# --- who verifies -----------------------------------------------------------------------------------------


class Verifier(NamedTuple):
    """A service, and a path of it that takes a token."""

    make: Callable[..., FastAPI]
    settings: type[Settings]
    path: str


VERIFIERS: Final = {
    "fulfilment": Verifier(make_fulfilment, FulfilmentSettings, "/api/fulfilments/none"),
    "gateway": Verifier(make_gateway, GatewaySettings, "/api/orders"),
    "order": Verifier(make_order, OrderSettings, "/api/orders/00000000-0000-0000-0000-000000000000"),
    "product": Verifier(make_product, ProductSettings, "/api/products/none"),
    "inventory": Verifier(make_inventory, InventorySettings, "/api/inventory/none/restock"),
    "payment": Verifier(make_payment, PaymentSettings, "/api/payments/none"),
    "notification": Verifier(make_notification, NotificationSettings, "/internal/notifications?orderId=none"),
}
# Whose answer is not 401.
NOWHERE: Final = "http://127.0.0.1:9"
METHODS: Final = {"product": "DELETE", "inventory": "POST"}


@asynccontextmanager
async def verifier(room: Room, name: str, auth_url: str) -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """The service on a socket; called with a token it says how it answers to it."""
    which = VERIFIERS[name]
    given = room.settings(name) | {"jwks_url": f"{auth_url}/.well-known/jwks.json", "order_url": NOWHERE}
    if name == "payment":
        given["payment_gateway"] = "mock"
    async with (
        serving(which.make, which.settings(**given)) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):

        async def ready() -> bool:
            return (await client.get("/readyz")).is_success

        await until(ready, within=PATIENCE, what=f"{name} to be ready")

        async def asked(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.request(METHODS.get(name, "GET"), which.path, headers=headers)).status_code

        yield asked


@pytest.mark.parametrize("name", VERIFIERS)
async def test_a_revoked_key_is_refused_by_every_service_once_it_looks_again(
    room: Room, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "KEYS_FRESH_SECONDS", 0.5)
    monkeypatch.setattr(verifying, "REFETCH_SECONDS", 0.5)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(make_app, settings(room)))
        asked = await stack.enter_async_context(verifier(room, name, url))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20))

        async def logged_in() -> bool:
            return (await client.post("/auth/login", json=BOSS)).is_success

        await until(logged_in, within=PATIENCE, what="auth to be ready")
        token = await log_in(client)
        assert await asked(token) != 401
        assert (await client.post("/auth/keys/1/revoke")).status_code == 204

        async def refused() -> bool:
            return await asked(token) == 401

        await until(refused, within=PATIENCE, what=f"{name} to refuse the revoked key's token")
        assert await asked(await log_in(client)) != 401


def test_the_times_that_are_stated_hold_for_what_is_measured_above() -> None:
    assert verifying.KEYS_FRESH_SECONDS + keys.LOOK_SECONDS + verifying.REFETCH_SECONDS <= STATED_SECONDS
    assert verifying.KEYS_BELIEVED_SECONDS + keys.BELIEVED_SECONDS <= STATED_WITHOUT_AUTH_SECONDS


async def test_without_the_auth_service_keys_are_believed_for_a_while_and_no_longer(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "KEYS_FRESH_SECONDS", 0.2)
    async with AsyncExitStack() as stack:
        async with serving(make_app, settings(room)) as url, httpx.AsyncClient(base_url=url) as client:
            asked = await stack.enter_async_context(verifier(room, "payment", url))

            async def logged_in() -> bool:
                return (await client.post("/auth/login", json=BOSS)).is_success

            await until(logged_in, within=PATIENCE, what="auth to be ready")
            token = await log_in(client)
            assert await asked(token) == 404
        assert await asked(token) == 404
        monkeypatch.setattr(verifying, "KEYS_BELIEVED_SECONDS", 1.0)

        async def unavailable() -> bool:
            return await asked(token) == 503

        await until(unavailable, within=PATIENCE, what="the keys to be believed no longer")


async def test_a_replica_that_cannot_read_the_keys_any_more_publishes_none(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with auth(room) as client:
        assert len(await published(client)) == 1
        monkeypatch.setattr(keys, "BELIEVED_SECONDS", 0.0)
        assert (await client.get("/.well-known/jwks.json")).status_code == 503


# --- sagactl ----------------------------------------------------------------------------------------------


async def sagactl(*command: str) -> Result:
    return await called("keys", *command)


async def test_sagactl_shows_the_keys_begins_the_next_one_and_revokes_one(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_app, settings(room)) as url, httpx.AsyncClient(base_url=url) as client:

        async def logged_in() -> bool:
            return (await client.post("/auth/login", json=BOSS)).is_success

        await until(logged_in, within=PATIENCE, what="auth to be ready")
        monkeypatch.setenv("GATEWAY_URL", url)
        monkeypatch.setenv("ADMIN_EMAIL", BOSS["email"])
        monkeypatch.setenv("ADMIN_PASSWORD", BOSS["password"])
        await backdated(room, "1")
        assert "next" in (await sagactl("rotate")).stdout
        assert "key 1 is revoked" in (await sagactl("revoke", "1")).stdout
        listed = document((await sagactl("list", "-o", "json")).stdout)["items"]
        assert [(key["keyId"], key["turn"]) for key in listed] == [("1", "revoked"), ("2", "signing")]
        assert "revoked" in (await sagactl("list")).stdout
        unknown = await sagactl("revoke", "7")
        assert (unknown.exit_code, "there is no such signing key" in unknown.stderr) == (1, True)
