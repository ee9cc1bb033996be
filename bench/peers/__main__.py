"""`make bench-peers`: the same order saga on DBOS, on Temporal and on sagashop, in turns, in one run.

Every turn begins with a fresh shop, warmed up. All have the same load generator, products and rates, and the
same judge of their books in the end. What differs between them is in docs/peers.md.
"""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console

from bench.load import Load, Site, offer
from bench.peers import ours, report, theirs
from bench.peers.books import judge
from bench.peers.report import OURS, Turn
from bench.peers.shops import Entrant, Shop
from bench.phases import DECLINED
from bench.report import machine
from bench.running import run as run_to_the_end
from sagactl.polling import NotInTimeError, until

DIRECTORY: Final = Path(".run/peers").absolute()
WARM_UP_CLIENTS: Final = 16
POLL_SECONDS: Final = 0.1
SETTLES_WITHIN_SECONDS: Final = 300.0
# The last pieces are booked after the order is final.
RIGHT_WITHIN_SECONDS: Final = 30.0
console: Final = Console(width=None if sys.stdout.isatty() else 150)


class Phase(NamedTuple):
    key: str
    title: str
    load: Load
    # Products that are ordered, of all that there are.
    products: int
    declined: float = 0

    def site(self, site: Site) -> Site:
        return site._replace(products=site.products[: self.products], declined=self.declined)


class Judged(NamedTuple):
    turns: Mapping[str, Turn]
    wrong: Sequence[str]


def phases(orders: int, clients: int, rate: int) -> Sequence[Phase]:
    return (
        Phase("gateway", "two products of 20", Load(orders, clients), 20),
        Phase("hotProduct", "one hot product", Load(max(100, orders // 2), clients), 1),
        Phase("declined", "every tenth declined", Load(max(100, orders // 2), clients), 20, DECLINED),
        Phase(f"rate{rate}", "at a fixed rate", Load(rate * 15, rate=rate), 20),
    )


def entrants(programs: Path, processes: int) -> Sequence[Entrant]:
    on_temporal = partial(theirs.on_temporal, programs, processes)
    return (
        Entrant(OURS, ours.opened),
        Entrant("dbos", partial(theirs.on_dbos, processes)),
        Entrant("temporal", partial(on_temporal, "Checkout")),
        Entrant("temporal-local", partial(on_temporal, "CheckoutLocally")),
    )


async def turn(entrant: Entrant, chosen: Sequence[Phase], warm_up: int) -> Judged:
    """A fresh shop, all phases, and what its books say in the end."""
    found: dict[str, Turn] = {}
    async with entrant.opened(DIRECTORY / entrant.key) as shop:
        accepted = (await offer(shop.site, Load(warm_up, WARM_UP_CLIENTS))).ids
        await _settled(shop, len(accepted))
        for phase in chosen:
            found[phase.key] = measured = await _measure(shop, phase, len(accepted))
            accepted += measured.offered.ids
            console.print(f"[dim]{entrant.key}, {phase.title}: {measured.per_second:.0f} orders/s[/]")
        return Judged(found, await _wrong(shop, accepted))


async def _measure(shop: Shop, phase: Phase, before: int) -> Turn:
    used = shop.usage()
    started = time.perf_counter()
    offered = await offer(phase.site(shop.site), phase.load)
    await _settled(shop, before + len(offered.ids))
    seconds = time.perf_counter() - started
    after = shop.usage()
    return Turn(phase.load, offered, await shop.sagas(offered.ids), seconds, used, after)


async def _settled(shop: Shop, orders: int) -> None:
    await until(
        shop.settled,
        lambda settled: settled >= orders,
        within=SETTLES_WITHIN_SECONDS,
        what=f"{orders} orders are final",
        every=POLL_SECONDS,
    )


async def _wrong(shop: Shop, accepted: Sequence[str]) -> Sequence[str]:
    async def wrong() -> list[str]:
        return judge(await shop.books(), accepted)

    try:
        return await until(
            wrong, lambda found: not found, within=RIGHT_WITHIN_SECONDS, what="books are right"
        )
    except NotInTimeError:
        return await wrong()


async def run(
    chosen: Sequence[Entrant], measured: Sequence[Phase], turns: int, warm_up: int, result: Path
) -> bool:
    """Whether all books were right, always."""
    found: defaultdict[str, defaultdict[str, list[Turn]]] = defaultdict(lambda: defaultdict(list))
    sound = True
    for number in range(turns):
        # Whoever is first in one turn is last in the next.
        for entrant in chosen[:: -1 if number % 2 else 1]:
            console.print(f"turn {number + 1} of {turns}: {entrant.key}")
            judged = await turn(entrant, measured, warm_up)
            for key, each in judged.turns.items():
                found[key][entrant.key].append(each)
            for sentence in judged.wrong:
                console.print(f"[red]{entrant.key}: {sentence}[/]", highlight=False)
            sound = sound and not judged.wrong
    facts = machine()
    console.print(f"{facts['cores']} x {facts['cpu']}, {facts['memoryGiB']} GiB, Python {facts['python']}")
    for phase in measured:
        own = {entrant.key: found[phase.key][entrant.key] for entrant in chosen}
        console.print(report.table(f"{phase.title}, {phase.load.orders} orders, {phase.load}", own))
    versions = {name: version(name) for name in ("dbos", "temporalio", "sqlalchemy", "psycopg")}
    _write(result, report.document(found, versions))
    books = "all data is consistent" if sound else "[red]NOT ALL DATA IS CONSISTENT[/]"
    console.print(f"{books}; written: {result}")
    return sound


def _write(result: Path, document: Mapping[str, Any]) -> None:
    result.write_text(json.dumps(document, indent=2) + "\n")


def main(
    programs: Annotated[Path, typer.Argument(help="Folder of Temporal's server and its SQL tool.")],
    *,
    orders: Annotated[int, typer.Option(help="Orders in the first phase.", min=100)] = 1000,
    clients: Annotated[int, typer.Option(help="Clients that place orders concurrently.", min=1)] = 64,
    rate: Annotated[int, typer.Option(help="Orders per second in the phase with a fixed rate.", min=1)] = 10,
    turns: Annotated[int, typer.Option(help="Turns per system.", min=1)] = 3,
    processes: Annotated[
        int,
        typer.Option(help="Processes that run a peer's workflows.", min=1),
    ] = os.cpu_count() or 1,
    only: Annotated[
        str, typer.Option(help="Only these systems, separated by commas: sagashop,dbos. Without it: all.")
    ] = "",
    result: Annotated[Path, typer.Option(help="File for the figures.")] = Path(".run/peers.json"),
) -> None:
    """Measure the same saga on each system, in turns, and check the results."""
    all_ = entrants(programs, processes)
    wanted = only.split(",") if only else [entrant.key for entrant in all_]
    if unknown := sorted(set(wanted) - {entrant.key for entrant in all_}):
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}", param_hint="--only")
    chosen = [entrant for entrant in all_ if entrant.key in wanted]
    measuring = run(chosen, phases(orders, clients, rate), turns, max(100, orders // 5), result)
    sys.exit(run_to_the_end(measuring))


if __name__ == "__main__":
    typer.run(main)
