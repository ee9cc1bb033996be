"""Hurts one shop in every way we know, alone and two at a time, in an order that the seed tells.

Customers order all the while, the live check looks on as in production, and a real Prometheus calls whoever
is to be called (minutes are seconds to its rules). After each round every accepted order has to settle within
two minutes, and the checker to find all books sound. The same seed is the same story.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dev.chaos.faults import FAULTS
from dev.chaos.plan import SHORTEST_SECONDS, Round, rounds
from dev.chaos.running import Ended, opened_shop
from dev.debian import NotThereError
from dev.faults.disks import CannotMountError, with_own_mounts
from dev.interrupts import run as run_to_the_end
from dev.survive import report
from dev.survive.attempts import Outcome
from sagactl.screen import printable

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "chaos"
# All faults alone, and as many pairs.
ROUNDS: Final = 2 * len(FAULTS)
# With the start of the shop, minutes.
SHORT_ROUNDS: Final = 3
console: Final = Console(width=None if sys.stdout.isatty() else 160)


async def play(seed: int, chosen: Mapping[int, Round], again: str, file: Path | None) -> int:
    """Returns the exit code. `chosen`: by their numbers; `again`: the command that tells the same story."""
    done: list[Ended] = []
    try:
        async with opened_shop(DIRECTORY, seed, _say) as shop:
            for number, plan in chosen.items():
                _print(f"[bold]{number}/{max(chosen)} {plan.name}[/], {plan.seconds:g} s: {_says(plan)}")
                done.append(await shop.endure(number, plan))
                _tell(done[-1])
                if file is not None:  # round by round: a run may be ended
                    _write(file, seed, done)
                if done[-1].broke_off:
                    break
    except NotThereError as error:
        return _impossible(error)
    failed = [each for each in done if each.failures]
    for each in failed:
        _print(f"[red]the shop did not survive round {each.number}: {each.round.name}[/]")
    if failed:
        _print(f"[dim]again: {again}; logs: {DIRECTORY / 'logs'}[/]")
    else:
        _print(f"[green]the shop survived {len(done)} rounds of seed {seed}[/]")
    return int(bool(failed))


def _says(plan: Round) -> str:
    """What happens in the round, for who does not know the names."""
    return "; ".join(FAULTS[name].says for name in plan.faults)


def _write(file: Path, seed: int, done: Sequence[Ended]) -> None:
    document = {"seed": seed, "rounds": [each.to_json() for each in done]}
    file.write_text(json.dumps(document, indent=2) + "\n")


def _impossible(error: Exception) -> int:
    """The exit code of a run that cannot begin."""
    _print(f"[red]{printable(str(error))}[/]")
    return 2


def _print(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _tell(outcome: Ended) -> None:
    recovered = outcome.recovery_seconds
    parts = [
        f"{outcome.attempts.get(Outcome.ACCEPTED, 0)} accepted",
        f"{outcome.attempts.get(Outcome.REFUSED, 0)} refused",
        f"{outcome.attempts.get(Outcome.UNKNOWN, 0)} without an answer",
        "never recovered" if recovered is None else f"recovered after {recovered:.1f} s",
        ", ".join(each.removeprefix("Sagashop") for each in outcome.alerts) or "no alert",
    ]
    _print(f"  {'; '.join(parts)}")
    for failure in outcome.failures:
        for line in report.lines(failure):
            _print(f"  [red]{printable(line)}[/]")


def _say(text: str) -> None:
    _print(f"[dim]  {printable(text)}[/]")


def main(
    only: Annotated[
        list[str] | None, typer.Argument(help="Play one round with these faults, instead of the plan.")
    ] = None,
    *,
    seed: Annotated[int, typer.Option(help="Seed of the plan: which faults, in which order.")] = 1,
    first: Annotated[int, typer.Option("--from", min=1, help="Number of the first round.")] = 1,
    number: Annotated[int, typer.Option("--rounds", min=1, help="Number of the last round.")] = ROUNDS,
    short: Annotated[
        bool, typer.Option("--short", help=f"Play {SHORT_ROUNDS} rounds, each as short as possible.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only show the plan.")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
) -> None:
    """Inject faults into one shop, round after round, and check it after each round."""
    if unknown := sorted(set(only or ()) - set(FAULTS)):
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    told = rounds({name: fault.target for name, fault in FAULTS.items()}, seed)
    until = SHORT_ROUNDS if short else number
    chosen = dict(islice(enumerate(told, 1), first - 1, until))
    if not chosen:
        raise typer.BadParameter(f"the plan has {until} rounds: none from {first} on")
    if short:
        chosen = {n: each._replace(seconds=SHORTEST_SECONDS) for n, each in chosen.items()}
    if only:
        chosen = {1: Round(tuple(only), chosen[first].seconds)}
    if plan:
        for n, each in chosen.items():
            _print(f"{n:3d}  {each.seconds:5.1f} s  {each.name}: {_says(each)}")
        return
    try:
        # Before there is an event loop: it may replace this process.
        with_own_mounts("dev.chaos")
    except CannotMountError as error:
        raise typer.Exit(_impossible(error)) from error
    said = [*(only or ()), *(["--short"] if short else ())]
    said += [f"--from {first}"] if first > 1 else []
    said += [f"--rounds {number}"] if number != ROUNDS else []
    again = f"make chaos SEED={seed}" + (f' CHAOS="{" ".join(said)}"' if said else "")
    raise typer.Exit(run_to_the_end(play(seed, chosen, again, file)))


if __name__ == "__main__":
    typer.run(main)
