"""A cache that is slow, a start onto all that has waited, and what other systems send by mistake."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import aio_pika

from dev.services import NAMES
from dev.survive.attempts import Attempt
from dev.survive.site import Site

REDIS_DELAY_SECONDS: Final = 2.0
# Of the orders that were taken per second before, at least this much while Redis is slow.
STILL_TAKEN: Final = 0.5
# Who waits for Redis waits for as long as its answer takes. A machine that is busy may be slow without that.
TIMES_SLOWER: Final = 2
BACKLOG: Final = 20_000
SHORT_BACKLOG: Final = 2_000
# One in so many messages of the backlog is an order's, the others are news of products.
ORDERS_EACH: Final = 5
CUSTOMERS: Final = 32
AT_ONCE: Final = 500


async def redis_slow(site: Site) -> None:
    """Each answer of it takes two seconds; nobody has to wait for them. Held against the time before."""
    seconds = site.length(15, 40)
    before = await _taken(site, seconds / 2)
    site.proxies["redis"].delay(REDIS_DELAY_SECONDS, "down")
    meanwhile = await _taken(site, seconds)
    site.proxies["redis"].heal()
    site.say(f"{meanwhile.per_second:.0f} orders/s were taken, {before.per_second:.0f} before")
    site.expect(
        holds=meanwhile.per_second >= STILL_TAKEN * before.per_second,
        otherwise=f"{meanwhile.per_second:.1f} orders/s were taken, {before.per_second:.1f} before",
    )
    limit = max(REDIS_DELAY_SECONDS, TIMES_SLOWER * before.slowest)
    slow = sorted(
        f"{each.order_id} {each.seconds:.1f} s" for each in meanwhile.orders if each.seconds > limit
    )
    site.expect(holds=not slow, otherwise=f"{len(slow)} answers took over {limit:.1f} s", ids=slow)


class _Taken(NamedTuple):
    orders: Sequence[Attempt]
    per_second: float

    @property
    def slowest(self) -> float:
        return max((order.seconds for order in self.orders), default=0)


async def _taken(site: Site, seconds: float) -> _Taken:
    """The orders that are accepted in the next so many seconds."""
    before, began = len(site.traffic.accepted), time.monotonic()
    await asyncio.sleep(seconds)
    orders = site.traffic.accepted[before:]
    return _Taken(orders, len(orders) / (time.monotonic() - began))


async def restart_onto_backlog(site: Site) -> None:
    """All services are started at once onto messages that have waited for them."""
    messages = int(site.length(SHORT_BACKLOG, BACKLOG))
    orders = messages // ORDERS_EACH
    products = [f"backlog-{number}" for number in range(messages - orders)]
    await asyncio.gather(*(site.stack.stop(name) for name in site.replicas("inventory")))
    await site.traffic.burst(orders, CUSTOMERS)
    await _announce(site, products)

    async def waiting() -> tuple[int, int]:
        return await site.queue_length("inventory"), await site.queue_length("inventory-events")

    all_of_them = len(site.traffic.accepted), len(products)
    what = f"{all_of_them} messages wait"
    await site.until(waiting, lambda found: found == all_of_them, within=30, what=what)
    names = [
        replica.name for service in NAMES for replica in site.stack.replicas if replica.service == service
    ]
    await asyncio.gather(*(site.stack.stop(name) for name in names if name in site.stack.processes))
    began = time.monotonic()
    await asyncio.gather(*(site.stack.start(name) for name in names))
    site.say(f"{messages} messages waited; all were ready after {time.monotonic() - began:.1f} s")


async def _announce(site: Site, products: Sequence[str]) -> None:
    """As another system would that has new products: PRODUCT_CREATED, straight to the queue."""
    async with await aio_pika.connect(site.stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        for start in range(0, len(products), AT_ONCE):
            await asyncio.gather(
                *(
                    channel.default_exchange.publish(_created(product), "inventory-events", mandatory=True)
                    for product in products[start : start + AT_ONCE]
                )
            )


def _created(product: str) -> aio_pika.Message:
    body = {"type": "PRODUCT_CREATED", "data": {"productId": product, "initialStock": 1}}
    return aio_pika.Message(json.dumps(body).encode(), message_id=product, delivery_mode=2)
