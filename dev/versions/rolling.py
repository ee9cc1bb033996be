"""A shop of an older version is rolled up to this one and back down, and watched all the while."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from dev.services import REPOSITORY, Replica
from dev.survive.looking import look
from dev.survive.site import PRODUCTS, Equipment, Site, opened
from dev.survive.verdict import Verdict, judge
from dev.survive.watching import watched
from services.shared.contract.events import CORE

ORDERS_PER_SECOND: Final = 20.0
# Whoever handles messages has one replica of each version for a while.
SETTINGS: Final = {f"REPLICAS_{service.upper()}": "2" for service in CORE}


class Stage(NamedTuple):
    """`{before}` in `says` is the older version."""

    says: str
    # Of these numbers are the replicas that run this version; all others run the older one.
    new: frozenset[int]


STAGES: Final = (
    Stage("all replicas are {before}", frozenset()),
    Stage("the first replicas are of this version, the second ones are {before}", frozenset({1})),
    Stage("all are of this version", frozenset({1, 2})),
    Stage("the first are {before} again, the second ones of this version", frozenset({2})),
    Stage("all are {before} again", frozenset()),
)


async def play(
    before: Path, directory: Path, *, seconds: float, seed: int, say: Callable[[str], None]
) -> Verdict:
    """`before`: a directory with that version's services; `seconds`: of traffic in each stage.

    Raises what `opened` does, and whatever a version that does not start makes of it.
    """
    async with opened(
        directory,
        SETTINGS,
        products=PRODUCTS,
        rate=ORDERS_PER_SECOND,
        seed=f"versions {seed}",
        short=False,
        say=say,
        equipment=Equipment(tree=before),
    ) as site:
        async with watched(site), site.traffic.flowing(site.rate):
            for stage in STAGES:
                say(stage.says.format(before=before.name))
                await _roll(site, stage, before)
                await asyncio.sleep(seconds)
        say("waiting for the accepted orders")
        return judge(await look(site, datetime.now(UTC)))


async def _roll(site: Site, stage: Stage, before: Path) -> None:
    """Ends the replicas that are of the other version in good order, and starts them, all at once."""
    moved = [
        (replica, tree)
        for replica in site.stack.replicas
        if _runs_in(site, replica) != (tree := tree_of(replica, stage, before))
    ]
    for replica, tree in moved:
        site.stack.move(replica.name, tree)
    await asyncio.gather(*(site.stack.restart(replica.name) for replica, _ in moved))
    wrong = [
        each.name for each in site.stack.replicas if _runs_in(site, each) != tree_of(each, stage, before)
    ]
    site.expect(holds=not wrong, otherwise=f"not of the expected version: {', '.join(wrong)}")


def tree_of(replica: Replica, stage: Stage, before: Path) -> Path:
    """The directory whose code the replica runs in that stage."""
    return REPOSITORY if replica.number in stage.new else before


def _runs_in(site: Site, replica: Replica) -> Path:
    return Path(psutil.Process(site.stack.processes.pid(replica.name)).cwd())
