"""`make bench-viewers`: what fifty people cost the shop who look at the console all the time.

An open page asks for nothing by itself: the console has no scripts. So each of them looks again every few
seconds, at one page after the other, while orders come at a steady rate; and, in turns, nobody looks. What
the processes took is printed for both, with the difference, and what the pages themselves took.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Final, NamedTuple

import aiohttp
import typer
import uvloop
from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from bench import meter
from bench.load import Load, offer, until_settled
from bench.meter import Usage
from bench.report import cpu_seconds, quantiles_ms
from bench.shop import Shop, clear, stocked
from dev.services import ALL

# Each viewer is at a place of their own, or they would be one who guesses passwords.
PLACES: Final = ip_network("198.18.0.0/15")
SETTINGS: Final = {"INSECURE_COOKIE": "true", "TRUSTED_PROXIES": "127.0.0.1"}
# As a browser says it of a form on a page of the same origin.
OURS: Final = {"Sec-Fetch-Site": "same-origin"}
# Passwords are made slow on purpose.
SIGN_IN_AT_ONCE: Final = 4
PAGES: Final = ("/", "/orders", "/stuck", "/queues", "/letters", "/orders?status=PAID", "/mails", "/jobs")
console = Console(width=None if sys.stdout.isatty() else 120)


class Viewer(NamedTuple):
    http: aiohttp.ClientSession
    # One of an order among them.
    pages: Sequence[str]


class Looked(NamedTuple):
    """What the shop took in a time, and what was looked at meanwhile."""

    seconds: float
    before: Usage
    after: Usage
    # Commands that mongod was sent.
    commands: int
    # By service.
    requests: Mapping[str, float]
    # Seconds that each page took, by the page.
    took: Mapping[str, Sequence[float]]

    @property
    def cores(self) -> Mapping[str, float]:
        """By process."""
        return {name: used / self.seconds for name, used in cpu_seconds(self.before, self.after).items()}

    def requests_a_second(self, service: str) -> float:
        return self.requests[service] / self.seconds

    @property
    def commands_a_second(self) -> float:
        return self.commands / self.seconds


@asynccontextmanager
async def viewers(shop: Shop, number: int) -> AsyncIterator[Sequence[Viewer]]:
    """So many who are signed in. Raises aiohttp.ClientError where the console lets somebody not in."""
    url, places, at_once = shop.stack.services["console"], PLACES.hosts(), asyncio.Semaphore(SIGN_IN_AT_ONCE)
    newest = await shop.orders.find_one({}, {"_id": 1}, sort=[("createdAt", -1)])
    pages = [*PAGES, *([f"/orders/{newest['_id']}"] if newest else [])]

    async def sign_in(session: aiohttp.ClientSession) -> None:
        form = {**shop.stack.admin, "next": "/jobs"}
        async with at_once, session.post("/login", data=form, headers=OURS) as answer:
            answer.raise_for_status()
            await answer.read()

    async with AsyncExitStack() as opened:
        sessions = [
            await opened.enter_async_context(
                aiohttp.ClientSession(
                    url,
                    headers={"X-Forwarded-For": str(next(places))},
                    # The console is at an address and not a name.
                    cookie_jar=aiohttp.CookieJar(unsafe=True),
                )
            )
            for _ in range(number)
        ]
        await asyncio.gather(*map(sign_in, sessions))
        yield [Viewer(each, pages) for each in sessions]


async def look(all_: Sequence[Viewer], every: float, seconds: float) -> Mapping[str, list[float]]:
    """What each page took. Whoever was served late looks again at once."""
    took: dict[str, list[float]] = {}
    until = time.monotonic() + seconds

    async def watch(number: int, viewer: Viewer) -> None:
        await asyncio.sleep(every * number / len(all_))
        for page in itertools.islice(itertools.cycle(viewer.pages), number, None):
            began = time.monotonic()
            if began >= until:
                return
            async with viewer.http.get(page) as answer:
                answer.raise_for_status()
                text = await answer.text()
            if "Sign out" not in text:
                raise RuntimeError(f"{page} is shown to nobody who is signed in")
            took.setdefault(page, []).append(time.monotonic() - began)
            await asyncio.sleep(max(0.0, min(began + every, until) - time.monotonic()))

    await asyncio.gather(*itertools.starmap(watch, enumerate(all_)))
    return took


async def measured(shop: Shop, all_: Sequence[Viewer], every: float, seconds: float, rate: float) -> Looked:
    """Of a time in which orders come at this rate, and these look."""
    load = (
        asyncio.create_task(offer(shop.through_gateway, Load(round(rate * seconds), rate=rate)))
        if rate
        else None
    )
    commands, asked = await _commands(shop.mongo), await meter.requests(shop.stack)
    before, began = meter.usage(shop.stack.processes), time.monotonic()
    took = await look(all_, every, seconds)
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
    after, elapsed = meter.usage(shop.stack.processes), time.monotonic() - began
    done, answered = await _commands(shop.mongo) - commands, await meter.requests(shop.stack)
    if load:
        await load
        await until_settled(shop.orders)
    requests = {service: number - asked[service] for service, number in answered.items()}
    return Looked(elapsed, before, after, done, requests, took)


async def _commands(mongo: AsyncMongoClient[dict[str, Any]]) -> int:
    found = (await mongo.admin.command("serverStatus"))["opcounters"]
    return sum(found[kind] for kind in ("insert", "query", "update", "delete", "getmore", "command"))


async def bench(directory: Path, number: int, every: float, seconds: float, rate: float, turns: int) -> None:
    await clear(directory)
    async with stocked(directory, SETTINGS, console, ALL) as shop:
        await shop.measure("warm-up", shop.through_gateway, Load(500, 16))
        async with viewers(shop, number) as all_:
            await look(all_, every, every * 2)
            found: list[tuple[Looked, Looked]] = []
            for turn in range(turns):
                console.print(f"[dim]turn {turn + 1} of {turns}[/dim]")
                nobody = await measured(shop, (), every, seconds, rate)
                found.append((nobody, await measured(shop, all_, every, seconds, rate)))
    beside = f"beside {rate:g} orders/s: {turns} turns of {seconds:g} s"
    console.print(f"{number} viewers, one page each every {every:g} s, {beside}")
    console.print(_of_processes(found))
    console.print(_of_pages([each.took for _, each in found]))


def _of_processes(found: Sequence[tuple[Looked, Looked]]) -> Table:
    table = Table("CPU, % of a core", box=None, header_style="dim")
    for heading in ("nobody looks", "all look", "more"):
        table.add_column(heading, justify="right")

    def row(name: str, pairs: Sequence[tuple[float, float]]) -> None:
        without, with_ = (fmean(column) for column in zip(*pairs, strict=True))
        table.add_row(name, f"{without:.1f}", f"{with_:.1f}", f"{with_ - without:+.1f}")

    for name in found[0][0].cores:
        row(name, [(100 * nobody.cores[name], 100 * some.cores[name]) for nobody, some in found])
    row("all", [tuple(100 * sum(each.cores.values()) for each in pair) for pair in found])  # type: ignore[misc]  # two
    table.add_section()
    for name in found[0][0].requests:
        pairs = [(nobody.requests_a_second(name), some.requests_a_second(name)) for nobody, some in found]
        row(f"requests per second: {name}", pairs)
    row(
        "MongoDB's commands per second",
        [(nobody.commands_a_second, some.commands_a_second) for nobody, some in found],
    )
    return table


def _of_pages(found: Sequence[Mapping[str, Sequence[float]]]) -> Table:
    table = Table("page", box=None, header_style="dim")
    for heading in ("looks", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    for page in dict.fromkeys(page for took in found for page in took):
        times = [each for took in found for each in took.get(page, ())]
        quantiles = quantiles_ms(times)
        table.add_row(page, str(len(times)), f"{quantiles['p50']:.0f}", f"{quantiles['p95']:.0f}")
    return table


def main(
    *,
    number: Annotated[int, typer.Option("--viewers", help="Number of viewers.", min=1)] = 50,
    every: Annotated[float, typer.Option(help="Seconds between two pages of a viewer.", min=0.1)] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds of each measurement.", min=5)] = 30,
    rate: Annotated[float, typer.Option(help="Orders per second meanwhile.", min=0)] = 20,
    turns: Annotated[
        int, typer.Option(help="How often to measure, each time without and with viewers.", min=1)
    ] = 3,
    directory: Annotated[Path, typer.Option(help="Directory for the servers' data.")] = Path(".run/viewers"),
) -> None:
    """Measure what people who use the console cost the shop."""
    uvloop.run(bench(directory, number, every, seconds, rate, turns))


if __name__ == "__main__":
    typer.run(main)
