"""Places orders from a number of clients, and waits until all orders are settled."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from bench.client import Connection
from services.order.model import Status

POLL_SECONDS: Final = 0.1
STUCK_SECONDS: Final = 60.0
LINES: Final = 2
OPEN: Final = (Status.PENDING, Status.CONFIRMED, Status.REFUNDING)


class Load(NamedTuple):
    """What is asked of the stack."""

    orders: int
    clients: int
    # Orders offered per second; 0 is as many as the clients manage.
    rate: float = 0


class Outcome(NamedTuple):
    ids: list[str]
    # Seconds each POST took.
    posts: list[float]
    # Seconds from creation to the end of each saga, by the order's own history.
    sagas: list[float]
    # From the first POST to the last order's end.
    seconds: float


async def offer(
    url: str, tokens: Sequence[str], products: Sequence[str], load: Load
) -> tuple[list[str], list[float]]:
    """Places the orders and returns their ids and how long each POST took."""
    numbers = iter(range(load.orders))
    ids: list[str] = []
    posts: list[float] = []
    connections = [await Connection.open(url) for _ in range(load.clients)]

    async def client(connection: Connection, token: str) -> None:
        for _ in numbers:
            if load.rate:
                pause = load.clients / load.rate
                await asyncio.sleep(random.uniform(0.8, 1.2) * pause)  # noqa: S311  # load, not secrets
            chosen = random.sample(products, min(LINES, len(products)))
            body = {"ids": chosen, "quantities": [1] * len(chosen), "paymentToken": "tok_success"}
            started = time.perf_counter()
            status, answer = await connection.request("POST", "/api/orders", token, body)
            posts.append(time.perf_counter() - started)
            if status != HTTPStatus.CREATED:
                raise RuntimeError(f"an order was answered {status}: {answer}")
            ids.append(answer["orderId"])

    pairs = zip(connections, itertools.cycle(tokens), strict=False)
    await asyncio.gather(*(client(connection, token) for connection, token in pairs))
    for connection in connections:
        connection.close()
    return ids, posts


async def drive(
    url: str,
    tokens: Sequence[str],
    products: Sequence[str],
    load: Load,
    orders: AsyncCollection[dict[str, Any]],
) -> Outcome:
    """Offers the load and waits until no order is open. Raises RuntimeError when some get stuck."""
    started = time.perf_counter()
    ids, posts = await offer(url, tokens, products, load)
    deadline = time.perf_counter() + STUCK_SECONDS
    while count := await orders.count_documents({"status": {"$in": OPEN}}):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{count} orders are stuck")
        await asyncio.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - started
    sagas = [
        (order["updatedAt"] - order["createdAt"]).total_seconds()
        async for order in orders.find({"_id": {"$in": ids}}, {"createdAt": 1, "updatedAt": 1})
    ]
    return Outcome(ids, posts, sagas, seconds)
