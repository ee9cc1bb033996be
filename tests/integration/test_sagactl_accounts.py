"""`sagactl accounts` with a real auth service; the gateway would only pass its requests on."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from typer.testing import Result

from saga_operator.policy.orders import OrderServiceError
from sagactl.access import OrderAccess
from sagactl.exits import Exit
from sagactl.oncall.sweep import admin
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
async def url(room: Room, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    password = SecretStr(BOSS["password"])
    settings = AuthSettings(**room.settings("auth"), admin_email=BOSS["email"], admin_password=password)
    async with serving(make_app, settings) as url, httpx.AsyncClient(base_url=url) as client:

        async def ready() -> bool:
            return (await client.get("/readyz")).is_success

        await until(ready, within=PATIENCE, what="the service to be ready")
        assert (await client.post("/auth/register", json=ADA | {"name": "Ada"})).status_code == 201
        monkeypatch.setenv("GATEWAY_URL", url)
        monkeypatch.setenv("ADMIN_EMAIL", BOSS["email"])
        monkeypatch.setenv("ADMIN_PASSWORD", BOSS["password"])
        yield url


async def sagactl(*command: str) -> Result:
    return await called("accounts", *command)


async def roles_by_address() -> dict[str, list[str]]:
    listed = document((await sagactl("list", "-o", "json")).stdout)["items"]
    return {each["email"]: each["roles"] for each in listed}


async def status_of_login(url: str) -> int:
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.post("/auth/login", json=ADA)).status_code


async def test_roles_are_given_and_taken(url: str) -> None:
    assert url
    assert await roles_by_address() == {BOSS["email"]: ["admin"]}
    refused = await sagactl("promote", ADA["email"], "support")
    assert (refused.exit_code, "nobody has shown to read mail" in refused.output) == (2, True)
    assert await roles_by_address() == {BOSS["email"]: ["admin"]}
    assert "support" in (await sagactl("promote", ADA["email"], "support", "--yes")).stdout
    assert await roles_by_address() == {ADA["email"]: ["support"], BOSS["email"]: ["admin"]}
    assert (await sagactl("demote", ADA["email"])).exit_code == 0
    assert await roles_by_address() == {BOSS["email"]: ["admin"]}


async def test_an_account_whose_address_is_verified_needs_no_assurance(url: str, room: Room) -> None:
    assert url
    await room.database("auth")["users"].update_one({"email": ADA["email"]}, {"$set": {"verified": True}})
    assert "verified" in (await sagactl("list", ADA["email"])).stdout
    assert "viewer" in (await sagactl("promote", ADA["email"], "viewer")).stdout


async def test_an_account_is_disabled_and_enabled(url: str) -> None:
    assert "disabled" in (await sagactl("disable", ADA["email"])).stdout
    assert await status_of_login(url) == 403
    assert "enabled" in (await sagactl("enable", ADA["email"])).stdout
    assert await status_of_login(url) == 200


async def test_a_customer_is_logged_out_everywhere(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        token = (await client.post("/auth/login", json=ADA)).json()["refreshToken"]
        assert "logged out everywhere" in (await sagactl("log-out", ADA["email"])).stdout
        assert (await client.post("/auth/refresh", json={"refreshToken": token})).status_code == 401


async def test_a_lost_second_factor_is_taken_and_an_administrator_with_one_gives_its_code(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {login["email"]: await with_second_factor(url, login) for login in (ADA, BOSS)}
    assert await status_of_login(url) == 401
    without = await sagactl("totp-reset", ADA["email"])
    assert (without.exit_code, "ADMIN_CODE" in without.output) == (Exit.NOT_ALLOWED, True)
    monkeypatch.setenv("ADMIN_CODE", codes[BOSS["email"]][0])
    assert "with its password only" in (await sagactl("totp-reset", ADA["email"])).stdout
    assert await status_of_login(url) == 200


async def test_whoever_asks_the_order_service_gives_a_code_once_and_stays_logged_in(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `stuck sweep --every` and `orders compensate` do: a code is good for one login."""
    code, *_ = await with_second_factor(url, BOSS)
    monkeypatch.setenv("ORDER_URL", "http://order")
    async with admin(OrderAccess.found(None)) as without:
        with pytest.raises(OrderServiceError, match="the login answered 401"):
            await without.endpoint(datetime.now(UTC))
    monkeypatch.setenv("ADMIN_CODE", code)
    async with admin(OrderAccess.found(None)) as who:
        now = datetime.now(UTC)
        tokens = {(await who.endpoint(now + timedelta(minutes=minutes))).token for minutes in (0, 1, 20, 40)}
    assert len(tokens) == 3


async def test_what_cannot_be_done_is_told_with_its_exit_code(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert url
    unknown = await sagactl("disable", "nobody@x.example")
    assert (unknown.exit_code, "there is no account with the address" in unknown.output) == (Exit.BAD, True)
    own = await sagactl("demote", BOSS["email"])
    assert (own.exit_code, "another administrator has to change it" in own.output) == (Exit.BAD, True)
    monkeypatch.setenv("ADMIN_PASSWORD", "not the password")
    wrong = await sagactl("list")
    assert (wrong.exit_code, "ADMIN_PASSWORD" in wrong.output) == (Exit.NOT_ALLOWED, True)
