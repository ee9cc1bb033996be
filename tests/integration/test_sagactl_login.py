"""`sagactl login`, `whoami` and `logout` with a real auth service; the gateway would pass requests on."""

import asyncio
import stat
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from typer.testing import Result

from sagactl import kept_login
from sagactl.exits import Exit
from sagactl.kept_login import KeptLogin
from sagactl.polling import until
from services.auth.main import make_app
from services.auth.settings import AuthSettings
from tests.forms import document
from tests.integration.authenticator import with_second_factor
from tests.integration.command_line import called
from tests.integration.room import PATIENCE, Room
from tests.integration.serving import serving

pytestmark = pytest.mark.without_broker
BOSS = {"email": "boss@x.example", "password": "first password"}
ADA = {"email": "ada@x.example", "password": "correct horse"}


@pytest_asyncio.fixture
async def url(room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[str]:
    password = SecretStr(BOSS["password"])
    settings = AuthSettings(**room.settings("auth"), admin_email=BOSS["email"], admin_password=password)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    async with serving(make_app, settings) as url, httpx.AsyncClient(base_url=url) as client:

        async def ready() -> bool:
            return (await client.get("/readyz")).is_success

        await until(ready, within=PATIENCE, what="the service to be ready")
        assert (await client.post("/auth/register", json=ADA | {"name": "Ada"})).status_code == 201
        yield url


async def log_in(url: str, account: dict[str, str], **environment: str | None) -> Result:
    command = ("login", "--gateway", url, "--email", account["email"])
    return await called(*command, environment=environment, typed=account["password"] + "\n")


def login() -> KeptLogin:
    found = kept_login.kept()
    assert found is not None
    return found


async def as_a_process(*command: str) -> int:
    """Its exit code."""
    code = "from sagactl.cli import app; app()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *command, stdout=DEVNULL)
    return await process.wait()


async def refreshed(url: str, token: str) -> int:
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.post("/auth/refresh", json={"refreshToken": token})).status_code


async def test_whoever_is_logged_in_needs_no_password_until_they_log_out(url: str) -> None:
    done = await log_in(url, BOSS)
    assert (done.exit_code, f"as {BOSS['email']} (admin)" in done.output) == (0, True), done.output
    assert login().access_token not in done.output + repr(login())
    file = kept_login.file()
    assert [stat.S_IMODE(each.stat().st_mode) for each in (file.parent, file)] == [0o700, 0o600]
    who = document((await called("whoami", "-o", "json")).stdout)
    assert [who[name] for name in ("gateway", "email", "roles", "by")] == [
        url,
        BOSS["email"],
        ["admin"],
        "login",
    ]
    assert (await called("accounts", "list", "-o", "name")).stdout.split() == [BOSS["email"]]
    token = login().refresh_token
    assert (await called("logout")).exit_code == 0
    assert await refreshed(url, token) == 401
    assert not file.exists()
    assert (await called("whoami")).exit_code == Exit.USAGE
    assert (await called("logout")).exit_code == 0, "nobody is logged in"


async def test_it_comes_before_passwords_at_its_own_gateway_and_at_no_other(url: str) -> None:
    assert (await log_in(url, ADA)).exit_code == 0
    given = {"GATEWAY_URL": url, "ADMIN_EMAIL": BOSS["email"], "ADMIN_PASSWORD": BOSS["password"]}
    at_its_own = document((await called("whoami", "-o", "json", environment=given)).stdout)
    assert (at_its_own["email"], at_its_own["by"]) == (ADA["email"], "login")
    assert "a stored login is used first" in at_its_own["unused"][0]
    elsewhere = given | {"GATEWAY_URL": url.replace("127.0.0.1", "localhost")}
    at_another = document((await called("whoami", "-o", "json", environment=elsewhere)).stdout)
    assert (at_another["email"], at_another["by"]) == (BOSS["email"], "settings")
    assert "to another gateway" in at_another["unused"][0]


async def test_a_login_that_expires_is_renewed_once_however_many_commands_find_it_so(url: str) -> None:
    await log_in(url, BOSS)
    before = login()
    kept_login.keep(replace(before, access_token="expired", expires_at=datetime.now(UTC)))
    assert await asyncio.gather(*(as_a_process("accounts", "list") for _ in range(3))) == [0, 0, 0]
    after = login()
    assert after.refresh_token != before.refresh_token
    assert after.expires_at > datetime.now(UTC) + timedelta(minutes=10)
    assert await refreshed(url, after.refresh_token) == 200


async def test_a_login_that_was_ended_elsewhere_says_so(url: str) -> None:
    await log_in(url, BOSS)
    async with httpx.AsyncClient(base_url=url) as client:
        await client.post("/auth/logout", json={"refreshToken": login().refresh_token})
    kept_login.keep(replace(login(), expires_at=datetime.now(UTC)))
    ended = await called("accounts", "list")
    assert (ended.exit_code, "has ended: sagactl login" in ended.output) == (Exit.NOT_ALLOWED, True)


async def test_what_others_can_read_is_refused(url: str) -> None:
    await log_in(url, BOSS)
    for each, mode in ((kept_login.file(), 0o640), (kept_login.file().parent, 0o755)):
        before = stat.S_IMODE(each.stat().st_mode)
        each.chmod(mode)
        for command in (("accounts", "list"), ("whoami",), ("logout",)):
            refused = await called(*command)
            assert (refused.exit_code, "can be used by others" in refused.output) == (Exit.USAGE, True)
        each.chmod(before)
    kept_login.file().write_text("{}")
    broken = await called("whoami")
    assert (broken.exit_code, "not as sagactl writes it" in broken.output) == (Exit.USAGE, True)


async def test_a_second_factor_is_asked_for(url: str) -> None:
    code, *_ = await with_second_factor(url, BOSS)
    without = await log_in(url, BOSS)
    assert (without.exit_code, "ADMIN_CODE" in without.output) == (Exit.NOT_ALLOWED, True)
    assert kept_login.kept() is None
    assert (await log_in(url, BOSS, ADMIN_CODE=code)).exit_code == 0
    assert (await called("accounts", "list")).exit_code == 0, "and not again"


async def test_a_new_login_ends_the_one_before_and_a_wrong_password_leaves_it(url: str) -> None:
    await log_in(url, ADA)
    first = login()
    wrong = await log_in(url, BOSS | {"password": "not the password"})
    assert wrong.exit_code == Exit.NOT_ALLOWED
    assert login() == first
    await log_in(url, BOSS)
    assert login().email == BOSS["email"]
    assert await refreshed(url, first.refresh_token) == 401


async def test_a_gateway_that_does_not_answer_ends_nothing(url: str) -> None:
    await log_in(url, BOSS)
    away = replace(login(), gateway="http://127.0.0.1:9")
    kept_login.keep(away)
    assert (await called("logout")).exit_code == Exit.UNREACHED
    assert login() == away
