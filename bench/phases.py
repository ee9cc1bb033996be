"""What `make bench` measures, one after the other: each by a load of its own, some on a shop of its own."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import not_
from typing import Any, Final, NamedTuple, TypeAlias

from pymongo.asynchronous.collection import AsyncCollection

from bench.load import Load, Site
from bench.report import Measured, Outage, Outcome, Overload
from bench.shop import Shop
from sagactl.polling import until
from services.order.model import OPEN

# Of what the shop settles at its best.
OVERLOAD: Final = 3
OVERLOAD_SECONDS: Final = 15
STEADY_ORDERS: Final = 2000
MANY_PRODUCTS: Final = 2000
MANY_LINES: Final = 50
DECLINED: Final = 0.1
# Orders per second while the broker is away, and for so long before and after it (s).
OUTAGE_RATE: Final = 40
AROUND_SECONDS: Final = 3
OUTAGE_SECONDS: Final = 60
SHORT_OUTAGE_SECONDS: Final = 5
# The broker takes its time to start where others want the cores, too.
RECOVERS_WITHIN_SECONDS: Final = 300.0
REPLICATED: Final = ("order", "inventory", "payment", "notification")


class Sizes(NamedTuple):
    orders: int
    clients: int
    short: bool

    def part(self, divisor: int) -> Load:
        """A part of the orders, all clients at once."""
        return Load(max(100, self.orders // divisor), self.clients)


Measure: TypeAlias = Callable[[str, Shop, Sizes], Awaitable[Outcome]]


class Phase(NamedTuple):
    # In the file of figures, and by which it is asked for.
    key: str
    # In the table.
    title: str
    measure: Measure
    # The directory of its shop.
    stack: str = "grouped"
    settings: Mapping[str, str] = {}
    # Takes a while: not in the short form.
    is_long: bool = False


def _direct(shop: Shop) -> Site:
    return shop.direct


def _through_gateway(shop: Shop) -> Site:
    return shop.through_gateway


def _hot(shop: Shop) -> Site:
    return shop.direct._replace(products=shop.products[:1])


def _declined(shop: Shop) -> Site:
    return shop.direct._replace(declined=DECLINED)


def _part(divisor: int, site: Callable[[Shop], Site] = _direct) -> Measure:
    """A part of the orders, from all clients."""

    async def measure(title: str, shop: Shop, sizes: Sizes) -> Measured:
        return await shop.measure(title, site(shop), sizes.part(divisor))

    return measure


def _at_rate(rate: int, most: int) -> Phase:
    async def measure(title: str, shop: Shop, sizes: Sizes) -> Measured:
        orders = min(sizes.orders, most // 2 if sizes.short else most)
        return await shop.measure(title, shop.through_gateway, Load(orders, rate=rate))

    return Phase(f"rate{rate}", f"{rate} orders/s", measure)


async def _many_products(title: str, shop: Shop, sizes: Sizes) -> Measured:
    site = shop.direct._replace(products=await shop.more_products(MANY_PRODUCTS))
    return await shop.measure(title, site, sizes.part(1))


async def _many_lines(title: str, shop: Shop, sizes: Sizes) -> Measured:
    products = await shop.more_products(2 * MANY_LINES)
    site = shop.direct._replace(products=products, lines=MANY_LINES)
    return await shop.measure(title, site, sizes.part(4))


async def _overload(title: str, shop: Shop, sizes: Sizes) -> Overload:
    # Few orders are over before anything is steady.
    peak = Load(max(sizes.orders, STEADY_ORDERS), sizes.clients)
    before = await shop.measure(f"{title}: its peak", shop.direct, peak)
    rate = OVERLOAD * before.settled_per_second
    load = Load(round(rate * OVERLOAD_SECONDS), rate=rate)
    measured = await shop.measure(title, shop.direct, load)
    after = await shop.measure(f"{title}: its peak, once more", shop.direct, peak)
    return Overload((before, after), measured, len(os.sched_getaffinity(0)))


async def _outage(title: str, shop: Shop, sizes: Sizes) -> Outage:
    """The broker is killed while orders come, and comes back; they go on coming."""
    away = SHORT_OUTAGE_SECONDS if sizes.short else OUTAGE_SECONDS
    load = Load(OUTAGE_RATE * (away + 2 * AROUND_SECONDS), rate=OUTAGE_RATE)
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(
            shop.measure(title, shop.through_gateway, load, RECOVERS_WITHIN_SECONDS)
        )
        await asyncio.sleep(AROUND_SECONDS)
        await shop.stack.kill("rabbitmq")
        await asyncio.sleep(away)
        await shop.stack.start("rabbitmq")
        back, since = datetime.now(UTC), time.perf_counter()
        backlog = await _open_since_before(shop.orders, back)
        await until(
            lambda: _open_since_before(shop.orders, back),
            not_,
            within=RECOVERS_WITHIN_SECONDS,
            what="what was left is settled",
        )
        recovered = time.perf_counter() - since
    return Outage(measuring.result(), away, backlog, recovered)


async def _open_since_before(orders: AsyncCollection[dict[str, Any]], moment: datetime) -> int:
    return await orders.count_documents({"status": {"$in": OPEN}, "createdAt": {"$lt": moment}})


def _replicas(number: int) -> Phase:
    title = f"{number} replica{'s' if number > 1 else ''} of each"
    settings = {f"REPLICAS_{service.upper()}": str(number) for service in REPLICATED}
    return Phase(f"replicas{number}", title, _part(1), f"replicas-{number}", settings, is_long=True)


PHASES: Final[Sequence[Phase]] = (
    Phase("direct", "direct", _part(1)),
    Phase("gateway", "gateway", _part(1, _through_gateway)),
    Phase("hotProduct", "one hot product", _part(2, _hot)),
    Phase("products2000", "2,000 products", _many_products, is_long=True),
    Phase("lines50", "50 lines an order", _many_lines),
    Phase("declined", "every tenth declined", _part(2, _declined)),
    _at_rate(120, 1200),
    _at_rate(40, 400),
    _at_rate(5, 150),
    Phase("overload", "overload", _overload),
    Phase("brokerOutage", "broker away", _outage),
    Phase("ungrouped", "ungrouped", _part(10), "ungrouped", {"COMMIT_MAX_BATCH": "1"}),
    *map(_replicas, (1, 2, 3)),
)


def chosen(keys: Sequence[str], *, short: bool) -> Sequence[Phase]:
    """In their order. Raises ValueError for a name that none has."""
    known = {phase.key: phase for phase in PHASES}
    if unknown := [key for key in keys if key not in known]:
        raise ValueError(f"no phase is called {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = set(keys) or {phase.key for phase in PHASES if not (short and phase.is_long)}
    return [phase for phase in PHASES if phase.key in wanted]
