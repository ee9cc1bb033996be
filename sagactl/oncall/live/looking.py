"""A second look at orders of a shop at work, by which a message that is lost is told from one on its way."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import structs

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.books import CHUNK, Books
from sagactl.oncall.depths import depths
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.invariants import Case
from services.shared.contract import topology

# A queue at work is empty now and then. In one that was seen so there is nothing that came before.
WATCH_SECONDS: Final = 30.0
WATCH_EVERY_SECONDS: Final = 1.0
# How often it has to be: statistics of a queue and of its retry queues are not of the same instant.
SEEN_EMPTY: Final = 2


async def look_again(
    books: Books, access: Access, before: Sequence[Case], watch_seconds: float = WATCH_SECONDS
) -> Sequence[Marks]:
    """What there is to be read of these orders, after having watched the queues for a while. What waits by
    then in a queue that was empty has come since, and is not what they wait for. `moving`: an order has
    changed since it was looked at `before`.
    """
    if not before:
        return []
    empty = await seen_empty(access, watch_seconds)
    reader, then = Reader(access), {case.id: case for case in before}
    ids = list(then)
    return [
        structs.replace(
            each,
            waiting={name: number for name, number in each.waiting.items() if name not in empty},
            moving=each.moving or each.case != then[each.case.id],
        )
        for start in range(0, len(ids), CHUNK)
        for each in await reader.look(books, ids[start : start + CHUNK])
    ]


async def seen_empty(access: Access, watch_seconds: float) -> Collection[str]:
    """Queues and retry queues in which, in the end, there is nothing that was sent before."""
    seen: Counter[str] = Counter()
    end = time.monotonic() + watch_seconds
    while True:
        number = await _waiting_in(access)
        seen.update(
            queue for queue in broker.QUEUES if not any(number[name] for name in _with_retries(queue))
        )
        if time.monotonic() >= end or all(seen[queue] >= SEEN_EMPTY for queue in broker.QUEUES):
            break
        await asyncio.sleep(WATCH_EVERY_SECONDS)
    return frozenset(
        name for queue, times in seen.items() if times >= SEEN_EMPTY for name in _with_retries(queue)
    )


async def _waiting_in(access: Access) -> Mapping[str, int]:
    """Messages in each of our queues, those that a consumer holds included."""
    found = await depths(access.management_url, access.amqp_url)
    return Counter({name: depth.number for name, depth in found.items()})


def _with_retries(queue: str) -> Sequence[str]:
    """The queue and its retry queues."""
    return [name for name in topology.all_queues(queue) if name != topology.dead_letter_queue(queue)]
