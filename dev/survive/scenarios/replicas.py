"""One replica of several is in trouble; the others carry on, and see to what it left undone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from dev.faults import Proxy
from dev.faults.crashes import CrashPoint
from dev.survive.attempts import Attempt
from dev.survive.site import Site
from services.shared.contract.events import EXCHANGE, ReserveStock

CUT_OFF: Final = "order-2"
REQUEST: Final = ReserveStock.type
GOES_OUT_WITHIN: Final = 15.0
OTHERS_GO_ON_WITHIN: Final = 6.0
DEATHS: Final = 3
# How long it is watched after a death.
WATCHED_SECONDS: Final = 12.0


async def behind_a_proxy(site: Site) -> None:
    """One replica of order reaches the broker by a proxy, and customers order at all replicas alike."""
    url = await site.proxied("broker", site.amqp_url("order"))
    await site.stack.restart(CUT_OFF, {"AMQP_URL": url})
    site.traffic.doors = [replica.url for replica in site.stack.replicas if replica.service == "order"]


async def cut_off(site: Site) -> None:
    """First the broker does not answer it, then it refuses it."""
    proxy = site.proxies["broker"]
    async with _listening(site) as published:
        for name, begin in WAYS.items():
            since = datetime.now(UTC)
            begin(proxy)
            await asyncio.sleep(GOES_OUT_WITHIN + site.length(6, 30))
            _went_out(site, since, published, name)
    proxy.heal()


@asynccontextmanager
async def _listening(site: Site) -> AsyncIterator[Mapping[str, datetime]]:
    """When the request for an order's stock was first published, by the order's id.

    What comes of it may take longer: one answer in three is delivered to the replica that is cut off, until
    the broker misses its heartbeats.
    """
    published: dict[str, datetime] = {}

    async def hear(message: AbstractIncomingMessage) -> None:
        published.setdefault(message.correlation_id or "", datetime.now(UTC))

    async with await aio_pika.connect(site.stack.rabbitmq.url) as connection:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, REQUEST)
        await queue.consume(hear, no_ack=True)
        yield published


def _refuse(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


WAYS: Final[Mapping[str, Callable[[Proxy], None]]] = {"silent": Proxy.silence, "refusing": _refuse}


def _went_out(site: Site, since: datetime, published: Mapping[str, datetime], how: str) -> None:
    """What the replica wrote since then, and had time enough to go out, did so in time."""
    door = next(replica.url for replica in site.stack.replicas if replica.name == CUT_OFF)
    due = datetime.now(UTC) - timedelta(seconds=GOES_OUT_WITHIN)
    written = [each for each in site.traffic.accepted if each.door == door and since < each.answered_at < due]
    site.expect(holds=bool(written), otherwise=f"{how}: {CUT_OFF} took no order")
    waited = [_waited(attempt, published) for attempt in written]
    late = [
        f"{attempt.order_id} {'never' if seconds is None else f'after {seconds:.1f} s'}"
        for attempt, seconds in zip(written, waited, strict=True)
        if seconds is None or seconds > GOES_OUT_WITHIN
    ]
    slowest = max((seconds for seconds in waited if seconds is not None), default=0)
    site.say(f"{how}: {len(written)} orders of {CUT_OFF}, the slowest event went out after {slowest:.1f} s")
    otherwise = f"{how}: events of {CUT_OFF} did not go out within {GOES_OUT_WITHIN:.0f} s"
    site.expect(holds=not late, otherwise=f"{otherwise}: {len(late)} of {len(written)}", ids=late)


def _waited(attempt: Attempt, published: Mapping[str, datetime]) -> float | None:
    at = published.get(attempt.order_id)
    return None if at is None else (at - attempt.answered_at).total_seconds()


async def _reserved_at(site: Site, ids: list[str]) -> dict[str, datetime]:
    """When orders got their stock, by their own history; those that did not are not in it."""
    return {
        document["_id"]: step["at"]
        async for document in site.database("order")["orders"].find({"_id": {"$in": ids}}, {"history": 1})
        for step in document["history"]
        if step["event"] == "INVENTORY_RESERVED"
    }


async def killed_before_commit(site: Site) -> None:
    """Its transaction stays open in the database, on the stock of the one product that everybody wants."""
    for _ in range(int(site.length(1, DEATHS))):
        site.crashes.arm("inventory", CrashPoint.BEFORE_COMMIT)
        replicas = site.replicas("inventory")

        async def dead(replicas: list[str] = replicas) -> list[str]:
            return [name for name in replicas if name not in site.stack.processes]

        if not await site.until(dead, within=20, what="the death of a replica"):
            return
        died_at = datetime.now(UTC)
        await asyncio.sleep(WATCHED_SECONDS)
        pause = await _longest_pause(site, died_at)
        site.say(f"the others paused for {pause:.1f} s")
        site.expect(
            holds=pause <= OTHERS_GO_ON_WITHIN,
            otherwise=f"after a death no order got stock for {pause:.1f} s",
        )
        await asyncio.gather(*(site.stack.start(name) for name in await dead()))


async def _longest_pause(site: Site, since: datetime) -> float:
    """Seconds in which no order got its stock."""
    reserved = await _reserved_at(site, [attempt.order_id for attempt in site.traffic.accepted])
    times = [since, *sorted(at for at in reserved.values() if at > since), datetime.now(UTC)]
    return max((after - before).total_seconds() for before, after in pairwise(times))
