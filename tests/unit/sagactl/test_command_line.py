"""`sagactl` as its users meet it: a command that says what to do where something is missing."""

import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from sagactl.access import SECRETS_DIR, URLS
from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.terminal import run
from services.payment.ledger import LedgerEntry

NOBODY = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*URLS, SECRETS_DIR, "GATEWAY_URL", "ORDER_URL", "ADMIN_EMAIL", "ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)


def test_the_command_is_installed_beside_python() -> None:
    (command,) = entry_points(group="console_scripts", name="sagactl")
    assert command.load() is app
    assert Path(sys.executable).with_name("sagactl").exists()
    assert CliRunner().invoke(app, ["--version"]).output.startswith("sagactl ")


@pytest.mark.parametrize(
    ("command", "what_to_do"),
    [
        (["check"], "make up"),
        (["orders", "show", "some-id"], "make up"),
        (["letters", "list"], "make up"),
        (["letters", "redrive", "orders"], "make up"),
        (["stuck", "sweep"], "make up"),
        (["accounts", "list"], "GATEWAY_URL"),
        (["smoke"], "GATEWAY_URL"),
        (["load"], "GATEWAY_URL"),
        (["load", "--for", "soon"], "soon"),
        (["smoke", "--gateway", f"http://{NOBODY}"], "ADMIN_EMAIL"),
        (["letters", "list", "--queue", "nowhere"], "STOCK_RESERVED"),
        (["letters", "discard", "nowhere", "id"], "STOCK_RESERVED"),
        (["jobs", "start", "discard", "--queue", "nowhere"], "STOCK_RESERVED"),
    ],
    ids=" ".join,
)
def test_what_is_missing_is_told_with_what_to_do_about_it(command: list[str], what_to_do: str) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert what_to_do in result.output


def test_a_server_that_does_not_answer_is_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", f"mongodb://{NOBODY}")
    monkeypatch.setenv("AMQP_URL", f"amqp://{NOBODY}")
    monkeypatch.setenv("MANAGEMENT_URL", f"http://{NOBODY}")
    result = CliRunner().invoke(app, ["letters", "list"])
    assert result.exit_code == Exit.UNREACHED
    assert isinstance(result.exception, SystemExit)
    assert "RabbitMQ does not answer" in result.output
    assert "AMQP_URL" in result.output


def test_a_document_that_no_service_writes_is_told_in_a_sentence() -> None:
    async def reads() -> None:
        msgspec.convert({"status": 5}, LedgerEntry)

    with pytest.raises(typer.Exit) as ended:
        run(reads())
    assert ended.value.exit_code == Exit.UNREACHED
