"""`make simulate`: many simulations, and of the first that fails the shortest history."""

import multiprocessing
import os
import time
from collections import Counter
from typing import Annotated, Final

import typer
from rich.console import Console

from dev.simulate.running import Result, simulate_seed
from dev.simulate.shrink import shrink

PROGRESS_SECONDS: Final = 5.0
console: Final = Console(soft_wrap=True, highlight=False)


class Tally:
    def __init__(self, wanted: int) -> None:
        self._wanted, self._started, self._said = wanted, time.monotonic(), time.monotonic()
        self.sagas = self._runs = self._steps = 0
        self._faults = Counter[str]()

    def add(self, result: Result) -> None:
        self.sagas += result.sagas
        self._runs += 1
        self._steps += result.steps
        self._faults.update(name.split(": ")[1] for name in result.fired)
        if time.monotonic() - self._said > PROGRESS_SECONDS:
            self._said = time.monotonic()
            console.print(f"{self}")

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        return (
            f"{self.sagas:,} of {self._wanted:,} sagas in {self._runs:,} shops, {self._steps:,} steps,"
            f" {self._faults.total():,} faults; {seconds:.0f} s, {self.sagas / seconds:.0f} sagas/s"
        )

    def show_faults(self) -> None:
        for fault, count in self._faults.most_common():
            console.print(f"{count:>10,}  {fault}")


def main(
    *,
    seed: Annotated[
        str, typer.Option(help="Seed of all random choices; with a point, such as 7.31, of one shop alone.")
    ] = "1",
    sagas: Annotated[int, typer.Option(help="At least this many orders.")] = 10_000,
) -> None:
    """Simulate shops on servers that fail, until this many orders have ended."""
    if "." in seed:
        failed = result if (result := simulate_seed(seed)).findings else None
    else:
        failed = _simulate_many(seed, sagas)
    if failed is None:
        console.print("everything that must hold held")
        return
    _explain(failed)
    raise typer.Exit(1)


def _simulate_many(seed: str, sagas: int) -> Result | None:
    """The first result that fails."""
    tally = Tally(sagas)
    seeds = (f"{seed}.{number}" for number in range(sagas))
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for result in pool.imap_unordered(simulate_seed, seeds):
            tally.add(result)
            if result.findings:
                return result
            if tally.sagas >= sagas:
                break
    console.print(f"{tally}")
    tally.show_faults()
    return None


def _explain(failed: Result) -> None:
    console.print(f"shop {failed.run.seed} fails: {failed.findings[0]}; searching for its shortest history")
    shortest = shrink(failed.run)
    for line in shortest.history:
        console.print(line, markup=False)
    orders = shortest.run.orders - len(shortest.run.unplaced)
    console.print(f"\n{orders} orders, {len(shortest.fired)} faults:")
    for fault in shortest.fired:
        console.print(f"  {fault}", markup=False)
    for finding in shortest.findings:
        console.print(f"[bold red]{finding}[/]")
    console.print(f"again: make simulate SEED={failed.run.seed}")


if __name__ == "__main__":
    typer.run(main)
