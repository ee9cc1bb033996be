"""Each form of `-o`, the schemas that are committed, and which commands have them."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import typer
from jsonschema import Draft202012Validator, ValidationError
from rich.console import Console
from typer.core import TyperGroup
from typer.testing import CliRunner

from sagactl import output
from sagactl.cli import app
from sagactl.documents import API_VERSION
from sagactl.oncall import audit
from sagactl.oncall.letters import Letter, LetterList, columns
from sagactl.oncall.schemas import schemas
from sagactl.oncall.trails import Told
from sagactl.output import Column, Output, Shown, show, table
from tests.forms import SCHEMAS, document
from tests.unit.sagactl.test_exit_codes import TREE
from tests.unit.vocabulary import strange

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LETTERS = tuple(
    Letter(
        "orders",
        id_,
        "order-1",
        "PAYMENT_SUCCEEDED",
        "failed",
        "[red]no\x1b such",
        3,
        "",
        "00-trace-01",
        "{}",
    )
    for id_ in ("a", "b")
)
SHOWN = Shown(LetterList(items=LETTERS), table(LETTERS, "dead letter", columns(NOON)), ["a", "b"], LETTERS)
# Commands that list or show.
TELL = {
    *("status", "explain", "find", "check", "repair", "replay", "audit"),
    *("orders list", "orders show", "orders watch", "stock show", "stock history", "queues list"),
    *("orders cancel", "orders refund", "orders compensate", "stock restock", "stuck list"),
    *("payments list", "payments show"),
    *("jobs start", "jobs resume", "jobs list", "jobs show", "jobs stop"),
    *(
        "outbox list",
        "letters list",
        "letters show",
        "letters groups",
        "letters preview",
        "letters discard",
        "letters restore",
        "mails list",
        "whoami",
        "mails resend",
        "accounts list",
        "keys list",
    ),
}


def printed(
    shown: Shown, form: Output, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    out = StringIO()
    monkeypatch.setattr(output, "console", Console(file=out, width=160))
    show(shown, form)
    return out.getvalue() + capsys.readouterr().out


def test_every_command_that_lists_or_shows_has_all_forms() -> None:
    forms = {
        path: [each for each in command.params if each.name == "output"] for path, command in TREE.items()
    }
    assert {path for path, found in forms.items() if found} == TELL
    assert {path for path in TREE if path.split()[-1] in {"list", "show"}} <= TELL
    for path in TELL:
        (option,) = forms[path]
        assert set(option.opts) == {"--output", "-o"}
        told = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "250"}).output
        assert "|".join(Output) in told


def test_json_is_one_document_and_jsonl_a_line_for_each_item(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(printed(SHOWN, Output.JSON, monkeypatch, capsys))
    assert (found["apiVersion"], found["kind"]) == (API_VERSION, "LetterList")
    lines = printed(SHOWN, Output.JSONL, monkeypatch, capsys).splitlines()
    assert [json.loads(line) for line in lines] == found["items"]
    assert printed(SHOWN, Output.NAME, monkeypatch, capsys) == "a\nb\n"


def test_wide_tells_what_a_table_leaves_out_and_neither_does_what_a_text_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow, wide = (printed(SHOWN, form, monkeypatch, capsys) for form in (Output.TABLE, Output.WIDE))
    assert "2 dead letters" in narrow
    assert ("00-trace-01" in narrow, "00-trace-01" in wide) == (False, True)
    assert "\x1b" not in wide
    assert "[red]no" in wide


def test_an_id_that_somebody_will_copy_is_whole_on_a_narrow_screen() -> None:
    id_ = "019d2b6e-7c1a-7c64-9b8e-5b1f0f6f7b55"
    columns = [
        Column[str]("about", str, whole=True),
        *(Column[str](str(n), lambda _: "words " * 9) for n in range(3)),
    ]
    narrow, out = False, StringIO()
    for part in table([id_], "order", columns)(narrow):
        Console(file=out, width=80).print(part)
    assert id_ in out.getvalue()


def test_what_is_no_list_is_one_line_of_jsonl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = SHOWN._replace(items=None)
    (line,) = printed(alone, Output.JSONL, monkeypatch, capsys).splitlines()
    assert document(line)["kind"] == "LetterList"


def test_an_entry_of_another_release_may_say_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [Told("order", {"_id": 7, "at": datetime(2026, 11, 26, tzinfo=UTC), "actor": {1, 2}})]
    found = document(printed(audit.shown(told), Output.JSON, monkeypatch, capsys))
    assert (found["items"][0]["id"], found["items"][0]["at"]) == (7, "2026-11-26T00:00:00Z")


def test_what_is_not_as_its_schema_says_is_noticed() -> None:
    with pytest.raises(ValidationError):
        document(json.dumps({"kind": "LetterList", "items": [{"queue": 5}]}))


def test_schemas_are_committed_as_they_are() -> None:
    """`make docs` writes them."""
    committed = {file.name: json.loads(file.read_text()) for file in SCHEMAS.glob("*.json")}
    assert committed == json.loads(msgspec.json.encode(schemas()))


@pytest.mark.parametrize("name", schemas())
def test_a_schema_says_nothing_that_a_strict_validator_does_not_know(name: str) -> None:
    schema = json.loads(msgspec.json.encode(schemas()[name]))
    Draft202012Validator.check_schema(schema)
    assert not [*strange(schema)]


def test_the_page_names_every_schema_and_the_word_of_before_still_means_json() -> None:
    page = (SCHEMAS.parent / "sagactl.md").read_text()
    for name in schemas():
        assert f"(sagactl/{name})" in page
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    context = root.make_context("sagactl", [], resilient_parsing=True)
    _, _, rest = root.resolve_command(context, ["dlq", "list", "--json"])
    assert rest == ["list", "-o", "json"]


def test_a_time_is_shown_in_utc_and_nothing_as_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [datetime(2026, 11, 26, 9, 30, 0, 125000, tzinfo=UTC), None]
    columns = [Column[datetime | None]("since", lambda each: each)]
    shown = Shown(LetterList(items=()), table(times, "key", columns), [])
    told = printed(shown, Output.TABLE, monkeypatch, capsys)
    assert "\u2502 2026-11-26T09:30:00Z \u2502" in told
    assert "None" not in told


@pytest.mark.parametrize(
    ("noun", "none", "said"),
    [
        ("order", "", "No orders.\n"),
        ("entry", "", "No entries.\n"),
        ("event", "All is out.", "All is out.\n"),
    ],
)
def test_an_empty_list_is_a_sentence_and_no_empty_frame(
    noun: str, none: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown(LetterList(items=()), table((), noun, columns(NOON), none), [])
    assert printed(shown, Output.TABLE, monkeypatch, capsys) == said


def test_no_list_writes_a_time_in_a_way_of_its_own() -> None:
    """`%Y` in prose is another matter."""
    for file in (Path(__file__).parents[3] / "sagactl").rglob("*.py"):
        own = [line.strip() for line in file.read_text().splitlines() if "Column(" in line and "%" in line]
        assert own == [], file
