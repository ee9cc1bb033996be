"""What came of the scenarios: a table for people, a document for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from dev.survive.attempts import Outcome
from dev.survive.verdict import Failure, Verdict
from sagactl.screen import printable

NAMED_AT_MOST: Final = 10
HEADINGS: Final = ("scenario", "accepted", "503", "unknown", "recovered after", "took", "")


class Result(NamedTuple):
    name: str
    verdict: Verdict
    # The whole of it: stack, load, fault, recovery and check.
    seconds: float

    @property
    def survived(self) -> bool:
        return not self.verdict.failures

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.name,
            "survived": self.survived,
            "recoverySeconds": self.verdict.recovery_seconds,
            "seconds": round(self.seconds, 1),
            "attempts": {outcome: self.verdict.outcomes.get(outcome, 0) for outcome in Outcome},
            "failures": [failure.to_json() for failure in self.verdict.failures],
        }


def write(file: Path, results: Sequence[Result], *, seed: int, short: bool) -> None:
    document = {"seed": seed, "short": short, "scenarios": [result.to_json() for result in results]}
    file.write_text(json.dumps(document, indent=2) + "\n")


def row(result: Result) -> tuple[str, ...]:
    """A line of the table, as HEADINGS say."""
    outcomes, recovery = result.verdict.outcomes, result.verdict.recovery_seconds
    return (
        result.name,
        str(outcomes.get(Outcome.ACCEPTED, 0)),
        str(outcomes.get(Outcome.REFUSED, 0)),
        str(outcomes.get(Outcome.UNKNOWN, 0)),
        "never" if recovery is None else f"{recovery:.1f} s",
        f"{result.seconds:.0f} s",
        "[green]survived[/]" if result.survived else "[bold red]did not survive[/]",
    )


def lines(failure: Failure) -> list[str]:
    """The failure and the first of those whom it is about."""
    shown = [f"  {each}" for each in failure.ids[:NAMED_AT_MOST]]
    left = len(failure.ids) - len(shown)
    return [failure.what, *shown, *([f"  and {left} more"] if left else [])]


def show_failures(console: Console, result: Result) -> None:
    for failure in result.verdict.failures:
        for line in lines(failure):
            console.print(f"[red]{result.name}[/] {printable(line)}", highlight=False, soft_wrap=True)


def show(console: Console, results: Sequence[Result]) -> None:
    table = Table(title="Results, as clients see them")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"scenario", ""} else "right")
    for result in results:
        table.add_row(*row(result))
    console.print(table)
