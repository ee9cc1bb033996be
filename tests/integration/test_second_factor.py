"""The second factor with a real auth service: logins that need a code, and codes that work once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet
from pydantic import SecretStr

from sagactl.polling import until
from services.auth import guesses
from services.auth.main import make_app
from services.auth.settings import AuthSettings
from services.shared.database.trail import COLLECTION, database_of
from tests.integration.authenticator import App
from tests.integration.room import PATIENCE, Room, running

ADA = {"email": "ada@x.example", "password": "correct horse"}
BOSS = {"email": "boss@x.example", "password": "first password"}
pytestmark = [pytest.mark.usefixtures("one_half_minute"), pytest.mark.without_broker]


def settings_for(room: Room, **changes: Any) -> AuthSettings:
    boss = {"admin_email": BOSS["email"], "admin_password": SecretStr(BOSS["password"])}
    return AuthSettings(**room.settings("auth") | boss | changes)


@pytest_asyncio.fixture
async def client(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(settings_for(room))) as client:
        await client.post("/auth/register", json=ADA | {"name": "Ada"})
        yield client


async def log_in(client: httpx.AsyncClient, login: dict[str, str], code: str | None = None) -> httpx.Response:
    return await client.post("/auth/login", json=login | ({"code": code} if code else {}))


async def headers(
    client: httpx.AsyncClient, login: dict[str, str], code: str | None = None
) -> dict[str, str]:
    answer = await log_in(client, login, code)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


async def enrolled(client: httpx.AsyncClient, login: dict[str, str]) -> tuple[App, list[str], dict[str, Any]]:
    """The app, the recovery codes, and the session that was begun."""
    who = await headers(client, login)
    proof = {"currentPassword": login["password"]}
    answer = await client.post("/auth/totp/enrol", json=proof, headers=who)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    app = App(answer.json()["otpauthUri"])
    assert unquote(urlsplit(answer.json()["otpauthUri"]).path) == f"/sagashop:{login['email']}"
    confirmed = await client.post(
        "/auth/totp/confirm", json={"code": app.code(steps_from_now=-1)}, headers=who
    )
    assert confirmed.status_code == 200, confirmed.text
    return app, answer.json()["recoveryCodes"], confirmed.json()


async def test_a_login_of_an_account_with_a_second_factor_needs_a_code(client: httpx.AsyncClient) -> None:
    app, _, _ = await enrolled(client, ADA)
    asked = await log_in(client, ADA)
    assert (asked.status_code, asked.json()["code"]) == (401, "totp-required")
    wrong = await log_in(client, ADA, "12345")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "totp-refused")
    who = await headers(client, ADA, app.code())
    assert (await client.get("/auth/me", headers=who)).json()["totp"] is True


async def test_whoever_does_not_know_the_password_does_not_learn_of_the_second_factor(
    client: httpx.AsyncClient,
) -> None:
    await enrolled(client, ADA)
    with_factor = await log_in(client, ADA | {"password": "wrong"}, "123456")
    without = await log_in(client, BOSS | {"password": "wrong"}, "123456")
    nobody = await log_in(client, {"email": "eve@x.example", "password": "wrong"}, "123456")
    assert with_factor.json() == without.json() == nobody.json()
    assert with_factor.json()["code"] == "login-failed"


async def test_a_code_works_once_even_for_many_at_once(client: httpx.AsyncClient) -> None:
    app, _, _ = await enrolled(client, ADA)
    code = app.code()
    answers = await asyncio.gather(*(log_in(client, ADA, code) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + 4 * [401]
    assert (await log_in(client, ADA, code)).json()["code"] == "totp-refused"
    assert (await log_in(client, ADA, app.code(steps_from_now=-1))).status_code == 401, "an earlier one"
    assert (await log_in(client, ADA, app.code(steps_from_now=1))).status_code == 200


async def test_a_recovery_code_works_once_even_for_many_at_once(client: httpx.AsyncClient) -> None:
    _, codes, _ = await enrolled(client, ADA)
    assert len(set(codes)) == 10
    answers = await asyncio.gather(*(log_in(client, ADA, codes[0]) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + 4 * [401]
    assert (await log_in(client, ADA, codes[1])).status_code == 200


async def test_logins_from_before_the_second_factor_end(client: httpx.AsyncClient) -> None:
    before = (await log_in(client, ADA)).json()
    _, _, begun = await enrolled(client, ADA)
    refused = await client.post("/auth/refresh", json={"refreshToken": before["refreshToken"]})
    assert refused.status_code == 401
    assert (
        await client.post("/auth/refresh", json={"refreshToken": begun["refreshToken"]})
    ).status_code == 200


async def test_what_was_begun_and_not_confirmed_does_not_count(client: httpx.AsyncClient) -> None:
    who = await headers(client, ADA)
    nothing = await client.post("/auth/totp/confirm", json={"code": "123456"}, headers=who)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "state-forbids")
    proof = {"currentPassword": ADA["password"]}
    first = await client.post("/auth/totp/enrol", json=proof, headers=who)
    second = await client.post("/auth/totp/enrol", json=proof, headers=who)
    assert (await log_in(client, ADA)).status_code == 200
    stale = await client.post(
        "/auth/totp/confirm", json={"code": App(first.json()["otpauthUri"]).code()}, headers=who
    )
    assert (stale.status_code, stale.json()["code"]) == (401, "totp-refused")
    recovery = {"code": second.json()["recoveryCodes"][0]}
    assert (await client.post("/auth/totp/confirm", json=recovery, headers=who)).status_code == 401
    code = {"code": App(second.json()["otpauthUri"]).code()}
    assert (await client.post("/auth/totp/confirm", json=code, headers=who)).status_code == 200


async def test_a_stolen_access_token_changes_no_second_factor(client: httpx.AsyncClient) -> None:
    who = await headers(client, ADA)
    wrong = {"currentPassword": "wrong"}
    assert (await client.post("/auth/totp/enrol", json=wrong, headers=who)).status_code == 401
    app, codes, begun = await enrolled(client, ADA)
    who = {"Authorization": f"Bearer {begun['accessToken']}"}
    right = {"currentPassword": ADA["password"]}
    again = await client.post("/auth/totp/enrol", json=right, headers=who)
    assert again.status_code == 409, "one that counts is not replaced"
    for proof in (wrong | {"code": app.code()}, right | {"code": "123"}):
        assert (await client.post("/auth/totp/disable", json=proof, headers=who)).status_code == 401
    ended = await client.post("/auth/totp/disable", json=right | {"code": codes[0]}, headers=who)
    assert ended.status_code == 204
    older = await client.post("/auth/totp/disable", json=right | {"code": codes[1]}, headers=who)
    assert older.status_code == 401, "its login ended with the second factor"
    who = await headers(client, ADA)
    none = await client.post("/auth/totp/disable", json=right | {"code": codes[1]}, headers=who)
    assert none.status_code == 409


@pytest.mark.usefixtures("patient")
async def test_wrong_codes_count_against_the_accounts_budget(client: httpx.AsyncClient, room: Room) -> None:
    app, _, _ = await enrolled(client, ADA)
    for _ in range(guesses.FREE):
        assert (await log_in(client, ADA, "12345")).json()["code"] == "totp-refused"
        # Whoever has the password alone may ask as often as they like: it gives them nothing.
        assert (await log_in(client, ADA)).json()["code"] in {"totp-required", "rate-limited"}
    limited = await log_in(client, ADA, app.code())
    assert (limited.status_code, limited.json()["code"]) == (429, "rate-limited")
    counted = [document async for document in room.database("auth")["guesses"].find()]
    assert max(each["failures"] for each in counted) > guesses.FREE - 1


async def test_what_is_done_with_a_second_factor_is_on_the_audit_trail(
    client: httpx.AsyncClient, room: Room
) -> None:
    """A refused code most of all: somebody else has the password. Who is asked for one was not refused."""
    _, codes, begun = await enrolled(client, ADA)
    await log_in(client, ADA)
    await log_in(client, ADA, "12345")
    proof = {"currentPassword": ADA["password"], "code": codes[0]}
    who = {"Authorization": f"Bearer {begun['accessToken']}"}
    assert (await client.post("/auth/totp/disable", json=proof, headers=who)).status_code == 204
    ada = await room.database("auth")["users"].find_one({"email": ADA["email"]})
    assert ada is not None
    trail = room.mongodb[database_of(room.database_name("auth"))][COLLECTION]
    told = [entry async for entry in trail.find({"subject": ada["_id"]}).sort("at")]
    assert [(entry["action"], entry["outcome"], entry["reason"]) for entry in told][-4:] == [
        ("second-factor.begun", "done", None),
        ("login", "halfway", "totp-required"),
        ("login", "refused", "totp-refused"),
        ("second-factor.ended", "done", None),
    ]


async def test_neither_secret_nor_recovery_codes_are_in_the_database(
    client: httpx.AsyncClient, room: Room
) -> None:
    app, codes, _ = await enrolled(client, ADA)
    stored = str(await room.database("auth")["users"].find_one({"email": ADA["email"]}))
    assert app.secret not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


async def test_a_sealed_secret_of_one_account_is_of_no_use_in_another(
    client: httpx.AsyncClient, room: Room
) -> None:
    app, _, _ = await enrolled(client, ADA)
    users = room.database("auth")["users"]
    ada = await users.find_one({"email": ADA["email"]})
    assert ada is not None
    await users.update_one({"email": BOSS["email"]}, {"$set": {"totp": ada["totp"]}})
    assert (await log_in(client, BOSS, app.code())).status_code == 503


OLDER, NEWER = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


def with_keys(room: Room, *keys: str) -> AuthSettings:
    return settings_for(room, secrets_key=SecretStr(",".join(keys)))


async def of_older_keys(client: httpx.AsyncClient) -> float:
    """As `/metrics` says."""
    text = (await client.get("/metrics")).text
    (sample,) = (
        line for line in text.splitlines() if line.startswith("sagashop_auth_secrets_of_older_keys ")
    )
    return float(sample.split()[1])


async def test_secrets_are_sealed_anew_once_the_newer_key_is_first_without_a_login(room: Room) -> None:
    async with running(make_app(with_keys(room, OLDER))) as client:
        app, _, _ = await enrolled(client, BOSS)
    users = room.database("auth")["users"]
    before = await users.find_one({"email": BOSS["email"]})
    async with running(make_app(with_keys(room, OLDER, NEWER))) as client:
        assert await users.find_one({"email": BOSS["email"]}) == before, (
            "the new key opens, and does not seal"
        )
    async with running(make_app(with_keys(room, NEWER, OLDER))) as client:

        async def changed() -> bool:
            return await users.find_one({"email": BOSS["email"]}) != before

        await until(changed, within=PATIENCE, what="the secret to be sealed anew")
    async with running(make_app(with_keys(room, NEWER))) as client:
        assert (await log_in(client, BOSS, app.code())).status_code == 200
        assert await of_older_keys(client) == 0


async def test_where_the_key_is_gone_that_sealed_the_secret_recovery_codes_work(room: Room) -> None:
    async with running(make_app(with_keys(room, OLDER))) as client:
        app, codes, _ = await enrolled(client, BOSS)
    async with running(make_app(with_keys(room, NEWER))) as client:

        async def counted() -> bool:
            return await of_older_keys(client) == 1

        await until(counted, within=PATIENCE, what="the secret to be counted")
        assert (await log_in(client, BOSS, app.code())).status_code == 503
        who = await headers(client, BOSS, codes[0])
        end = {"currentPassword": BOSS["password"], "code": codes[1]}
        assert (await client.post("/auth/totp/disable", json=end, headers=who)).status_code == 204
        await enrolled(client, BOSS)


async def test_where_it_is_required_an_administrator_is_one_once_the_app_is_confirmed(room: Room) -> None:
    async with running(make_app(settings_for(room, require_totp=True))) as client:
        first = (await log_in(client, BOSS)).json()
        who = {"Authorization": f"Bearer {first['accessToken']}"}
        assert first["totpMissing"] is True
        assert (await client.get("/auth/accounts", headers=who)).status_code == 403
        assert await roles_in(client, first["accessToken"]) == []
        again = (await client.post("/auth/refresh", json={"refreshToken": first["refreshToken"]})).json()
        assert await roles_in(client, again["accessToken"]) == []
        _, _, begun = await enrolled(client, BOSS)
        assert begun["totpMissing"] is False
        who = {"Authorization": f"Bearer {begun['accessToken']}"}
        assert (await client.get("/auth/accounts", headers=who)).status_code == 200


async def test_whoever_lost_the_app_is_helped_by_another_administrator(
    client: httpx.AsyncClient, room: Room
) -> None:
    _, _, begun = await enrolled(client, ADA)
    who = await headers(client, BOSS)
    (ada,) = (await client.get("/auth/accounts", params={"email": ADA["email"]}, headers=who)).json()["items"]
    assert ada["totp"] is True
    path = f"/auth/accounts/{ada['userId']}/totp"
    assert (await client.delete(path, headers=who)).status_code == 204
    assert (await log_in(client, ADA)).status_code == 200
    ended = await client.post("/auth/refresh", json={"refreshToken": begun["refreshToken"]})
    assert ended.status_code == 401
    boss = (await client.get("/auth/me", headers=who)).json()
    own = await client.delete(f"/auth/accounts/{boss['userId']}/totp", headers=who)
    assert own.status_code == 409
    assert (await client.delete(path, headers=who)).status_code == 204
    assert await endings_of(room, ada["userId"]) == 1, "there was none to be ended the second time"


async def endings_of(room: Room, user_id: str) -> int:
    """How often the trail says that a second factor of theirs was ended."""
    trail = room.mongodb[database_of(room.database_name("auth"))][COLLECTION]
    ended = {"subject": user_id, "action": "second-factor.ended", "outcome": "done"}
    return int(await trail.count_documents(ended))


async def test_of_many_who_end_the_second_factor_at_once_one_does_and_is_recorded(
    client: httpx.AsyncClient, room: Room
) -> None:
    _, codes, begun = await enrolled(client, ADA)
    who = {"Authorization": f"Bearer {begun['accessToken']}"}
    proofs = [{"currentPassword": ADA["password"], "code": code} for code in codes[:4]]
    answers = await asyncio.gather(
        *(client.post("/auth/totp/disable", json=proof, headers=who) for proof in proofs)
    )
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401]
    ada = await room.database("auth")["users"].find_one({"email": ADA["email"]})
    assert ada is not None
    assert await endings_of(room, ada["_id"]) == 1


async def roles_in(client: httpx.AsyncClient, token: str) -> list[str]:
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    roles: list[str] = jwt.decode(token, keys).claims["roles"]
    return roles
