"""A second look at orders of a shop at work, by which a message that is lost is told from one on its way."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from sagactl.access import Access
from sagactl.oncall.books import CHUNK, Books
from sagactl.oncall.depths import depths
from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import HopState
from sagactl.oncall.explain.marks import Marks, Unsent
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.invariants import Case
from services.shared.contract import topology

WATCH_EVERY_SECONDS: Final = 1.0
# A message of which the queues tell whether it is lost.
UNCERTAIN: Final = frozenset({HopState.MISSING, HopState.ON_ITS_WAY})


class Watch(NamedTuple):
    """How the queues of a shop at work are watched. One at work is empty now and then: in a queue that was
    seen so there is nothing that came before.
    """

    seconds: float = 30.0
    # It has to be seen so twice, so far apart: what consumers hold of it, and of its retry queues, is told
    # late and not for the same instant, by five seconds where nobody set `collect_statistics_interval`.
    apart_seconds: float = 6.0


WATCH: Final = Watch()
# By what is to be seen without waiting: in no queue is there then nothing for certain.
AT_ONCE: Final = Watch(seconds=0)


async def look_again(
    books: Books, access: Access, before: Sequence[Case], watch: Watch = WATCH
) -> Sequence[Marks]:
    """What there is to be read of these orders. A queue that may hold a message of theirs is watched for a
    while, and then all is read once more: what waits by then in a queue that was empty has come since, and is
    not what they wait for. `moving`: an order has changed since it was looked at `before`, or something about
    it was sent, which may be on its way.
    """
    then = {case.id: case for case in before}
    first = await _look(books, access, then)
    queues = frozenset(hop.queue for each in first for hop in explain(each).hops if hop.state in UNCERTAIN)
    if not (watch.seconds and queues):
        return first
    sent_before = {each.case.id: each.unsent for each in first}
    empty = await seen_empty(access, watch, queues)
    return [
        structs.replace(
            each,
            waiting={name: number for name, number in each.waiting.items() if name not in empty},
            moving=each.moving or _was_sent(sent_before[each.case.id], each),
        )
        for each in await _look(books, access, then)
    ]


async def _look(books: Books, access: Access, then: Mapping[str, Case]) -> Sequence[Marks]:
    reader, ids = Reader(access), list(then)
    return [
        structs.replace(each, moving=each.moving or each.case != then[each.case.id])
        for start in range(0, len(ids), CHUNK)
        for each in await reader.look(books, ids[start : start + CHUNK])
    ]


def _was_sent(before: Sequence[Unsent], now: Marks) -> bool:
    """Something that was in an outbox before, and is in none now."""
    return not {event.id for event in before} <= {event.id for event in now.unsent}


async def seen_empty(access: Access, watch: Watch, queues: Collection[str]) -> Collection[str]:
    """Of these queues, with their retry queues, those in which there is nothing that was sent before this was
    asked. Returns as soon as that is all of them.

    What was in an outbox by then may come to a queue once it was seen empty: who asks looks there before.
    """
    first, empty = dict[str, float](), set[str]()
    end = time.monotonic() + watch.seconds
    while True:
        asked_at = time.monotonic()
        number = await _waiting_in(access)
        for queue in queues:
            if not any(number[name] for name in _with_retries(queue)):
                first.setdefault(queue, asked_at)
                if asked_at - first[queue] >= watch.apart_seconds:
                    empty.add(queue)
        if time.monotonic() >= end or empty == set(queues):
            break
        await asyncio.sleep(WATCH_EVERY_SECONDS)
    return frozenset(name for queue in empty for name in _with_retries(queue))


async def _waiting_in(access: Access) -> Mapping[str, int]:
    """Messages in each of our queues, those that a consumer holds included."""
    found = await depths(access.management_url, access.amqp_url)
    return Counter({name: depth.number for name, depth in found.items()})


def _with_retries(queue: str) -> Sequence[str]:
    """The queue and its retry queues."""
    return [name for name in topology.all_queues(queue) if name != topology.dead_letter_queue(queue)]
