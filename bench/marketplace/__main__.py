"""`make marketplace`: the criteria of the Online Marketplace benchmark, counted in a shop at work."""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import typer
from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from bench.marketplace import keeping
from bench.marketplace.criteria import Run, Verdict, judge
from bench.marketplace.driving import Market
from bench.running import run as run_to_the_end
from bench.shop import clear
from dev.ports import OPTIONAL
from dev.services import NAMES
from dev.stack import Stack
from sagactl.oncall.report_on_screen import check_stack
from sagactl.shop import Client

CUSTOMERS: Final = 40
PRODUCTS: Final = 100
SETTINGS: Final = {"PAYMENT_SUCCESS_RATE": "1", "RATE_LIMIT_ENABLED": "false", "LOG_LEVEL": "warning"}
# A request is repeated until it is answered.
PATIENCE_SECONDS: Final = 120.0
KILL_EVERY_SECONDS: Final = 2.0
SETTLES_SECONDS: Final = 180.0
NAMED_AT_MOST: Final = 5
console = Console(width=None if sys.stdout.isatty() else 120)


async def run(directory: Path, *, seconds: float, kill: bool, seed: int) -> bool:
    """Whether every criterion is met, and the shop's own checker finds every invariant."""
    chance = random.Random(seed)  # noqa: S311  # who orders is no secret
    await clear(directory)
    async with (
        Stack(directory, settings=SETTINGS, services=(*NAMES, *OPTIONAL)) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo,
    ):
        visitor = Client(session, stack.gateway, patience=PATIENCE_SECONDS)
        admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
        customers = [await visitor.register(f"customer {number}") for number in range(CUSTOMERS)]
        market = Market(admin, customers, chance)
        await market.open(PRODUCTS)
        console.print(f"{PRODUCTS} products, {CUSTOMERS} customers, for {seconds:.0f} s")
        killing = asyncio.create_task(_kill_in_turn(stack)) if kill else None
        try:
            await market.work(time.monotonic() + seconds)
        finally:
            if killing is not None:
                killing.cancel()
                await asyncio.wait({killing})
                await stack.complete()  # who was killed last
        console.print(", ".join(f"{count} x {name}" for name, count in sorted(market.counts.items())))
        is_sound = await check_stack(directory, console, wait_seconds=SETTLES_SECONDS)
        verdicts = judge(
            Run(
                market.changes,
                market.bought,
                market.seen,
                await keeping.orders(mongo),
                await keeping.shelves(mongo),
                await keeping.offered(mongo),
            )
        )
        console.print(_table(verdicts))
        return is_sound and not any(verdict.violations for verdict in verdicts)


async def _kill_in_turn(stack: Stack) -> None:
    """Every service that keeps something, again and again; each is started again at once."""
    for service in itertools.cycle(name for name in (*NAMES, *OPTIONAL) if name != "auth"):
        await asyncio.sleep(KILL_EVERY_SECONDS)
        await stack.kill(service)
        await stack.start(service)


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("criterion", "checked", "violations", "allowed", title="Online Marketplace")
    for each in verdicts:
        named = "\n".join((str(len(each.violations)), *each.violations[:NAMED_AT_MOST]))
        table.add_row(each.criterion, each.counted, named, each.remark)
    return table


def main(
    *,
    seconds: Annotated[float, typer.Option(help="Seconds of load.")] = 60.0,
    kill: Annotated[bool, typer.Option("--kill", help="Kill services meanwhile.")] = False,
    seed: Annotated[int, typer.Option(help="Seed that decides who does what.")] = 1,
    directory: Annotated[Path, typer.Option(help="Directory for the servers' data.")] = Path(
        ".run/marketplace"
    ),
) -> None:
    """Sell, change prices, remove products and ship goods, all at once; then count violations of seven
    criteria.
    """
    sys.exit(run_to_the_end(run(directory, seconds=seconds, kill=kill, seed=seed)))


if __name__ == "__main__":
    typer.run(main)
