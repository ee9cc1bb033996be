"""The auth service on a real database: accounts, logins that end on theft, keys that turn over."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from sagactl.polling import until
from services.auth import administrator
from services.auth.main import make_app
from services.auth.passwords import Check, Passwords
from services.auth.settings import AuthSettings
from tests.integration.room import Room, running
from tests.integration.serving import serving
from tests.integration.signing import opened

pytestmark = pytest.mark.without_broker
ADA = {"email": "ada@x.example", "password": "correct horse", "name": "Ada"}
LOGIN = {"email": ADA["email"], "password": ADA["password"]}
BOSS = {"email": "boss@x.example", "password": "first password"}


def settings_for(room: Room, **changes: Any) -> AuthSettings:
    return AuthSettings(**room.settings("auth") | changes)


def with_boss(room: Room, password: str) -> AuthSettings:
    return settings_for(room, admin_email=BOSS["email"], admin_password=SecretStr(password))


@pytest_asyncio.fixture
async def client(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(settings_for(room))) as client:
        yield client


async def logged_in(client: httpx.AsyncClient) -> dict[str, Any]:
    await client.post("/auth/register", json=ADA)
    return await session(client, LOGIN)


async def session(client: httpx.AsyncClient, login: dict[str, str]) -> dict[str, Any]:
    answer = await client.post("/auth/login", json=login)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refreshed(client: httpx.AsyncClient, token: str, *, by: str = "owner") -> httpx.Response:
    return await client.post("/auth/refresh", json={"refreshToken": token}, headers={"User-Agent": by})


async def me(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


def header_of(token: str) -> dict[str, Any]:
    header = token.partition(".")[0]
    parsed: dict[str, Any] = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return parsed


# --- accounts ---------------------------------------------------------------------------------------------


async def test_whoever_registers_can_log_in_and_is_who_it_said(client: httpx.AsyncClient) -> None:
    made = await client.post("/auth/register", json=ADA)
    assert made.status_code == 201
    tokens = await session(client, LOGIN)
    assert tokens["expiresIn"] == 900
    account = (await me(client, tokens["accessToken"])).json()
    assert (
        account
        == made.json()
        == {
            "userId": account["userId"],
            "email": "ada@x.example",
            "name": "Ada",
            "roles": [],
            "verified": False,
            "totp": False,
        }
    )


async def test_an_address_has_one_account_however_it_is_spelled(client: httpx.AsyncClient) -> None:
    assert (await client.post("/auth/register", json=ADA)).status_code == 201
    again = await client.post("/auth/register", json=ADA | {"email": " ADA@X.example"})
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    await session(client, LOGIN | {"email": "Ada@x.example"})


async def test_an_address_is_shown_and_told_to_services_as_it_was_typed(client: httpx.AsyncClient) -> None:
    typed = "M.Gro\xdf@stra\xdfe.example"
    made = await client.post("/auth/register", json=ADA | {"email": typed})
    assert made.json()["email"] == typed
    other = await client.post("/auth/register", json=ADA | {"email": typed.casefold()})
    assert other.status_code == 409, "one account for all spellings"
    token = (await session(client, LOGIN | {"email": typed.lower()}))["accessToken"]
    assert (await me(client, token)).json()["email"] == typed
    keys = (await client.get("/.well-known/jwks.json")).json()
    assert jwt.decode(token, KeySet.import_key_set(keys), ["RS256"]).claims["email"] == typed


async def test_of_many_who_register_an_address_at_once_one_gets_it(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/auth/register", json=ADA) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + 7 * [409]


async def test_a_short_password_is_refused_in_plain_words(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/register", json=ADA | {"password": "short"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "in": "body",
            "field": "password",
            "pointer": "#/password",
            "message": "a password has 8 to 128 characters, this one has 5",
        }
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/register", ADA | {"roles": ["admin"]}),
        ("/auth/register", ADA | {"email": "ada"}),
        ("/auth/register", ADA | {"name": " "}),
        ("/auth/register", ADA | {"name": 5}),
        ("/auth/login", LOGIN | {"otp": "1"}),
        ("/auth/login", {"email": ADA["email"]}),
        ("/auth/refresh", {"refreshToken": "x", "more": 1}),
        ("/auth/refresh", {"refresh_token": "x"}),
        ("/auth/logout", {"refreshToken": ""}),
        ("/auth/logout", []),
    ],
)
async def test_a_body_that_is_not_as_described_is_refused(
    client: httpx.AsyncClient, path: str, body: Any
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_login_without_a_body_is_told_what_it_needs_and_no_more(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/login")
    assert answer.json()["detail"] == "body: missing: give a JSON object with email, password"
    empty = await client.post("/auth/login", json={})
    assert empty.json()["detail"].startswith("email: missing: give an e-mail address such as")


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(client: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    wrong = await client.post("/auth/login", json=LOGIN | {"password": "wrong"})
    unknown = await client.post("/auth/login", json=LOGIN | {"email": "eve@x.example"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


async def test_neither_passwords_nor_refresh_tokens_are_in_the_database(
    client: httpx.AsyncClient, room: Room
) -> None:
    tokens = await logged_in(client)
    database = room.database("auth")
    stored = [
        document
        for name in ("users", "refreshFamilies")
        for document in await database[name].find().to_list()
    ]
    assert len(stored) == 2
    secret = tokens["refreshToken"].partition(".")[2]
    assert secret not in str(stored)
    assert ADA["password"] not in str(stored)


# --- staying logged in ------------------------------------------------------------------------------------


async def test_a_refresh_token_is_good_for_one_new_pair(client: httpx.AsyncClient) -> None:
    first = await logged_in(client)
    second = await refreshed(client, first["refreshToken"])
    assert second.status_code == 200
    assert second.headers["cache-control"] == "no-store"
    assert (await me(client, second.json()["accessToken"])).status_code == 200
    third = await refreshed(client, second.json()["refreshToken"])
    assert third.status_code == 200


async def test_a_refresh_token_that_is_used_again_ends_the_whole_login(client: httpx.AsyncClient) -> None:
    first = await logged_in(client)
    second = (await refreshed(client, first["refreshToken"])).json()
    replayed = await refreshed(client, first["refreshToken"], by="thief")
    assert replayed.status_code == 401
    assert (await refreshed(client, second["refreshToken"])).status_code == 401


async def test_another_login_outlives_the_theft_of_the_first(client: httpx.AsyncClient) -> None:
    first, other = await logged_in(client), await session(client, LOGIN)
    await refreshed(client, first["refreshToken"])
    await refreshed(client, first["refreshToken"], by="thief")
    assert (await refreshed(client, other["refreshToken"])).status_code == 200


async def test_of_two_who_use_a_refresh_token_at_once_one_succeeds_and_then_it_is_over(
    client: httpx.AsyncClient,
) -> None:
    tokens = await logged_in(client)
    answers = await asyncio.gather(
        *(refreshed(client, tokens["refreshToken"], by=f"client {number}") for number in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + 4 * [401]
    winner = next(answer for answer in answers if answer.is_success)
    assert (await refreshed(client, winner.json()["refreshToken"])).status_code == 401


async def test_a_client_whose_answer_was_lost_asks_again_and_its_login_goes_on(
    client: httpx.AsyncClient, room: Room
) -> None:
    first = await logged_in(client)
    lost = await refreshed(client, first["refreshToken"])
    second = await refreshed(client, first["refreshToken"])
    assert (lost.status_code, second.status_code) == (200, 200)
    third = await refreshed(client, second.json()["refreshToken"])
    assert third.status_code == 200
    longer_ago = {"$set": {"exchangedAt": datetime.now(UTC) - timedelta(seconds=11)}}
    await room.database("auth")["refreshFamilies"].update_many({}, longer_ago)
    late = await refreshed(client, second.json()["refreshToken"])
    assert late.status_code == 401
    assert (await refreshed(client, third.json()["refreshToken"])).status_code == 401, "all of it is over"


@pytest.mark.parametrize("token", ["x", "x.y", ".", "\x00.", "a" * 256])
async def test_what_is_no_refresh_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    assert (await refreshed(client, token)).status_code == 401


async def test_an_expired_refresh_token_is_refused_before_the_database_forgets_it(
    client: httpx.AsyncClient, room: Room
) -> None:
    tokens = await logged_in(client)
    families = room.database("auth")["refreshFamilies"]
    await families.update_many({}, {"$set": {"expiresAt": datetime.now(UTC) - timedelta(seconds=1)}})
    answer = await refreshed(client, tokens["refreshToken"])
    assert answer.status_code == 401
    indexes = await families.index_information()
    assert indexes["expiresAt_1"]["expireAfterSeconds"] == 0


async def test_who_logs_out_cannot_refresh_and_may_log_out_again(client: httpx.AsyncClient) -> None:
    tokens = await logged_in(client)
    for _ in range(2):
        answer = await client.post("/auth/logout", json={"refreshToken": tokens["refreshToken"]})
        assert answer.status_code == 204
    assert (await refreshed(client, tokens["refreshToken"])).status_code == 401


async def test_roles_are_those_of_the_account_at_the_latest_refresh(
    client: httpx.AsyncClient, room: Room
) -> None:
    tokens = await logged_in(client)
    await room.database("auth")["users"].update_one({}, {"$set": {"roles": ["admin"]}})
    after = (await refreshed(client, tokens["refreshToken"])).json()
    assert (await me(client, after["accessToken"])).json()["roles"] == ["admin"]


async def test_a_deleted_account_gets_in_nowhere(client: httpx.AsyncClient, room: Room) -> None:
    tokens = await logged_in(client)
    await room.database("auth")["users"].delete_many({})
    assert (await me(client, tokens["accessToken"])).status_code == 401
    assert (await refreshed(client, tokens["refreshToken"])).status_code == 401


# --- tokens and keys --------------------------------------------------------------------------------------

GOOD = {"iss": "sagashop", "aud": "sagashop", "sub": "ada", "email": "ada@x.example", "roles": ["admin"]}
Forge = Callable[[RSAKey, dict[str, Any]], str]


def encoded(*parts: bytes) -> str:
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def none_algorithm(key: RSAKey, claims: dict[str, Any]) -> str:
    header = {"alg": "none", "kid": key.kid, "typ": "at+jwt"}
    return encoded(json.dumps(header).encode(), json.dumps(claims).encode(), b"")


def public_key_as_a_secret(key: RSAKey, claims: dict[str, Any]) -> str:
    """By hand: the library refuses to."""
    header = {"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}
    signed = encoded(json.dumps(header).encode(), json.dumps(claims).encode())
    signature = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{encoded(signature)}"


HEADER = {"alg": "RS256", "typ": "at+jwt"}
FORGED: dict[str, Forge] = {
    "no signature": none_algorithm,
    "the public key as a secret": public_key_as_a_secret,
    "a key of one's own": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid}, claims, RSAKey.generate_key(2048)
    ),
    "an unknown key": lambda _, claims: jwt.encode(
        HEADER | {"kid": "mine"}, claims, RSAKey.generate_key(2048)
    ),
    "no key named": lambda key, claims: jwt.encode(HEADER, claims, key),
    "another algorithm": lambda key, claims: jwt.encode(
        HEADER | {"alg": "RS512", "kid": key.kid}, claims, key, ["RS512"]
    ),
    "expired": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid}, claims | {"exp": int(time.time()) - 60}, key
    ),
    "no expiry": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid}, {k: v for k, v in claims.items() if k != "exp"}, key
    ),
    "another audience": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid}, claims | {"aud": "elsewhere"}, key
    ),
    "another issuer": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid}, claims | {"iss": "elsewhere"}, key
    ),
    "another kind of token": lambda key, claims: jwt.encode(
        HEADER | {"kid": key.kid, "typ": "JWT"}, claims, key
    ),
    "rubbish": lambda _key, _claims: "a.b.c",
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_token_that_is_not_ours_is_refused(client: httpx.AsyncClient, room: Room, how: str) -> None:
    tokens = await logged_in(client)
    account = (await me(client, tokens["accessToken"])).json()
    stored = await room.database("auth")["signingKeys"].find_one()
    assert stored is not None
    key = opened(stored, room.secrets_key)
    claims = GOOD | {"sub": account["userId"], "exp": int(time.time()) + 60}
    genuine = jwt.encode(HEADER | {"kid": key.kid}, claims, key)
    assert (await me(client, genuine)).status_code == 200, "the forgery is told apart by what is forged"
    answer = await me(client, FORGED[how](key, claims))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_published_keys_have_no_private_part(client: httpx.AsyncClient) -> None:
    answer = await client.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
    assert answer.headers["cache-control"] == "public, max-age=30"


async def test_replicas_that_start_together_agree_on_one_key(room: Room) -> None:
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(running(make_app(settings_for(room)))) for _ in range(3))
        )
        first, *others = [(await client.get("/.well-known/jwks.json")).json() for client in clients]
        assert len(first["keys"]) == 1
        assert others == [first, first]
        tokens = await logged_in(clients[0])
        for client in clients:
            assert (await me(client, tokens["accessToken"])).status_code == 200
        assert (await refreshed(clients[1], tokens["refreshToken"])).status_code == 200
        stolen = await refreshed(clients[2], tokens["refreshToken"], by="thief")
        assert stolen.status_code == 401


async def test_keys_turn_over_while_running_and_nobody_notices(room: Room) -> None:
    seconds = 1 / (24 * 3600)
    async with running(make_app(settings_for(room, signing_key_days=6 * seconds))) as client:
        first = (await logged_in(client))["accessToken"]
        published: list[set[str]] = []
        signed_with: list[str] = []

        async def another_key_signs() -> bool:
            document = (await client.get("/.well-known/jwks.json")).json()
            published.append({key["kid"] for key in document["keys"]})
            signed_with.append(header_of((await session(client, LOGIN))["accessToken"])["kid"])
            return signed_with[-1] != signed_with[0]

        await until(another_key_signs, within=30, what="another key to sign")
        assert signed_with[-1] in published[-2], "verifiers knew the key before it signed"
        document = (await client.get("/.well-known/jwks.json")).json()
        assert jwt.decode(first, KeySet.import_key_set(document), ["RS256"]).claims["email"] == ADA["email"]
        assert (await me(client, first)).status_code == 200


# --- the first administrator ------------------------------------------------------------------------------


async def test_the_administrator_of_the_settings_is_there_from_the_start(room: Room) -> None:
    for _ in range(2):  # a second start changes nothing
        async with running(make_app(with_boss(room, BOSS["password"]))) as client:
            tokens = await session(client, BOSS)
            assert (await me(client, tokens["accessToken"])).json()["roles"] == ["admin"]
    assert await room.database("auth")["users"].count_documents({}) == 1


async def test_the_administrator_is_there_again_after_the_database_came_back_empty(room: Room) -> None:
    database = room.database("auth")
    async with running(make_app(with_boss(room, BOSS["password"]))) as client:
        await session(client, BOSS)
        await database.client.drop_database(database.name)
        # Somebody is faster than the next look: that there is an account does not mean that all is there.
        await database["users"].insert_one({"_id": "early", "email": "early@shop.example"})

        async def logs_in() -> bool:
            return (await client.post("/auth/login", json=BOSS)).status_code == 200

        await until(logs_in, within=30, what="the administrator")
        assert "email_1" in await database["users"].index_information()


async def test_a_changed_password_in_the_settings_is_the_password_and_ends_older_logins(room: Room) -> None:
    async with running(make_app(with_boss(room, BOSS["password"]))) as client:
        before = await session(client, BOSS)
    async with running(make_app(with_boss(room, "second password"))) as client:
        await session(client, BOSS | {"password": "second password"})
        assert (await client.post("/auth/login", json=BOSS)).status_code == 401
        assert (await refreshed(client, before["refreshToken"])).status_code == 401


async def test_whoever_registered_the_administrators_address_first_loses_it(room: Room) -> None:
    async with running(make_app(settings_for(room))) as client:
        squatter = await client.post("/auth/register", json=ADA | {"email": BOSS["email"]})
        assert squatter.status_code == 201
    async with running(make_app(with_boss(room, BOSS["password"]))) as client:
        tokens = await session(client, BOSS)
        assert (await me(client, tokens["accessToken"])).json()["roles"] == ["admin"]
        taken = {"email": BOSS["email"], "password": ADA["password"]}
        assert (await client.post("/auth/login", json=taken)).status_code == 401


async def test_a_changed_address_in_the_settings_takes_the_role_and_the_logins_from_the_former_one(
    room: Room,
) -> None:
    async with running(make_app(with_boss(room, BOSS["password"]))) as client:
        before = await session(client, BOSS)
    successor = {"email": "anna@x.example", "password": "another password"}
    settings = settings_for(
        room, admin_email=successor["email"], admin_password=SecretStr(successor["password"])
    )
    async with running(make_app(settings)) as client:
        assert (await refreshed(client, before["refreshToken"])).status_code == 401
        former = await session(client, BOSS)
        assert (await me(client, former["accessToken"])).json()["roles"] == []
        new = await session(client, successor)
        assert (await me(client, new["accessToken"])).json()["roles"] == ["admin"]


class Held(Passwords):
    """Passwords that are checked, and not answered before `go`."""

    def __init__(self) -> None:
        super().__init__(2)
        self.checked, self.go = asyncio.Event(), asyncio.Event()

    async def check(self, password: str, hash_: str | None) -> Check:
        check = await super().check(password, hash_)
        self.checked.set()
        await self.go.wait()
        return check


@pytest.mark.parametrize("is_outdated", [False, True], ids=["hash of today", "outdated hash"])
async def test_a_login_that_is_under_way_while_the_password_changes_is_refused(
    room: Room, *, is_outdated: bool
) -> None:
    app = make_app(with_boss(room, BOSS["password"]))
    async with running(app) as client:
        if is_outdated:
            older = PasswordHash((Argon2Hasher(memory_cost=1024, time_cost=1, parallelism=1),))
            change = {"$set": {"passwordHash": older.hash(BOSS["password"])}}
            await room.database("auth")["users"].update_one({}, change)
        desk, held = app.state.desk, Held()
        app.state.desk = desk._replace(passwords=held)
        login = asyncio.create_task(client.post("/auth/login", json=BOSS))
        await held.checked.wait()
        await administrator.seed(desk._replace(settings=with_boss(room, "second password")))
        held.go.set()
        assert (await login).status_code == 401
        app.state.desk = desk
        assert (await client.post("/auth/login", json=BOSS)).status_code == 401
        await session(client, BOSS | {"password": "second password"})


async def test_a_login_of_an_earlier_epoch_is_refused_whoever_wrote_it(
    client: httpx.AsyncClient, room: Room
) -> None:
    tokens = await logged_in(client)
    await room.database("auth")["users"].update_one({}, {"$inc": {"epoch": 1}})
    assert (await refreshed(client, tokens["refreshToken"])).status_code == 401


async def test_a_disabled_account_neither_logs_in_nor_stays_logged_in(
    client: httpx.AsyncClient, room: Room
) -> None:
    tokens = await logged_in(client)
    await room.database("auth")["users"].update_one({}, {"$set": {"disabled": True}})
    refused = await client.post("/auth/login", json=LOGIN)
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "the account is disabled: ask the shop's support",
    )
    assert (await refreshed(client, tokens["refreshToken"])).status_code == 403
    wrong = await client.post("/auth/login", json=LOGIN | {"password": "wrong"})
    assert wrong.status_code == 401, "only who knows the password learns of it"


# --- what administrators do with accounts -----------------------------------------------------------------


@pytest_asyncio.fixture
async def shop(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    """With an administrator, and with Ada as a customer."""
    async with running(make_app(with_boss(room, BOSS["password"]))) as client:
        assert (await client.post("/auth/register", json=ADA)).status_code == 201
        token = (await session(client, BOSS))["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def account(shop: httpx.AsyncClient, email: str) -> dict[str, Any]:
    (found,) = (await shop.get("/auth/accounts", params={"email": email})).json()["items"]
    state: dict[str, Any] = found
    return state


async def changed(shop: httpx.AsyncClient, email: str, **change: object) -> httpx.Response:
    return await shop.patch(f"/auth/accounts/{(await account(shop, email))['userId']}", json=change)


async def test_an_account_that_is_disabled_is_logged_out_and_comes_back_by_a_login(
    shop: httpx.AsyncClient,
) -> None:
    before = await session(shop, LOGIN)
    assert (await changed(shop, ADA["email"], disabled=True)).json()["disabled"] is True
    assert (await shop.post("/auth/login", json=LOGIN)).status_code == 403
    assert (await changed(shop, ADA["email"], disabled=False)).json()["disabled"] is False
    assert (await refreshed(shop, before["refreshToken"])).status_code == 401
    await session(shop, LOGIN)


async def test_who_gets_a_role_has_it_at_the_next_refresh_and_who_loses_it_is_logged_out(
    shop: httpx.AsyncClient,
) -> None:
    before = await session(shop, LOGIN)
    assert (await changed(shop, ADA["email"], roles=["support"])).json()["roles"] == ["support"]
    after = await refreshed(shop, before["refreshToken"])
    assert (await me(shop, after.json()["accessToken"])).json()["roles"] == ["support"]
    listed = (await shop.get("/auth/accounts")).json()["items"]
    assert [(each["email"], each["roles"]) for each in listed] == [
        (ADA["email"], ["support"]),
        (BOSS["email"], ["admin"]),
    ]
    assert (await changed(shop, ADA["email"], roles=[])).json()["roles"] == []
    assert (await refreshed(shop, after.json()["refreshToken"])).status_code == 401


async def test_an_administrator_ends_the_logins_of_an_account(shop: httpx.AsyncClient) -> None:
    before = await session(shop, LOGIN)
    ada = (await account(shop, ADA["email"]))["userId"]
    assert (await shop.post(f"/auth/accounts/{ada}/logout")).status_code == 204
    assert (await refreshed(shop, before["refreshToken"])).status_code == 401


async def test_what_administrators_cannot_do_with_accounts_is_refused(shop: httpx.AsyncClient) -> None:
    own = await changed(shop, BOSS["email"], roles=[])
    assert (own.status_code, own.json()["detail"]) == (
        409,
        "this is your own account: another administrator has to change it",
    )
    assert (await changed(shop, ADA["email"], roles=["root"])).status_code == 422
    assert (await shop.patch("/auth/accounts/nobody", json={})).status_code == 404
    assert (await shop.post("/auth/accounts/nobody/logout")).status_code == 404
    ada = (await session(shop, LOGIN))["accessToken"]
    shop.headers["Authorization"] = f"Bearer {ada}"
    assert (await shop.get("/auth/accounts")).status_code == 403


# --- a new password, and the end of all logins ------------------------------------------------------------

NEW = "another horse"


async def changed_password(
    client: httpx.AsyncClient, token: str, current: str = ADA["password"], new: str = NEW
) -> httpx.Response:
    return await client.post(
        "/auth/password",
        json={"currentPassword": current, "newPassword": new},
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_a_new_password_ends_all_logins_and_begins_one(client: httpx.AsyncClient) -> None:
    here, elsewhere = await logged_in(client), await session(client, LOGIN)
    changed = await changed_password(client, here["accessToken"])
    assert changed.status_code == 200
    assert changed.headers["cache-control"] == "no-store"
    for tokens in (here, elsewhere):
        assert (await refreshed(client, tokens["refreshToken"])).status_code == 401
    assert (await refreshed(client, changed.json()["refreshToken"])).status_code == 200
    assert (await client.post("/auth/login", json=LOGIN)).status_code == 401
    await session(client, LOGIN | {"password": NEW})


async def test_a_password_is_changed_by_who_knows_it_to_one_that_would_do_at_registration(
    client: httpx.AsyncClient,
) -> None:
    token = (await logged_in(client))["accessToken"]
    assert (await changed_password(client, token, current="wrong")).status_code == 401
    for new, message in (
        ("short", "a password has 8 to 128 characters, this one has 5"),
        (ADA["email"], "the password must not be the e-mail address or a part of it"),
        ("Password1", "this password is one of the most common ones: choose another"),
    ):
        refused = await changed_password(client, token, new=new)
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert (error["pointer"], error["message"]) == ("#/newPassword", message)
    await session(client, LOGIN)


async def test_of_two_who_change_a_password_at_once_one_succeeds(client: httpx.AsyncClient) -> None:
    token = (await logged_in(client))["accessToken"]
    answers = await asyncio.gather(*(changed_password(client, token, new=f"{NEW} {n}") for n in range(2)))
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])
    winner = next(answer for answer in answers if answer.is_success)
    assert (await refreshed(client, winner.json()["refreshToken"])).status_code == 200


async def test_logging_out_everywhere_ends_all_logins_and_no_later_one(client: httpx.AsyncClient) -> None:
    here, elsewhere = await logged_in(client), await session(client, LOGIN)
    headers = {"Authorization": f"Bearer {here['accessToken']}"}
    assert (await client.post("/auth/logout-all", headers=headers)).status_code == 204
    for tokens in (here, elsewhere):
        assert (await refreshed(client, tokens["refreshToken"])).status_code == 401
    after = await session(client, LOGIN)
    assert (await refreshed(client, after["refreshToken"])).status_code == 200


# --- guesses ----------------------------------------------------------------------------------------------


async def guessed(client: httpx.AsyncClient, number: int, email: str = ADA["email"]) -> httpx.Response:
    """A wrong password, from an address of its own."""
    login = {"email": email, "password": f"wrong {number}"}
    return await client.post("/auth/login", json=login, headers={"X-Forwarded-For": f"192.0.2.{number}"})


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("email", [ADA["email"], "nobody@x.example"])
async def test_after_twenty_wrong_passwords_from_wherever_the_next_has_to_wait(
    client: httpx.AsyncClient, room: Room, email: str
) -> None:
    await client.post("/auth/register", json=ADA)
    answers = await asyncio.gather(*(guessed(client, number, email) for number in range(30)))
    assert sorted(answer.status_code for answer in answers) == 20 * [401] + 10 * [429]
    waiting = next(answer for answer in answers if answer.status_code == 429)
    seconds = int(waiting.headers["retry-after"])
    assert 0 < seconds <= 30
    detail = f"there were too many wrong passwords for this account: try again in {seconds} s"
    assert waiting.json()["detail"] == detail
    longer_ago = {"$set": {"at": datetime.now(UTC) - timedelta(seconds=30)}}
    await room.database("auth")["guesses"].update_many({}, longer_ago)
    assert (await guessed(client, 31, email)).status_code == 401, "a delay, and no lock-out"
    assert 30 < int((await guessed(client, 32, email)).headers["retry-after"]) <= 60


@pytest.mark.usefixtures("patient")
async def test_a_client_who_is_known_is_not_delayed_by_what_others_guess(client: httpx.AsyncClient) -> None:
    tokens = await logged_in(client)
    await asyncio.gather(*(guessed(client, number) for number in range(21)))
    assert (await client.post("/auth/login", json=LOGIN)).status_code == 429
    known = {"refreshToken": tokens["refreshToken"]}
    await session(client, LOGIN | known)
    strangers = {"refreshToken": tokens["refreshToken"].partition(".")[0] + ".secret"}
    assert (await client.post("/auth/login", json=LOGIN | strangers)).status_code == 429
    wrong = [client.post("/auth/login", json=LOGIN | known | {"password": "wrong"}) for _ in range(21)]
    answers = await asyncio.gather(*wrong)
    assert sorted(answer.status_code for answer in answers) == 20 * [401] + [429], "it has a budget, too"


async def test_right_passwords_are_not_counted(client: httpx.AsyncClient, room: Room) -> None:
    token = (await logged_in(client))["accessToken"]
    assert (await changed_password(client, token)).status_code == 200
    stored = await room.database("auth")["guesses"].find().to_list()
    assert [each["failures"] for each in stored] == [0, 0]
    assert ADA["email"] not in str(stored)


@pytest.mark.usefixtures("patient")
async def test_whoever_has_a_token_cannot_try_passwords_without_end(client: httpx.AsyncClient) -> None:
    token = (await logged_in(client))["accessToken"]
    answers = await asyncio.gather(*(changed_password(client, token, current=f"no {n}") for n in range(21)))
    assert sorted(answer.status_code for answer in answers) == 20 * [401] + [429]
    await session(client, LOGIN)


# --- without a database -----------------------------------------------------------------------------------


async def test_without_its_database_it_lives_is_not_ready_and_says_why(room: Room) -> None:
    nowhere = settings_for(room, mongodb_url="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200")
    async with serving(make_app, nowhere) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/.well-known/jwks.json")).status_code == 503
        answer = await client.post("/auth/login", json=LOGIN)
        assert (answer.status_code, answer.json()["detail"]) == (503, "the database is unavailable")
        assert answer.headers["retry-after"] == "1"
