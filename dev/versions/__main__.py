"""Rolls a shop of an older version up to this one and back down, while customers order.

Replicas of both versions share queues and databases meanwhile, and the live check looks on. At the end every
accepted order has to be settled, the books sound, and nothing may have been named on the way.
"""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dev.interrupts import run as run_to_the_end
from dev.survive import report
from dev.survive.report import Result
from dev.survive.running import BROKEN
from dev.survive.verdict import Verdict, broke_off
from dev.versions.rolling import play
from dev.versions.tree import NoSuchVersionError, unpacked
from sagactl.screen import printable

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "versions"
console: Final = Console(width=None if sys.stdout.isatty() else 140)


async def judged(before: Path, seconds: float, seed: int, file: Path | None) -> int:
    """Returns the exit code."""
    began = time.monotonic()
    try:
        verdict = await play(before, DIRECTORY / "shop", seconds=seconds, seed=seed, say=_say)
    except BROKEN as error:
        verdict = Verdict([broke_off(error)], {}, None)
    result = Result(f"{before.name} and back", verdict, time.monotonic() - began)
    report.show_failures(console, result)
    report.show(console, [result])
    if not result.survived:
        console.print(f"[dim]logs: {DIRECTORY / 'shop' / 'logs'}[/]", soft_wrap=True)
    if file is not None:
        report.write(file, [result], seed=seed, short=False)
    return int(not result.survived)


def _say(text: str) -> None:
    console.print(f"[dim]  {printable(text)}[/]", highlight=False, soft_wrap=True)


app: Final = typer.Typer()


@app.command()
def main(
    before: Annotated[str, typer.Argument(help="The older version: a tag or a commit of this clone.")],
    *,
    seconds: Annotated[float, typer.Option(min=5, help="Seconds of traffic in each stage.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of pauses and choices.")] = 1,
    json_: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Upgrade a shop from an older version to this one and back, under load."""
    if not before:
        raise typer.BadParameter("give the older version: make versions BEFORE=v0.1.0, or a commit")
    try:
        tree = unpacked(before, DIRECTORY.resolve() / "code")
    except NoSuchVersionError as error:
        raise typer.BadParameter(str(error)) from None
    raise typer.Exit(run_to_the_end(judged(tree, seconds, seed, json_)))


if __name__ == "__main__":
    app()
