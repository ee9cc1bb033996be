"""What a database does to those who depend on it: it stands still, dies, and is primary no more."""

import asyncio
from typing import Final

from pymongo.errors import AutoReconnect

from dev.survive.site import Site

STEPS_DOWN: Final = 3
# How long a member that stepped down does not stand for election.
ASIDE_SECONDS: Final = 3
STEP_DOWN: Final = {"replSetStepDown": ASIDE_SECONDS, "secondaryCatchUpPeriodSecs": 0, "force": True}


async def frozen(site: Site) -> None:
    seconds = site.chance.uniform(12, 25) if site.short else site.chance.uniform(5, 90)
    site.say(f"for {seconds:.0f} s")
    site.stack.pause("mongodb")
    await asyncio.sleep(seconds)
    site.stack.resume("mongodb")


async def killed(site: Site) -> None:
    await site.stack.kill("mongodb")
    await asyncio.sleep(site.chance.uniform(2, 12))
    await site.stack.start("mongodb")


async def steps_down(site: Site) -> None:
    """Alone in its set, it is elected again as soon as it may be."""
    for _ in range(int(site.length(1, STEPS_DOWN))):
        try:
            await site.database("admin").command(STEP_DOWN)
        except AutoReconnect as error:
            site.say(f"stepped down: {error}")  # it may close the connection before it answers
        await asyncio.sleep(ASIDE_SECONDS + site.chance.uniform(2, 5))
