"""`sagactl smoke`: what `helm test` runs, against a shop that works and a door that nobody opens."""

import asyncio
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from dev.faults.proxy import Proxy
from sagactl.exits import Exit
from sagactl.smoke.purchase import app, buy
from tests.integration.saga.shop import Shop


async def test_the_smoke_test_buys_one_thing(shop: Shop) -> None:
    admin = shop.stack.admin
    order = await buy(shop.stack.gateway, admin["email"], admin["password"], within=60)
    assert (order["status"], order["totalPrice"], order["currency"]) == ("PAID", "1.00", "EUR")


async def test_at_a_door_that_is_shut_for_a_moment_it_knocks_again(shop: Shop) -> None:
    """As while a pod of the gateway is replaced."""
    admin, gateway = shop.stack.admin, urlsplit(shop.stack.gateway)
    async with Proxy(str(gateway.hostname), gateway.port or 0) as door:
        door.refuse()
        url = f"http://127.0.0.1:{door.port}"
        buying = asyncio.create_task(buy(url, admin["email"], admin["password"], within=60))
        ended, _ = await asyncio.wait({buying}, timeout=1)
        assert not ended
        door.accept()
        assert (await buying)["status"] == "PAID"


def test_a_shop_that_does_not_answer_is_told_with_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_EMAIL", "admin@shop.example")
    monkeypatch.setenv("ADMIN_PASSWORD", "secret")
    result = CliRunner().invoke(app, ["--gateway", "http://127.0.0.1:9", "--patience", "0"])
    assert result.exit_code == Exit.UNREACHED
    said, hint = result.output.splitlines()
    assert "127.0.0.1:9" in said
    assert "GATEWAY_URL" in hint


def test_without_a_login_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_EMAIL", "ADMIN_PASSWORD", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, ["--gateway", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "ADMIN_EMAIL" in result.output
