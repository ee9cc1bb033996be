"""`make bench`: how fast is the whole stack? HTTP, tokens, real servers; group commit on, then off.

Timings on a shared machine vary: compare the phases of one run, not runs of different hours.
"""

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import aiohttp
import typer
import uvloop
from pymongo import AsyncMongoClient
from rich.console import Console

from bench import meter, report
from bench.load import Load, drive
from bench.report import Measured
from bench.traces import collector
from dev.stack import Stack
from sagactl.oncall.check import check_stack
from sagactl.shop import Client

CUSTOMERS: Final = 8
PRODUCTS: Final = 20
PLENTY: Final = 10_000_000
SETTINGS: Final = {
    "PAYMENT_SUCCESS_RATE": "1",
    "RATE_LIMIT_ENABLED": "false",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.05",
    "LOG_LEVEL": "warning",
}
console = Console(width=None if sys.stdout.isatty() else 140)


class Shop(NamedTuple):
    """A stack with customers and products in it."""

    stack: Stack
    tokens: Sequence[str]
    products: Sequence[str]

    async def measure(
        self, name: str, url: str, load: Load, products: Sequence[str] | None = None
    ) -> Measured:
        console.print(f"[dim]{name}: {load.orders} orders, {load.clients} clients[/dim]")
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.stack.mongodb.url)
        try:
            orders = client["order"]["orders"]
            before = await meter.read(self.stack)
            outcome = await drive(url, self.tokens, products or self.products, load, orders)
            after = await meter.read(self.stack)
        finally:
            await client.close()
        return Measured(name, load, outcome, before, after)


@asynccontextmanager
async def shop(directory: Path, settings: Mapping[str, str], warm_up: int) -> AsyncIterator[Shop]:
    async with (
        Stack(directory, settings={**SETTINGS, **settings}) as stack,
        aiohttp.ClientSession() as session,
    ):
        visitor = Client(session, stack.gateway)
        admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
        products = [
            await admin.add_product(PLENTY, "19.99", "USD", f"Product {number}") for number in range(PRODUCTS)
        ]
        tokens = [(await visitor.register(f"Customer {number}")).token for number in range(CUSTOMERS)]
        opened = Shop(stack, tokens, products)
        await opened.measure("warm-up", stack.gateway, Load(warm_up, 16))
        yield opened


async def bench(directory: Path, orders: int, clients: int, result: Path) -> bool:
    """Runs all phases and returns whether the checker found everything in order."""
    async with collector() as endpoint:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        async with shop(directory / "grouped", traced, orders // 4) as opened:
            order, gateway = opened.stack.services["order"], opened.stack.gateway
            phases = [
                await opened.measure("direct", order, Load(orders, clients)),
                await opened.measure("gateway", gateway, Load(orders, clients)),
                await opened.measure(
                    "one hot product", order, Load(orders // 2, clients), opened.products[:1]
                ),
                await opened.measure("40 orders/s", gateway, Load(min(orders, 400), 16, rate=40)),
            ]
            sound = await check_stack(opened.stack.directory, console)
        async with shop(directory / "ungrouped", {**traced, "COMMIT_MAX_BATCH": "1"}, 50) as opened:
            order = opened.stack.services["order"]
            phases.append(await opened.measure("ungrouped", order, Load(max(100, orders // 10), clients)))
            sound = await check_stack(opened.stack.directory, console) and sound
    report.show(console, phases)
    by_name = {phase.name: phase for phase in phases}
    ratio = by_name["direct"].settled_per_second / by_name["ungrouped"].settled_per_second
    console.print(f"group commit: {ratio:.1f} times the orders of one transaction per message")
    document = {
        "machine": report.machine(),
        **{name: by_name[name].to_json() for name in ("gateway", "direct", "ungrouped")},
        "hotProduct": by_name["one hot product"].to_json(),
        "rate40": by_name["40 orders/s"].to_json(),
        "messagesPerOrder": round(by_name["direct"].per_order("published"), 3),
        "transactionsPerOrder": round(by_name["direct"].per_order("transactions"), 3),
    }
    _write(result, document)
    return sound


def _write(result: Path, document: Mapping[str, Any]) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"written: {result}")


def main(
    orders: Annotated[int, typer.Option(help="Orders in each of the two great phases.", min=100)] = 3000,
    clients: Annotated[int, typer.Option(help="Clients that order at the same time.", min=1)] = 64,
    directory: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = Path(".run/bench"),
    result: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path(".run/bench.json"),
) -> None:
    """Measure orders per second through the gateway and direct, with group commit and without."""
    sound = uvloop.run(bench(directory, orders, clients, result))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    typer.run(main)
