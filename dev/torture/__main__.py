"""`make torture-payments`: many shops, until so many orders have come to their end, or something is wrong."""

import multiprocessing
import os
import time
from collections import Counter
from typing import Annotated, Final

import typer
from rich.console import Console

from dev.simulate.running import ORDERS
from dev.simulate.shop import Run
from dev.torture.running import torture

console: Final = Console(soft_wrap=True, highlight=False)


def main(
    *,
    seed: Annotated[
        str, typer.Option(help="Seed of all random choices; with a point, such as 7.31, of one shop.")
    ] = "1",
    orders: Annotated[int, typer.Option(help="At least this many orders.")] = 10_000,
) -> None:
    """Simulate thousands of payments that are decided later, on servers that fail.

    Webhooks come late, twice or never, and the shop also asks the gateway itself. Cancellations, timeouts
    and refunds come in between.
    """
    seeds = [seed] if "." in seed else [f"{seed}.{number}" for number in range(orders)]
    runs = [Run(each, min(orders, ORDERS)) for each in seeds]
    started, done = time.monotonic(), Counter[str]()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for result in pool.imap_unordered(torture, runs):
            done.update(orders=result.orders, shops=1, faults=result.faults)
            if result.findings:
                for finding in result.findings:
                    console.print(f"[bold red]{finding}[/]")
                console.print(f"again: make torture-payments SEED={result.seed}")
                raise typer.Exit(1)
            if done["orders"] >= orders:
                break
    seconds = time.monotonic() - started
    console.print(
        f"{done['orders']:,} orders in {done['shops']:,} shops, {done['faults']:,} faults, {seconds:.0f} s:"
        " in the ledger of the double, captures minus refunds equal what the orders say, to the cent"
    )


if __name__ == "__main__":
    typer.run(main)
