"""Places orders: from clients that wait for their answers, or at a fixed rate whatever the answers are.

At a fixed rate every order has a time at which it is due, and its latency counts from then: when the shop, or
this program, is late, that is in the figures (there is no coordinated omission).
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from operator import not_
from typing import Any, Final, NamedTuple, Never, TypeAlias

from pymongo.asynchronous.collection import AsyncCollection

from bench.client import Connection, Pool, post
from sagactl.polling import until
from services.order.model import OPEN

POLL_SECONDS: Final = 0.1
STUCK_SECONDS: Final = 60.0
# A client that waits for its answers comes back when a 503 says so: after a second (`Retry-After`).
COME_BACK_SECONDS: Final = 1.0
# So many different orders are made before the clock runs, and placed in turn.
PREPARED: Final = 2000
# Tokens last for a quarter of an hour.
RENEW_SECONDS: Final = 300.0
# The same arrivals in every run.
SEED: Final = 1
# Tells new tokens of a site's customers.
Renewed: TypeAlias = Callable[[], Awaitable[Sequence[str]]]


class Load(NamedTuple):
    """What is asked of the stack: by so many clients that wait for answers, or else at a fixed rate."""

    orders: int
    clients: int = 0
    # Orders offered per second. Who is refused at a fixed rate gives up.
    rate: float = 0

    def __str__(self) -> str:
        return f"{self.clients} clients" if self.clients else f"{self.rate:.0f}/s"


class Site(NamedTuple):
    """Where orders are placed, in turn, by whom, and of what."""

    urls: Sequence[str]
    tokens: Sequence[str]
    products: Sequence[str]
    # Products in an order.
    lines: int = 2
    # The part of orders whose payment is declined.
    declined: float = 0


@dataclass
class Offered:
    """What the customers saw."""

    ids: list[str] = field(default_factory=list)
    # Seconds until each accepted order was answered.
    posts: list[float] = field(default_factory=list)
    # Seconds until each 503.
    refusals: list[float] = field(default_factory=list)
    # Seconds by which this program sent each order of a fixed rate too late.
    lags: list[float] = field(default_factory=list)
    connections: int = 0
    # Of the machine's cores that this program took meanwhile: what it takes, the shop lacks.
    cores: float = 0

    @property
    def refused_share(self) -> float:
        return len(self.refusals) / max(1, len(self.refusals) + len(self.ids))


async def offer(site: Site, load: Load, renewed_tokens: Renewed | None = None) -> Offered:
    """Places the orders. A load that outlasts tokens needs to be told new ones.

    Raises RuntimeErrors, as a group, for answers that are neither 201 nor 503; and at once what
    `renewed_tokens` raises: without new tokens there would soon be nothing but 401.
    """
    chance = random.Random(SEED)  # noqa: S311  # load
    orders = _Orders(Offered(), _requests(site, chance))
    pool = Pool(site.urls)
    started, used = time.perf_counter(), time.process_time()
    placing = _from_clients(orders, pool, load) if load.clients else _at_rate(orders, pool, load, chance)
    tasks: set[asyncio.Task[None]] = {asyncio.create_task(placing)}
    if renewed_tokens:
        tasks.add(asyncio.create_task(_renew(orders, site, renewed_tokens)))
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        pool.close()
    orders.offered.connections = pool.opened
    orders.offered.cores = (time.process_time() - used) / (time.perf_counter() - started)
    return orders.offered


async def _renew(orders: "_Orders", site: Site, renewed_tokens: Renewed) -> Never:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        tokens = await renewed_tokens()
        orders.requests = _requests(site._replace(tokens=tokens), random.Random(SEED))  # noqa: S311  # load


def _requests(site: Site, chance: random.Random) -> Iterator[bytes]:
    """Endless."""
    tokens = itertools.islice(itertools.cycle(site.tokens), PREPARED)
    return itertools.cycle([order_of(site, token, chance) for token in tokens])


def arrivals(orders: int, rate: float, chance: random.Random) -> Iterator[float]:
    """When each order is due, in seconds from the start: at a random point of a slot of its own."""
    return ((number + chance.random()) / rate for number in range(orders))


def order_of(site: Site, token: str, chance: random.Random) -> bytes:
    chosen = chance.sample(site.products, min(site.lines, len(site.products)))
    card = "tok_declined" if chance.random() < site.declined else "tok_success"
    body = {"ids": chosen, "quantities": [1] * len(chosen), "paymentToken": card}
    return post(site.urls[0], "/api/orders", token, body)


@dataclass
class _Orders:
    offered: Offered
    requests: Iterator[bytes]

    async def place(self, connection: Connection, request: bytes, since: float) -> bool:
        """Whether the order was accepted; `since` is when it was due."""
        status, answer = await connection.send(request)
        seconds = time.perf_counter() - since
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.offered.refusals.append(seconds)
            return False
        if status != HTTPStatus.CREATED:
            raise RuntimeError(f"an order was answered {status}: {answer!r}")
        self.offered.posts.append(seconds)
        self.offered.ids.append(json.loads(answer)["orderId"])
        return True


async def _from_clients(orders: _Orders, pool: Pool, load: Load) -> None:
    numbers = iter(range(load.orders))

    async def client() -> None:
        async with pool.connection() as connection:
            for _ in numbers:
                request, since = next(orders.requests), time.perf_counter()
                while not await orders.place(connection, request, since):
                    await asyncio.sleep(COME_BACK_SECONDS)

    async with asyncio.TaskGroup() as group:
        for _ in range(load.clients):
            group.create_task(client())


async def _at_rate(orders: _Orders, pool: Pool, load: Load, chance: random.Random) -> None:
    async def customer(due: float) -> None:
        orders.offered.lags.append(time.perf_counter() - due)
        async with pool.connection() as connection:
            await orders.place(connection, next(orders.requests), due)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for seconds in arrivals(load.orders, load.rate, chance):
            await asyncio.sleep(max(0, started + seconds - time.perf_counter()))
            group.create_task(customer(started + seconds))


async def until_settled(orders: AsyncCollection[dict[str, Any]], within: float = STUCK_SECONDS) -> None:
    """Waits until no order is open. Raises NotInTimeError when some get stuck."""
    await until(
        lambda: orders.count_documents({"status": {"$in": OPEN}}),
        not_,
        within=within,
        what="all orders are settled",
        every=POLL_SECONDS,
    )


class Saga(NamedTuple):
    """From the creation of an order to its end."""

    seconds: float
    # When it ended, in seconds since the epoch.
    ended: float


async def sagas_of(orders: AsyncCollection[dict[str, Any]], ids: Sequence[str]) -> list[Saga]:
    """The sagas of these orders, by each order's own history."""
    found = orders.find({"_id": {"$in": ids}}, {"createdAt": 1, "updatedAt": 1})
    return [
        Saga((order["updatedAt"] - order["createdAt"]).total_seconds(), order["updatedAt"].timestamp())
        async for order in found
    ]
