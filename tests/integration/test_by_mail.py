"""Letters with a real auth service: an address is verified, a password replaced, nobody found out."""

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyotp
import pytest
import pytest_asyncio

from services.auth.main import make_app
from services.auth.settings import AuthSettings
from services.shared.database.trail import COLLECTION, database_of
from tests.integration.room import Room, running

pytestmark = pytest.mark.without_broker
ADA = {"email": "ada@x.example", "password": "correct horse"}
BOB = {"email": "bob@x.example", "password": "correct horse"}
NOBODY = "eve@x.example"
NEW = "another horse"


def settings_for(room: Room, **changes: Any) -> AuthSettings:
    return AuthSettings(**room.settings("auth") | {"log_mail_tokens": True} | changes)


@pytest_asyncio.fixture
async def client(room: Room, caplog: pytest.LogCaptureFixture) -> AsyncIterator[httpx.AsyncClient]:
    """A shop that hands tokens out in its log, and Ada's account."""
    caplog.set_level("INFO", "services.auth")
    async with running(make_app(settings_for(room))) as client:
        assert (await client.post("/auth/register", json=ADA | {"name": "Ada"})).status_code == 201
        yield client


def token_of(kind: str, caplog: pytest.LogCaptureFixture) -> str:
    """Of the latest letter."""
    said = (re.search(rf"to {kind} account \S+, the token is (\S+)", line) for line in caplog.messages)
    return [found[1] for found in said if found][-1]


async def asked_for_reset(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> str:
    assert (await client.post("/auth/reset", json={"email": ADA["email"]})).status_code == 202
    return token_of("reset", caplog)


async def confirm(client: httpx.AsyncClient, token: str, new: str = NEW) -> httpx.Response:
    return await client.post("/auth/reset/confirm", json={"token": token, "newPassword": new})


async def log_in(client: httpx.AsyncClient, password: str = ADA["password"]) -> httpx.Response:
    return await client.post("/auth/login", json=ADA | {"password": password})


async def is_verified(client: httpx.AsyncClient, login: dict[str, str] = ADA) -> bool:
    token = (await client.post("/auth/login", json=login)).json()["accessToken"]
    me = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    verified: bool = me.json()["verified"]
    return verified


async def test_an_address_is_verified_by_the_letter_of_the_registration(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.post("/auth/register", json=BOB | {"name": "Bob"})
    assert await is_verified(client, BOB) is False
    token = token_of("verify", caplog)
    answers = await asyncio.gather(*(client.post("/auth/verify", json={"token": token}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204] + 4 * [422]
    assert await is_verified(client, BOB) is True
    assert await is_verified(client) is False, "another's is not"


async def test_another_letter_verifies_it_too(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = []
    for _ in range(2):
        asked = await client.post("/auth/verify/resend", json={"email": " ADA@x.example"})
        assert (asked.status_code, asked.content) == (202, b"")
        tokens.append(token_of("verify", caplog))
    first, second = tokens
    assert second != first
    assert (await client.post("/auth/verify", json={"token": second})).status_code == 204
    left = await client.post("/auth/verify", json={"token": first})
    assert (left.status_code, left.json()["code"]) == (422, "mail-token-refused")


async def test_a_forgotten_password_is_replaced_and_all_logins_end(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = (await log_in(client)).json()
    token = await asked_for_reset(client, caplog)
    assert (await confirm(client, token)).status_code == 204
    assert (await log_in(client)).status_code == 401
    assert (await log_in(client, NEW)).status_code == 200
    ended = await client.post("/auth/refresh", json={"refreshToken": before["refreshToken"]})
    assert ended.status_code == 401
    assert await is_verified(client, ADA | {"password": NEW}) is True, (
        "whoever read the letter has the address"
    )


async def test_a_token_works_once_even_for_many_at_once(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asked_for_reset(client, caplog)
    passwords = [f"password number {number}" for number in range(5)]
    answers = await asyncio.gather(*(confirm(client, token, new) for new in passwords))
    assert sorted(answer.status_code for answer in answers) == [204] + 4 * [422]
    winner = next(new for new, answer in zip(passwords, answers, strict=True) if answer.is_success)
    assert (await log_in(client, winner)).status_code == 200


async def test_a_weak_password_is_refused_and_the_token_still_works(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asked_for_reset(client, caplog)
    weak = await confirm(client, token, "short")
    assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "newPassword")
    assert (await confirm(client, token)).status_code == 204


async def test_a_changed_password_voids_the_letters_that_were_asked_for_before(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await asked_for_reset(client, caplog), await asked_for_reset(client, caplog)
    assert (await confirm(client, second)).status_code == 204
    assert (await confirm(client, first, "a third horse")).json()["code"] == "mail-token-refused"


async def test_an_expired_token_is_refused_before_the_database_forgets_it(
    client: httpx.AsyncClient, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asked_for_reset(client, caplog)
    letters = room.database("auth")["letters"]
    await letters.update_many({}, {"$set": {"expiresAt": datetime.now(UTC) - timedelta(seconds=1)}})
    assert (await confirm(client, token)).status_code == 422
    assert (await letters.index_information())["expiresAt_1"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize("token", ["x", "x.y", ".", "\x00.", "a" * 256])
async def test_what_is_no_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    assert (await confirm(client, token)).json()["code"] == "mail-token-refused"
    assert (await client.post("/auth/verify", json={"token": token})).json()["code"] == "mail-token-refused"


async def with_second_factor(client: httpx.AsyncClient) -> None:
    session = (await log_in(client)).json()
    client.headers["Authorization"] = f"Bearer {session['accessToken']}"
    begun = await client.post("/auth/totp/enrol", json={"currentPassword": ADA["password"]})
    secret = re.search("secret=([A-Z2-7]+)", begun.json()["otpauthUri"])
    assert secret is not None
    code = pyotp.TOTP(secret[1]).now()
    assert (await client.post("/auth/totp/confirm", json={"code": code})).status_code == 200


async def test_a_second_factor_outlives_the_password(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await client.post("/auth/verify/resend", json={"email": ADA["email"]})).status_code == 202
    assert (await client.post("/auth/verify", json={"token": token_of("verify", caplog)})).status_code == 204
    await with_second_factor(client)
    assert (await confirm(client, await asked_for_reset(client, caplog))).status_code == 204
    assert (await log_in(client, NEW)).json()["code"] == "totp-required"


async def test_whoever_registered_anothers_address_does_not_lock_them_out_by_a_second_factor(
    client: httpx.AsyncClient, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await with_second_factor(client)
    assert (await confirm(client, await asked_for_reset(client, caplog))).status_code == 204
    assert await is_verified(client, ADA | {"password": NEW}) is True
    trail = room.mongodb[database_of(room.database_name("auth"))][COLLECTION]
    told = [entry["action"] async for entry in trail.find().sort("at")]
    assert told[-3:] == ["password.reset", "second-factor.ended", "login"]


async def test_a_disabled_account_gets_no_letter(
    client: httpx.AsyncClient, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asked_for_reset(client, caplog)
    await room.database("auth")["users"].update_one({}, {"$set": {"disabled": True}})
    assert (await confirm(client, token)).status_code == 422
    caplog.clear()
    assert (await client.post("/auth/reset", json={"email": ADA["email"]})).status_code == 202
    assert not [line for line in caplog.messages if "the token is" in line]


async def test_no_answer_and_no_row_but_its_account_tells_whether_there_is_one(
    client: httpx.AsyncClient, room: Room
) -> None:
    for path in ("/auth/reset", "/auth/verify/resend"):
        known = await client.post(path, json={"email": ADA["email"]})
        unknown = await client.post(path, json={"email": NOBODY})
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
        assert known.headers.keys() == unknown.headers.keys()
    stored = [letter async for letter in room.database("auth")["letters"].find()]
    assert len(stored) == 5, "one of the registration, and two for each address"
    assert NOBODY not in str(stored)


async def test_it_takes_as_long_for_an_address_that_has_no_account(
    client: httpx.AsyncClient, room: Room
) -> None:
    """By the median of many, one of each in turn, as a stranger would compare them.

    What takes longer shows every time; what the machine does beside, not three times in a row.
    """
    ratios: list[float] = []
    while len(ratios) < 3:
        took: dict[str, list[float]] = {ADA["email"]: [], NOBODY: []}
        for _ in range(40):
            for email, times in took.items():
                await room.database("auth")["guesses"].delete_many({})
                begun = time.perf_counter()
                assert (await client.post("/auth/reset", json={"email": email})).status_code == 202
                times.append(time.perf_counter() - begun)
        known, unknown = map(statistics.median, took.values())
        ratios.append(known / unknown)
        if 0.7 < ratios[-1] < 1.4:
            return
    pytest.fail(f"known to unknown: {ratios}")


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/verify/resend"])
@pytest.mark.parametrize("email", [ADA["email"], NOBODY])
async def test_an_address_is_sent_few_letters_and_which_address_does_not_matter(
    client: httpx.AsyncClient, path: str, email: str
) -> None:
    answers = [await client.post(path, json={"email": email}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert int(answers[3].headers["retry-after"]) > 1000


async def test_without_the_setting_no_token_exists_anywhere(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(make_app(settings_for(room, log_mail_tokens=False))) as client:
        await client.post("/auth/register", json=ADA | {"name": "Ada"})
        await client.post("/auth/reset", json={"email": ADA["email"]})
    logged = capsys.readouterr().out
    assert "account.registered" in logged
    assert "token is" not in logged
    stored = [letter async for letter in room.database("auth")["letters"].find()]
    assert [letter["digest"] for letter in stored] == ["", ""]


async def test_tokens_are_stored_as_hashes_alone(
    client: httpx.AsyncClient, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asked_for_reset(client, caplog)
    stored = str([letter async for letter in room.database("auth")["letters"].find()])
    assert token.partition(".")[0] in stored
    assert token.partition(".")[2] not in stored


async def test_no_address_is_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = await asked_for_reset(client, caplog)
    await confirm(client, token)
    await log_in(client)
    await log_in(client, NEW)
    assert [line for line in caplog.messages if "password.reset" in line]
    assert not [line for line in caplog.messages if ADA["email"] in line]
