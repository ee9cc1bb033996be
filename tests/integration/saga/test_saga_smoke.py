"""`sagactl smoke`: what `helm test` runs, against a shop that works and a door that nobody opens."""

import pytest
from typer.testing import CliRunner

from sagactl.exits import Exit
from sagactl.smoke.purchase import app, buy
from tests.integration.saga.shop import Shop


async def test_the_smoke_test_buys_one_thing(shop: Shop) -> None:
    admin = shop.stack.admin
    order = await buy(shop.stack.gateway, admin["email"], admin["password"], within=60)
    assert (order["status"], order["totalPrice"], order["currency"]) == ("PAID", "1.00", "EUR")


def test_a_shop_that_does_not_answer_is_told_with_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_EMAIL", "admin@shop.example")
    monkeypatch.setenv("ADMIN_PASSWORD", "secret")
    result = CliRunner().invoke(app, ["--gateway", "http://127.0.0.1:9"])
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
