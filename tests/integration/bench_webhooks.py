"""What webhooks cost: `make bench-webhooks`. Of no suite: it takes minutes, and its figures are for people.

All is compared in turns, within one run: the machine may be busy with other things.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import aio_pika
import pytest
from msgspec import structs

from dev.stack import Stack
from sagactl.polling import until
from services.notification import domain
from services.notification.domain import Notification
from services.shared.contract.decisions import Message
from services.shared.contract.events import EXCHANGE
from tests.integration.issuer import issuing
from tests.integration.receiver import authority, receiving
from tests.integration.room import make_room
from tests.integration.webhooks import Shop, opened

TURNS: Final = int(os.environ.get("TURNS", "30"))
EVENTS: Final = 200
WITHIN_SECONDS: Final = 120.0
# What a dead endpoint may cost another.
ALLOWED: Final = 1.05
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Turn(NamedTuple):
    """`seconds` until all of it was done; CPU in ms an event, of this process and of MongoDB."""

    seconds: float
    python: float
    mongod: float


@pytest.fixture
async def shops(servers: Stack) -> AsyncIterator[Sequence[Shop]]:
    """Two, side by side in this process, each with a receiver of its own."""
    async with AsyncExitStack() as exits:
        believed = exits.enter_context(authority())
        issuer = await exits.enter_async_context(issuing())
        made: list[Shop] = []
        for _ in range(2):
            room = await exits.enter_async_context(make_room(servers))
            receiver = await exits.enter_async_context(receiving(believed.context))
            made.append(await exits.enter_async_context(opened(room, issuer, believed, receiver)))
        yield made


async def test_one_dead_endpoint_slows_no_other(shops: Sequence[Shop]) -> None:
    """It takes connections and never answers: it has its share of calls, and a backlog that grows."""
    alone, beside = shops
    await beside.endpoint("/hang")
    for shop in shops:
        await shop.endpoint("/ok")
        await _turn(shop, _all_called)
    ratios: list[float] = []
    for number in range(TURNS):
        took: dict[str, Turn] = {}
        for shop in shops if number % 2 else reversed(shops):
            took[shop.room.name] = await _turn(shop, _all_called)
        without, with_ = took[alone.room.name].seconds, took[beside.room.name].seconds
        _say(f"{number + 1}: {with_:.2f} s beside a dead endpoint, {without:.2f} s without")
        ratios.append(with_ / without)
    _say(f"with a dead endpoint beside it one is told of {EVENTS} events in {_spread(ratios)} of the time")
    assert statistics.median(ratios) < ALLOWED


async def test_what_webhooks_cost_where_there_is_none(
    shops: Sequence[Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each notification is kept to be told on, and marked as told: many at once, by a second write."""
    noted, keeps = domain._noted, True  # noqa: SLF001  # what it would cost without

    def sometimes(message: Message) -> Notification:
        return structs.replace(noted(message), untold=keeps)

    monkeypatch.setattr(domain, "_noted", sometimes)
    turns: dict[bool, list[Turn]] = {True: [], False: []}
    await _turn(shops[0], _all_told)
    for number in range(2 * TURNS):
        keeps = number % 2 == 0
        turns[keeps].append(await _turn(shops[0], _all_told))
    for name in ("python", "mongod"):
        kept, not_kept = ([getattr(each, name) for each in turns[which]] for which in (True, False))
        ratios = [one / other for one, other in zip(kept, not_kept, strict=True)]
        _say(
            f"{name}: {statistics.median(kept):.3f} ms of CPU an event, {statistics.median(not_kept):.3f}"
            f" without what is for webhooks: {_spread(ratios)}"
        )


async def _turn(shop: Shop, done: Callable[[Shop, int], Awaitable[None]]) -> Turn:
    """So many events more, until `done` with them."""
    seen = shop.room.database("notification")[Notification.collection]
    number = await seen.count_documents({}) + EVENTS
    pid = (await shop.room.mongodb.admin.command("serverStatus"))["pid"]
    began, python, mongod = time.monotonic(), time.process_time(), _cpu(pid)
    await _paid(shop)
    await done(shop, number)
    return Turn(
        time.monotonic() - began,
        (time.process_time() - python) / EVENTS * 1000,
        (_cpu(pid) - mongod) / EVENTS * 1000,
    )


async def _paid(shop: Shop) -> None:
    """As fast as the broker takes it."""
    async with shop.room.broker() as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        for _ in range(EVENTS):
            told = {
                "orderId": str(uuid4()),
                "sequence": 3,
                "email": "ada@customer.example",
                "totalPrice": "9.99",
                "currency": "EUR",
                "products": [{"productId": "p1", "quantity": 1}],
            }
            body = json.dumps({"type": "ORDER_PAID", "data": told}).encode()
            message = aio_pika.Message(body, message_id=str(uuid4()))
            await exchange.publish(message, "ORDER_PAID")


async def _all_called(shop: Shop, number: int) -> None:
    async def so_many() -> int:
        return len(shop.receiver.to("/ok"))

    await until(so_many, lambda found: found >= number, within=WITHIN_SECONDS, what="calls", every=0.01)


async def _all_told(shop: Shop, number: int) -> None:
    async def so_many() -> int:
        return await shop.room.database("notification")[Notification.collection].count_documents(
            {"untold": False}
        )

    await until(so_many, lambda found: found >= number, within=WITHIN_SECONDS, what="it told", every=0.2)


def _cpu(pid: int) -> float:
    """Seconds, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}")
    sys.stdout.flush()


def _spread(ratios: Sequence[float]) -> str:
    lower, middle, upper = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} (median of {len(ratios)}; the middle half {lower:.3f} to {upper:.3f})"
