"""Rubbish of every kind on every queue, in between the messages of orders."""

import asyncio
from collections.abc import Sequence
from functools import partial
from operator import le
from typing import Final

from dev.faults.raw_amqp import Closed, raw_channel
from dev.survive.rubbish import QUEUES, Piece, dead_at_once, pieces
from dev.survive.site import Site
from services.shared.contract import topology

# Each of them was confirmed before: it only has to be looked at.
DEAD_WITHIN: Final = 20.0
# A payment for rubbish is told to the order service, which knows no such order: some letters have children.
# What is copied forever makes thousands.
MORE: Final = 2


async def thrown(site: Site) -> None:
    """What nobody can read is among the dead letters, once, and nothing else of it comes back for ever."""
    site.threw_rubbish = True
    for queue in QUEUES:
        thrown_here = list(pieces(queue))
        site.chance.shuffle(thrown_here)
        refused = await _throw(site, queue, thrown_here)
        site.say(f"{queue}: {len(thrown_here)} messages; the broker refused: {', '.join(refused) or 'none'}")
        dead = len({piece.what for piece in dead_at_once(queue)} - set(refused))

        async def letters_of(queue: str = queue) -> int:
            return await site.queue_length(topology.dead_letter_queue(queue))

        await site.until(
            letters_of,
            partial(le, dead),
            within=DEAD_WITHIN,
            what=f"{queue}: {dead} unreadable messages are dead letters",
        )
    for queue in QUEUES:
        letters, most = await site.queue_length(topology.dead_letter_queue(queue)), len(list(pieces(queue)))
        site.expect(
            holds=letters <= MORE * most,
            otherwise=f"{queue}: {letters} dead letters of {most} invalid messages",
        )


async def _throw(site: Site, queue: str, thrown_here: Sequence[Piece]) -> list[str]:
    """What the broker did not take; each of it costs a connection."""
    refused: list[str] = []
    left = list(thrown_here)
    while left:
        try:
            async with raw_channel(site.stack.rabbitmq.url) as channel:
                while left:
                    await channel.publish("", queue, left[-1].body, left[-1].properties)
                    left.pop()
        except (Closed, asyncio.IncompleteReadError, ConnectionError):
            refused += [left.pop().what] if left else []
    return refused
