"""One replica of several is in trouble; the others carry on, and see to what it left undone."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from dev.faults import Proxy
from dev.survive.attempts import Attempt
from dev.survive.site import Site

CUT_OFF: Final = "order-2"
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
    for name, begin in WAYS.items():
        since = datetime.now(UTC)
        begin(proxy)
        await asyncio.sleep(GOES_OUT_WITHIN + site.length(6, 30))
        await _others_published(site, since, name)
    proxy.heal()


def _refuse(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


WAYS: Final[Mapping[str, Callable[[Proxy], None]]] = {"silent": Proxy.silence, "refusing": _refuse}


async def _others_published(site: Site, since: datetime, how: str) -> None:
    """What the replica wrote since then, and had time enough to go out, did so in time."""
    door = next(replica.url for replica in site.stack.replicas if replica.name == CUT_OFF)
    due = datetime.now(UTC) - timedelta(seconds=GOES_OUT_WITHIN)
    written = [
        attempt
        for attempt in site.traffic.accepted
        if attempt.door == door and since < attempt.answered_at < due
    ]
    site.expect(holds=bool(written), otherwise=f"{how}: {CUT_OFF} took no order")
    reserved = await _reserved_at(site, [attempt.order_id for attempt in written])
    late = [attempt.order_id for attempt in written if not _in_time(attempt, reserved)]
    otherwise = f"{how}: events of {CUT_OFF} did not go out within {GOES_OUT_WITHIN:.0f} s"
    site.expect(holds=not late, otherwise=f"{otherwise}: {len(late)} of {len(written)}", ids=late)


def _in_time(attempt: Attempt, reserved: dict[str, datetime]) -> bool:
    at = reserved.get(attempt.order_id)
    return at is not None and (at - attempt.answered_at).total_seconds() <= GOES_OUT_WITHIN


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
        (site.crashes / "inventory").touch()
        replicas = site.replicas("inventory")

        async def one_is_dead(replicas: list[str] = replicas) -> bool:
            return any(name not in site.stack.processes for name in replicas)

        if not await site.until(one_is_dead, 20, "no replica got to the point where it dies"):
            return
        died_at = datetime.now(UTC)
        await asyncio.sleep(WATCHED_SECONDS)
        pause = await _longest_pause(site, died_at)
        site.say(f"the others paused for {pause:.1f} s")
        site.expect(
            holds=pause <= OTHERS_GO_ON_WITHIN,
            otherwise=f"after a death no order got stock for {pause:.1f} s",
        )
        dead = [name for name in replicas if name not in site.stack.processes]
        await asyncio.gather(*(site.stack.start(name) for name in dead))


async def _longest_pause(site: Site, since: datetime) -> float:
    """Seconds in which no order got its stock."""
    reserved = await _reserved_at(site, [attempt.order_id for attempt in site.traffic.accepted])
    times = [since, *sorted(at for at in reserved.values() if at > since), datetime.now(UTC)]
    return max((after - before).total_seconds() for before, after in pairwise(times))
