"""One scenario from a fresh stack to its verdict."""

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from pymongo.errors import PyMongoError

from dev.processes import ProcessEndedError
from dev.servers import CommandFailedError
from dev.stack import NotReadyError
from dev.survive.looking import look
from dev.survive.report import Result
from dev.survive.scenario import Scenario
from dev.survive.site import Site, opened
from dev.survive.verdict import Verdict, broke_off, judge
from dev.survive.watching import watched
from sagactl.shop import ShopError

WARM_UP_SECONDS: Final = 3.0
# Customers go on for so long: what the fault left behind must not hold up those who come later.
AFTERWARDS_SECONDS: Final = 5.0
# What a shop may do to a scenario that does not survive it.
BROKEN: Final = (
    CommandFailedError,
    NotReadyError,
    OSError,
    ProcessEndedError,
    PyMongoError,
    ShopError,
    TimeoutError,
    aiohttp.ClientError,
)


async def run(
    scenario: Scenario, directory: Path, *, seed: int, short: bool, say: Callable[[str], None]
) -> Result:
    """Of a scenario that was survived only the logs are kept."""
    began = time.monotonic()
    try:
        async with opened(
            directory,
            scenario.settings,
            products=scenario.products,
            rate=scenario.rate,
            seed=f"{scenario.name} {seed}",
            short=short,
            say=say,
        ) as site:
            await scenario.prepare(site)
            verdict = await _play(scenario, site)
    except BROKEN as error:
        verdict = Verdict([broke_off(error)], {}, None)
    for server in ("mongodb", "rabbitmq", "redis") if not verdict.failures else ():
        shutil.rmtree(directory / server, ignore_errors=True)
    return Result(scenario.name, verdict, time.monotonic() - began)


async def _play(scenario: Scenario, site: Site) -> Verdict:
    async with watched(site), site.traffic.flowing(scenario.rate):
        await asyncio.sleep(WARM_UP_SECONDS)
        await scenario.hurt(site)
        fault_ended_at = datetime.now(UTC)
        await asyncio.sleep(AFTERWARDS_SECONDS)
    site.say("the fault is over; waiting for the accepted orders")
    return judge(await look(site, fault_ended_at))
