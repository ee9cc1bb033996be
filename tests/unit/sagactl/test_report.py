"""What `sagactl check` comes to: waiting is not broken, and one finding that nothing cures is."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from saga_operator.policy.last_words import LastWords
from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.oncall.checks import leave
from sagactl.oncall.invariants import TITLES, Finding, Invariant
from sagactl.oncall.report import Note, Report, Verdict
from sagactl.oncall.report_on_screen import NAMED_AT_MOST, show
from sagactl.wording import plural

WAITING = Finding(Invariant.SAGA_ENDED, "order-1", "CONFIRMED since noon, and not settled", waiting=True)
BROKEN = Finding(Invariant.SAGA_ENDED, "order-2", "its history cannot have happened")


def of(*findings: Finding) -> Report:
    return Report(dict.fromkeys(TITLES, "3 things"), findings, [])


def printed(report: Report) -> str:
    out = StringIO()
    show(Console(file=out, width=200), report)
    return out.getvalue()


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ((), Verdict.HOLDS),
        ((WAITING,), Verdict.WAITING),
        ((BROKEN,), Verdict.BROKEN),
        ((WAITING, BROKEN), Verdict.BROKEN),
    ],
)
def test_one_finding_that_nothing_cures_breaks_all(findings: tuple[Finding, ...], verdict: Verdict) -> None:
    assert of(*findings).verdict is verdict
    assert of(*findings).document.verdict is verdict
    assert of(*findings).sound is (verdict is Verdict.HOLDS)


def test_the_table_counts_what_is_broken_before_what_waits() -> None:
    assert "1 waiting" in printed(of(WAITING))
    both = printed(of(WAITING, BROKEN))
    assert "1 broken" in both
    assert both.index("order-2") < both.index("order-1")
    assert "holds" in printed(of())


def test_no_more_findings_are_named_than_a_screen_takes() -> None:
    text = printed(of(*[BROKEN] * (NAMED_AT_MOST + 5)))
    assert text.count("order-2") == NAMED_AT_MOST
    assert "and 5 more" in text


def test_what_is_no_fault_of_the_books_is_told_and_breaks_nothing() -> None:
    notes = [Note("mail-1", "waits [/]\x1b[2J")] * (NAMED_AT_MOST + 3)
    report = of()._replace(notes=notes)
    assert (report.verdict, report.sound) == (Verdict.HOLDS, True)
    assert report.document.notes == tuple(notes)
    text = printed(report)
    assert text.count("note mail-1: waits [/]") == NAMED_AT_MOST
    assert "note and 3 more" in text
    assert "\x1b" not in text
    assert report.only({Invariant.EXPLAINED}).notes
    assert not report.only({Invariant.MONEY_AGREES}).notes


def test_one_of_a_thing_has_no_s() -> None:
    assert [plural(number, "dead letter") for number in (0, 1, 2)] == [
        "0 dead letters",
        "1 dead letter",
        "2 dead letters",
    ]


def test_what_it_comes_to_is_left_in_a_file_and_a_file_that_cannot_be_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(tmp_path / "last-words", of(WAITING, BROKEN)._replace(orders=7))
    words = LastWords.read((tmp_path / "last-words").read_text())
    assert (words.verdict, words.orders, words.findings["SAGA_ENDED"]) == ("broken", 7, 2)
    assert words.first == "order-2: its history cannot have happened"
    leave(tmp_path / "nowhere" / "last-words", of())
    assert "the short result was not written" in capsys.readouterr().err


def test_of_some_invariants_nothing_else_is_told() -> None:
    money = Finding(Invariant.MONEY_AGREES, "order-1", "the gateway made 2 captures")
    whole = of(BROKEN, money)
    some = whole.only({Invariant.MONEY_AGREES})
    assert (some.findings, [*some.counted]) == ([money], [Invariant.MONEY_AGREES])
    assert whole.only(()) == whole
    told = printed(some)
    assert "I3 MONEY_AGREES" in told
    assert "I4" not in told
    assert whole.only({Invariant.REMEMBERED}).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--invariant", "I9"), "I3, MONEY_AGREES"),
        (("--order", "order-1", "--invariant", "I1"), "of one order can be told: I2"),
        (("--order", "order-1", "--since", "1h"), "cannot be combined with --accepted, --since or --note"),
    ],
)
def test_what_cannot_be_checked_is_said_before_anything_is_read(options: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(app, ["check", *options], env={"COLUMNS": "250"})
    assert (result.exit_code, says in result.output) == (Exit.USAGE, True), result.output
