"""`make bench`: how fast is the whole stack? HTTP, tokens, real servers; group commit on, then off.

Timings on a shared machine vary: compare the phases of one run, not runs of different hours.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from bench import report
from bench.existing import compare
from bench.flame import flames
from bench.load import Load
from bench.phases import Phase, Sizes, chosen
from bench.picture import draw
from bench.report import Idle, Outcome
from bench.running import run as run_to_the_end
from bench.shop import clear, shop
from bench.soak import draw as draw_soaked
from bench.soak import soak, table
from bench.traces import collector
from sagactl.oncall.report_on_screen import check_stack

# An order takes so long there that fewer do.
UNGROUPED: Final = "ungrouped"
WARM_UP_LEAST: Final = 500
console = Console(width=None if sys.stdout.isatty() else 150)


async def bench(
    directory: Path, phases: Sequence[Phase], sizes: Sizes, result: Path, flame: Path | None
) -> bool:
    """Runs the phases and returns whether the checker found everything in order after each shop."""
    found: dict[str, Outcome] = {}
    idle: Idle | None = None
    sound = True
    async with collector() as endpoint:
        for name, own in groupby(phases, key=attrgetter("stack")):
            there = [*own]
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **there[0].settings}
            warm_up = 50 if name == UNGROUPED else sizes.orders // 4
            async with shop(directory / name, settings, warm_up, console) as opened:
                for phase in there:
                    async with flames(opened.stack, flame / phase.key) if flame else nullcontext():
                        found[phase.key] = await phase.measure(phase.title, opened, sizes)
                # The first shop stands for all.
                idle = idle or await opened.idle()
                sound = await check_stack(opened.stack.directory, console) and sound
    if idle is None:
        raise ValueError("no phase was chosen")
    report.show(console, [*found.values()], idle)
    document = report.document(found, idle)
    for sentence in report.ratios(document):
        console.print(sentence)
    _write(result, document, draw)
    return sound


def _write(
    result: Path, document: Mapping[str, Any], draw: Callable[[Mapping[str, Any], Path], None]
) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(document, indent=2) + "\n")
    picture = result.with_suffix(".png")
    draw(document, picture)
    console.print(f"written: {result}, {picture}")


async def memory(directory: Path, orders: int, rate: float, result: Path) -> bool:
    """Returns whether the shop stayed as it was and the checker found everything in order."""
    async with (
        collector() as endpoint,
        shop(
            directory / "soak",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            max(WARM_UP_LEAST, orders // 100),
            console,
        ) as opened,
    ):
        found = await soak(opened, Load(orders, rate=rate))
        console.print(f"{found.settled} orders settled, {found.refused} were refused")
        console.print(table(found.growth))
        _write(result, found.to_json(), draw_soaked)
        return await check_stack(opened.stack.directory, console) and found.is_flat


async def existing(directory: Path, existing: int, load: Load) -> bool:
    """Returns whether an order costs hardly more where so many are there already.

    The full shop is kept in `directory`: the next run has only to start it.
    """
    await clear(directory / "empty")
    async with (
        shop(directory / "full", {}, WARM_UP_LEAST, console) as full,
        shop(directory / "empty", {}, WARM_UP_LEAST, console) as empty,
    ):
        found = await compare(empty, full, existing, load)
        console.print(found.table())
        console.print(str(found))
        return not found.is_too_much and await check_stack(empty.stack.directory, console)


def main(
    *,
    orders: Annotated[int, typer.Option(help="Orders in each of the two large phases.", min=100)] = 3000,
    clients: Annotated[int, typer.Option(help="Clients that place orders concurrently.", min=1)] = 64,
    soaked: Annotated[
        int,
        typer.Option(
            "--memory",
            help="Instead, test that memory, descriptors and collections stay flat over this many orders.",
            min=0,
        ),
    ] = 0,
    there: Annotated[
        int,
        typer.Option(
            "--existing", help="Instead, measure what an order costs when this many orders are stored.", min=0
        ),
    ] = 0,
    rate: Annotated[float, typer.Option(help="Orders per second for --memory.", min=1)] = 150,
    phases: Annotated[
        str, typer.Option(help="Only these phases, separated by commas: direct,hotProduct. Without it: all.")
    ] = "",
    short: Annotated[
        bool,
        typer.Option(
            "--short", help="Skip the long phases (replicas, many products), and shorten the outage."
        ),
    ] = False,
    flame: Annotated[
        bool, typer.Option("--flame", help="Also draw flame graphs: what each service spends its time on.")
    ] = False,
    directory: Annotated[Path, typer.Option(help="Directory for the servers' data.")] = Path(".run/bench"),
    result: Annotated[
        Path | None,
        typer.Option(help="File for the figures; a picture is written beside it. Without it: in .run."),
    ] = None,
) -> None:
    """Measure orders per second, their latency and their cost, phase by phase."""
    if soaked:
        measuring = memory(directory, soaked, rate, result or Path(".run/soak.json"))
    elif there:
        measuring = existing(directory, there, Load(orders, clients))
    else:
        try:
            wanted = chosen([key for key in phases.split(",") if key], short=short)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--phases") from None
        file = result or Path(".run/bench.json")
        flames_in = file.parent / "flames" if flame else None
        measuring = bench(directory, wanted, Sizes(orders, clients, short), file, flames_in)
    sys.exit(run_to_the_end(measuring))


if __name__ == "__main__":
    typer.run(main)
