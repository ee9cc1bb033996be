"""The command line is there at once: a command is imported when it is called, and not before."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import pytest
from typer.testing import CliRunner

from sagactl.cli import COMMANDS, FORMERLY, app, reflowed

SLOW: Final = {"aio_pika", "aiohttp", "pymongo", "msgspec", "services", "saga_operator", "rich"}


def run(command: Sequence[str], words: Mapping[str, str] | None = None) -> str:
    """Its standard output."""
    told = subprocess.run(command, env=os.environ | (words or {}), capture_output=True, text=True, check=True)  # noqa: S603  # our own
    return told.stdout


def test_whoever_starts_it_waits_for_no_client_of_a_server() -> None:
    """It takes a tenth of the time that it took with all of them."""
    code = "import sys, sagactl.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = run([sys.executable, "-c", code])
    assert set(loaded.split()) & SLOW == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_what_help_says_of_a_command_is_what_the_command_says(name: str) -> None:
    loaded = COMMANDS[name].loaded(name)
    assert loaded.name == name
    first, *_ = str(loaded.help).split("\n\n")
    assert " ".join(first.split()) == COMMANDS[name].help


def test_help_names_every_command_and_each_has_a_help_of_its_own() -> None:
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert all(place.help in told.output for place in COMMANDS.values())
    for name in COMMANDS:
        result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        assert f"sagactl {name}" in result.output or f" {name} " in result.output


@pytest.mark.parametrize(
    ("formerly", "now"),
    [*FORMERLY.items(), ("dlq delete", "letters discard"), ("letters delete", "letters discard")],
)
def test_a_command_is_found_by_its_name_of_before_which_help_does_not_tell(formerly: str, now: str) -> None:
    wide = {"COLUMNS": "200"}
    before, today = (CliRunner().invoke(app, [*each.split(), "--help"], env=wide) for each in (formerly, now))
    assert (before.exit_code, today.exit_code) == (0, 0)
    # The first line is how it is called.
    assert before.output.splitlines()[2:] == today.output.splitlines()[2:]
    *group, name = formerly.split()
    above = CliRunner().invoke(app, [*group, "--help"], env=wide).output
    assert f"│ {name} " not in above


def test_a_command_that_there_is_not_is_said_to_be_unknown() -> None:
    result = CliRunner().invoke(app, ["chekc"])
    assert result.exit_code == 2
    assert "check" in result.output


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sagactl ch", "check"),
        ("sagactl letters sh", "show"),
        ("sagactl dlq sh", "show"),
        ("sagactl orders tr", "trace"),
        ("sagactl check --li", "--live"),
        ("sagactl check --invariant MON", "MONEY_AGREES"),
        ("sagactl orders comp", "compensate"),
        ("sagactl orders refund order-1 --restock n", "none"),
        ("sagactl letters preview pay", "payment-events"),
        ("sagactl letters show pay", "payment-events"),
        ("sagactl letters list --queue STOCK", "STOCK_RESERVED"),
        ("sagactl outbox list --service inv", "inventory"),
        ("sagactl orders list --status PEN", "PENDING"),
        ("sagactl audit --action order.c", "order.cancelled"),
    ],
)
def test_words_are_completed(typed: str, offered: str) -> None:
    """By the protocol that the shells' own scripts speak."""
    words = {
        "_SAGACTL_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    command = [sys.executable, "-c", "from sagactl.cli import app; app(prog_name='sagactl')"]
    assert offered in run(command, words).split()


def test_help_is_as_wide_as_the_terminal_and_lists_keep_their_lines() -> None:
    assert reflowed("Do\nit.\n\nAnd\nagain.\n\n- one\n- two") == "Do it.\n\nAnd again.\n\n- one\n- two"


def test_a_paragraph_of_help_has_no_line_breaks_of_the_source() -> None:
    shown = CliRunner().invoke(app, ["load", "--help"], env={"COLUMNS": "200"}).output
    assert "no new orders are placed until then. The command creates" in " ".join(shown.split())
    assert "until\n" not in shown.replace(" ", "")
