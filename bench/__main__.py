"""`make bench`: how fast is the whole stack? HTTP, tokens, real servers; group commit on, then off.

Timings on a shared machine vary: compare the phases of one run, not runs of different hours.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.console import Console

from bench import report
from bench.existing import compare
from bench.load import Load
from bench.report import Idle, Measured, Overload
from bench.shop import Shop, clear, shop
from bench.soak import soak
from bench.traces import collector
from sagactl.oncall.check import check_stack

# Of what the shop settles at its best.
OVERLOAD: Final = 3
OVERLOAD_SECONDS: Final = 15
WARM_UP_LEAST: Final = 500
console = Console(width=None if sys.stdout.isatty() else 150)


async def bench(directory: Path, orders: int, clients: int, result: Path) -> bool:
    """Runs all phases and returns whether the checker found everything in order."""
    async with collector() as endpoint:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        async with shop(directory / "grouped", traced, orders // 4, console) as opened:
            phases = await _phases(opened, orders, clients)
            idle = await opened.idle()
            overload = await _overload(opened, phases[0])
            phases.append(overload.overload)
            sound = await check_stack(opened.stack.directory, console)
        async with shop(directory / "ungrouped", {**traced, "COMMIT_MAX_BATCH": "1"}, 50, console) as opened:
            load = Load(max(100, orders // 10), clients)
            phases.append(await opened.measure("ungrouped", opened.order, load))
            sound = await check_stack(opened.stack.directory, console) and sound
    report.show(console, phases, idle)
    console.print(str(overload))
    _write(result, _document({phase.name: phase for phase in phases}, idle, overload))
    return sound


async def _phases(opened: Shop, orders: int, clients: int) -> list[Measured]:
    order, gateway, one = opened.order, opened.stack.gateway, opened.products[:1]
    return [
        await opened.measure("direct", order, Load(orders, clients)),
        await opened.measure("gateway", gateway, Load(orders, clients)),
        await opened.measure("one hot product", order, Load(orders // 2, clients), one),
        await opened.measure("40 orders/s", gateway, Load(min(orders, 400), rate=40)),
        await opened.measure("5 orders/s", gateway, Load(min(orders, 150), rate=5)),
    ]


async def _overload(opened: Shop, peak: Measured) -> Overload:
    rate = OVERLOAD * peak.settled_per_second
    load = Load(round(rate * OVERLOAD_SECONDS), rate=rate)
    return Overload(peak, await opened.measure("overload", opened.order, load))


def _document(phases: Mapping[str, Measured], idle: Idle, overload: Overload) -> dict[str, Any]:
    direct = phases["direct"]
    ratio = direct.settled_per_second / phases["ungrouped"].settled_per_second
    console.print(f"group commit: {ratio:.1f} times the orders of one transaction per message")
    return {
        "machine": report.machine(),
        **{name: phases[name].to_json() for name in ("gateway", "direct", "ungrouped")},
        "hotProduct": phases["one hot product"].to_json(),
        "rate40": phases["40 orders/s"].to_json(),
        "rate5": phases["5 orders/s"].to_json(),
        "overload": overload.to_json(),
        "idle": idle.to_json(),
        "messagesPerOrder": round(direct.per_order("published"), 3),
        "transactionsPerOrder": round(direct.per_order("transactions"), 3),
        "commitsPerOrder": round(direct.per_order("commits"), 3),
    }


def _write(result: Path, document: Mapping[str, Any]) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"written: {result}")


async def memory(directory: Path, orders: int, rate: float) -> bool:
    """Returns whether memory stayed flat and the checker found everything in order."""
    async with (
        collector() as endpoint,
        shop(
            directory / "soak",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            max(WARM_UP_LEAST, orders // 100),
            console,
        ) as opened,
    ):
        flat = await soak(opened, Load(orders, rate=rate))
        return await check_stack(opened.stack.directory, console) and flat


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
    orders: Annotated[int, typer.Option(help="Orders in each of the two great phases.", min=100)] = 3000,
    clients: Annotated[int, typer.Option(help="Clients that order at the same time.", min=1)] = 64,
    soaked: Annotated[
        int, typer.Option("--memory", help="Instead: whether memory stays flat over so many orders.", min=0)
    ] = 0,
    there: Annotated[
        int,
        typer.Option("--existing", help="Instead: what an order costs where so many are there.", min=0),
    ] = 0,
    rate: Annotated[float, typer.Option(help="Orders per second for --memory.", min=1)] = 150,
    directory: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = Path(".run/bench"),
    result: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path(".run/bench.json"),
) -> None:
    """Measure orders per second through the gateway and direct, with group commit and without."""
    if soaked:
        measuring = memory(directory, soaked, rate)
    elif there:
        measuring = existing(directory, there, Load(orders, clients))
    else:
        measuring = bench(directory, orders, clients, result)
    sys.exit(0 if uvloop.run(measuring) else 1)


if __name__ == "__main__":
    typer.run(main)
