"""What an access token is good for at auth once the account's logins have ended: nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.auth import guesses
from services.auth.main import make_app
from tests.integration.authenticator import App
from tests.integration.room import Room, running
from tests.integration.test_second_factor import ADA, BOSS, enrolled, headers, log_in, settings_for

pytestmark = [pytest.mark.usefixtures("one_half_minute"), pytest.mark.without_broker]
NEW = "another horse"
PROOF = {"currentPassword": ADA["password"]}
ASKED: list[tuple[str, str, dict[str, str] | None]] = [
    ("GET", "/auth/me", None),
    ("POST", "/auth/password", PROOF | {"newPassword": NEW}),
    ("POST", "/auth/logout-all", None),
    ("POST", "/auth/totp/enrol", PROOF),
    ("POST", "/auth/totp/confirm", {"code": "123456"}),
    ("POST", "/auth/totp/disable", PROOF | {"code": "123456"}),
]


@pytest_asyncio.fixture
async def client(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(settings_for(room))) as client:
        await client.post("/auth/register", json=ADA | {"name": "Ada"})
        yield client


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['accessToken']}"}


async def changed(client: httpx.AsyncClient, who: dict[str, str], code: str | None = None) -> httpx.Response:
    change = PROOF | {"newPassword": NEW} | ({"code": code} if code else {})
    return await client.post("/auth/password", json=change, headers=who)


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
async def test_a_token_from_before_the_second_factor_is_refused(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    older = await headers(client, ADA)
    _, _, begun = await enrolled(client, ADA)
    refused = await client.request(method, path, json=body, headers=older)
    assert (refused.status_code, refused.json()["code"]) == (401, "token-invalid")
    assert refused.json()["detail"] == "all logins of the account were ended: log in again"
    assert (await client.get("/auth/me", headers=bearer(begun))).status_code == 200
    assert (await log_in(client, ADA)).json()["code"] == "totp-required", "the password is what it was"


async def test_a_token_from_before_all_logins_ended_is_refused(client: httpx.AsyncClient) -> None:
    older, other = await headers(client, ADA), await headers(client, ADA)
    assert (await client.post("/auth/logout-all", headers=older)).status_code == 204
    for who in (older, other):
        assert (await changed(client, who)).status_code == 401
    assert (await client.get("/auth/me", headers=await headers(client, ADA))).status_code == 200


async def test_whoever_is_no_administrator_any_more_manages_nothing(client: httpx.AsyncClient) -> None:
    boss = await headers(client, BOSS)
    (ada,) = (await client.get("/auth/accounts", params={"email": ADA["email"]}, headers=boss)).json()[
        "items"
    ]
    path = f"/auth/accounts/{ada['userId']}"
    assert (await client.patch(path, json={"roles": ["admin"]}, headers=boss)).status_code == 200
    former = await headers(client, ADA)
    assert (await client.get("/auth/accounts", headers=former)).status_code == 200
    assert (await client.patch(path, json={"roles": []}, headers=boss)).status_code == 200
    for managed in ("/auth/accounts", "/auth/keys"):
        refused = await client.get(managed, headers=former)
        assert (refused.status_code, refused.json()["code"]) == (401, "token-invalid")


async def test_a_password_is_changed_with_a_code_where_there_is_a_second_factor(
    client: httpx.AsyncClient,
) -> None:
    app, codes, begun = await enrolled(client, ADA)
    asked = await changed(client, bearer(begun))
    assert (asked.status_code, asked.json()["code"]) == (401, "totp-required")
    wrong = await changed(client, bearer(begun), "12345")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "totp-refused")
    answer = await changed(client, bearer(begun), codes[0])
    assert answer.status_code == 200, answer.text
    assert (await client.get("/auth/me", headers=bearer(answer.json()))).status_code == 200
    renewed = ADA | {"password": NEW}
    assert (await log_in(client, renewed, codes[0])).json()["code"] == "totp-refused", "it was used"
    assert (await log_in(client, renewed, app.code())).status_code == 200


async def test_of_many_who_change_the_password_with_one_code_at_once_one_does(
    client: httpx.AsyncClient,
) -> None:
    _, codes, begun = await enrolled(client, ADA)
    answers = await asyncio.gather(*(changed(client, bearer(begun), codes[0]) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


@pytest.mark.usefixtures("patient")
async def test_wrong_codes_are_counted_together_wherever_they_are_tried(client: httpx.AsyncClient) -> None:
    """By whoever has the password, a token, and the refresh token of a known client."""
    app, _, begun = await enrolled(client, ADA)
    known = ADA | {"refreshToken": begun["refreshToken"]}
    end = PROOF | {"code": "12345"}
    for number in range(guesses.FREE):
        if number % 4 == 0:
            answer = await log_in(client, ADA, "12345")
        elif number % 4 == 1:
            answer = await log_in(client, known, "12345")
        elif number % 4 == 2:
            answer = await changed(client, bearer(begun), "12345")
        else:
            answer = await client.post("/auth/totp/disable", json=end, headers=bearer(begun))
        assert answer.json()["code"] == "totp-refused", number
    assert await limited(client, known, begun, app)


async def limited(client: httpx.AsyncClient, known: dict[str, str], begun: dict[str, Any], app: App) -> bool:
    end = PROOF | {"code": app.code()}
    answers = [
        await log_in(client, ADA, app.code()),
        await log_in(client, known, app.code()),
        await changed(client, bearer(begun), app.code()),
        await client.post("/auth/totp/disable", json=end, headers=bearer(begun)),
    ]
    return all(
        answer.status_code == 429 and "too many wrong codes for this account" in answer.json()["detail"]
        for answer in answers
    )
