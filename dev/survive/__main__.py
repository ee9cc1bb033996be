"""Hurts a whole shop from outside, on a stack of its own, and judges whether it recovers unaided.

Afterwards all accepted orders have to be settled within two minutes, the checker has to be content, nothing
that was answered 503 may have been carried out, and no message of ours may be among the dead letters.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dev.interrupts import run as run_to_the_end
from dev.survive import report
from dev.survive.report import Result
from dev.survive.running import run
from dev.survive.scenario import SCENARIOS
from sagactl.screen import printable

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "survive"
console: Final = Console(width=None if sys.stdout.isatty() else 140)


async def play(names: list[str], *, seed: int, short: bool, file: Path | None) -> int:
    """One after another, each on a stack of its own; returns the exit code."""
    results: list[Result] = []
    for name in names:
        console.print(f"[bold]{name}[/]: {SCENARIOS[name].says}", highlight=False)
        results.append(await run(SCENARIOS[name], DIRECTORY / name, seed=seed, short=short, say=_say))
        report.show_failures(console, results[-1])
        if not results[-1].survived:
            console.print(f"[dim]  logs: {DIRECTORY / name / 'logs'}[/]", soft_wrap=True)
    report.show(console, results)
    if file is not None:
        report.write(file, results, seed=seed, short=short)
    return int(not all(result.survived for result in results))


def _say(text: str) -> None:
    console.print(f"[dim]  {printable(text)}[/]", highlight=False, soft_wrap=True)


def main(
    scenarios: Annotated[
        list[str] | None, typer.Argument(help="Names of scenarios. Without any: all.")
    ] = None,
    *,
    seed: Annotated[int, typer.Option(help="Seed of pauses and choices.")] = 1,
    short: Annotated[
        bool, typer.Option("--short", help="Shorter faults; without names, only a selection of scenarios.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only list the scenarios.")] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
) -> None:
    """Break a whole shop, and check that it recovers."""
    if list_:
        for scenario in SCENARIOS.values():
            console.print(f"{scenario.name:<22}{scenario.says}", highlight=False, soft_wrap=True)
        return
    names = scenarios or [each.name for each in SCENARIOS.values() if each.in_short or not short]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise typer.BadParameter(f"no such scenario: {', '.join(unknown)}; --list shows them")
    raise typer.Exit(run_to_the_end(play(names, seed=seed, short=short, file=json_)))


if __name__ == "__main__":
    typer.run(main)
