"""`make judge`: the consistency test of the TU Delft's course on web-scale data management, on our API.

After https://github.com/delftdata/wdm-project-benchmark (consistency-test): one product of which there are
100 pieces, 1,000 customers, and 1,000 orders of one piece at the same time, each of a customer who is drawn
at random. 100 must be sold. What the customers were told is held against what the databases say, of stock
and of money: four counts of inconsistencies, which are to be 0. Written anew; the figures and the rules are
theirs.

Two things are different. Their accounts hold one credit each, and so 900 must be left; here a customer pays
by card, and so 100 captures of the price must be with the payment gateway, each that of a customer who was
told so. And theirs asks while nothing fails; with `--kill` services are killed meanwhile.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import aiohttp
import typer
from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from bench import money
from bench.running import run as run_to_the_end
from bench.shop import clear
from dev.stack import Stack
from sagactl.oncall.report_on_screen import check_stack
from sagactl.shop import Client

PIECES: Final = 100
CUSTOMERS: Final = 1000
ORDERS: Final = 1000
PRICE_MINOR: Final = 100
PRICE: Final = "1.00"
# Passwords are made slow on purpose: more at a time would only be told to come back.
REGISTER_AT_ONCE: Final = 8
# Every killed service is away for a while; a request is repeated until it is answered.
PATIENCE_SECONDS: Final = 300.0
# A thousand who come back three times a second would be all that the shop has to do.
PAUSE_SECONDS: Final = 3.0
SETTLES_SECONDS: Final = 120.0
KILL_EVERY_SECONDS: Final = 0.7
KILLED: Final = ("order", "inventory", "payment", "gateway")
SETTINGS: Final = {"PAYMENT_SUCCESS_RATE": "1", "RATE_LIMIT_ENABLED": "false", "LOG_LEVEL": "warning"}
console = Console(width=None if sys.stdout.isatty() else 120)


class Told(NamedTuple):
    """What a customer was told of an order in the end."""

    customer: str
    status: str


class Kept(NamedTuple):
    """What the shop keeps, whatever it told."""

    available: int
    sold: int
    # Minor units that the gateway has of each customer: captured and not refunded.
    paid: Mapping[str, int]


class Judgement(NamedTuple):
    """Inconsistencies, as the original counts them: 0 where all is well, in each of the four places."""

    stock_told: int
    stock_kept: int
    payment_told: int
    payment_kept: int

    @property
    def holds(self) -> bool:
        return not any(self)


def judge(told: Sequence[Told], kept: Kept) -> Judgement:
    """Hold what was told against what is kept, and both against the figures."""
    paid = Counter(each.customer for each in told if each.status == "PAID")
    owed = {customer: count * PRICE_MINOR for customer, count in paid.items()}
    wrong = sum(
        abs(kept.paid.get(customer, 0) - owed.get(customer, 0)) for customer in owed.keys() | kept.paid.keys()
    )
    return Judgement(
        stock_told=abs(paid.total() - PIECES),
        stock_kept=abs(kept.sold - PIECES) + abs(kept.available),
        payment_told=abs(sum(owed.values()) - PIECES * PRICE_MINOR),
        payment_kept=wrong,
    )


async def run(directory: Path, *, kill: bool, seed: int) -> bool:
    """Whether the four counts are 0, and the shop's own checker finds every invariant."""
    chance = random.Random(seed)  # noqa: S311  # who orders is no secret
    await clear(directory)  # what earlier runs paid is none of this one's
    async with (
        Stack(directory, settings=SETTINGS) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        visitor = Client(session, stack.gateway, patience=PATIENCE_SECONDS, pause=PAUSE_SECONDS)
        admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
        product = await admin.add_product(PIECES, PRICE, "USD", "The last hundred")
        customers = await _customers(visitor)
        buyers = [chance.choice(customers) for _ in range(ORDERS)]
        console.print(
            f"{ORDERS} orders at the same time, from {len({each.name for each in buyers})} customers"
        )
        async with _killing(stack) if kill else nullcontext():
            placed = await asyncio.gather(*(each.place({product: 1}) for each in buyers))
        told = [
            Told(buyer.name, await _end_of(buyer, order["orderId"]))
            for buyer, order in zip(buyers, placed, strict=True)
        ]
        stock = await admin.stock(product)
        whose = {order["orderId"]: buyer.name for buyer, order in zip(buyers, placed, strict=True)}
        kept = Kept(stock.available, stock.sold, await _money(stack, whose))
        judgement = judge(told, kept)
        console.print(_table(judgement))
        return await check_stack(directory, console) and judgement.holds


async def _customers(visitor: Client) -> Sequence[Client]:
    console.print(f"{CUSTOMERS} customers register; their passwords are hashed slowly, on purpose")
    places = asyncio.Semaphore(REGISTER_AT_ONCE)

    async def register(number: int) -> Client:
        async with places:
            return await visitor.register(f"customer {number}")

    return await asyncio.gather(*(register(number) for number in range(CUSTOMERS)))


@asynccontextmanager
async def _killing(stack: Stack) -> AsyncIterator[None]:
    """Meanwhile a service after the other is killed, and started again."""

    async def kill() -> None:
        for service in KILLED:
            await asyncio.sleep(KILL_EVERY_SECONDS)
            console.print(f"kill -9 {service}")
            await stack.kill(service)
            await stack.start(service)

    killing = asyncio.create_task(kill())
    try:
        yield
    finally:
        await killing


async def _end_of(buyer: Client, order_id: str) -> str:
    return str((await buyer.settled(order_id, within=SETTLES_SECONDS))["status"])


async def _money(stack: Stack, whose: Mapping[str, str]) -> Mapping[str, int]:
    """By the payment gateway's own ledger."""
    of_customers: Counter[str] = Counter()
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo:
        for order_id, amount in (await money.paid(mongo)).items():
            of_customers[whose.get(order_id, "nobody")] += amount
    return of_customers


def _table(judgement: Judgement) -> Table:
    table = Table("inconsistencies", "as told to customers", "in the database")
    table.add_row("stock (pieces)", str(judgement.stock_told), str(judgement.stock_kept))
    table.add_row("payment (minor units)", str(judgement.payment_told), str(judgement.payment_kept))
    return table


def main(
    *,
    kill: Annotated[bool, typer.Option("--kill", help="Kill services while the orders are placed.")] = False,
    seed: Annotated[int, typer.Option(help="Seed that decides who orders.")] = 1,
    directory: Annotated[Path, typer.Option(help="Directory for the servers' data.")] = Path(".run/judge"),
) -> None:
    """Sell 100 pieces to 1,000 concurrent orders, and compare what customers were told with the databases."""
    sys.exit(run_to_the_end(run(directory, kill=kill, seed=seed)))


if __name__ == "__main__":
    typer.run(main)
