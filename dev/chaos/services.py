"""What is done to services: what ends it leaves all of them running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

from dev.chaos.meanwhile import again_and_again
from dev.faults import crashes
from dev.faults.crashes import OF_PAYMENT, CrashPoint
from dev.services import Replica
from dev.survive.site import Site
from services.shared.contract.events import CORE

DIES_EVERY_SECONDS: Final = 2.0
# Tokens are good for half a minute where clocks differ.
CLOCK_STEP_SECONDS: Final = 25.0
STEPS_EVERY_SECONDS: Final = 4.0
# What a supervisor does at once, with the time that a machine takes for it.
RESTARTS_AFTER_SECONDS: Final = 1.0


def _any_replica(site: Site) -> Replica:
    """That runs: what has ended by itself is not to be taken for killed."""
    running = site.stack.processes
    return site.chance.choice(
        [each for each in site.stack.replicas if each.service in CORE and each.name in running]
    )


@asynccontextmanager
async def replicas_killed(site: Site) -> AsyncIterator[None]:
    """Again and again another one; each is started again, as by a supervisor."""

    async def kill_one() -> None:
        name = _any_replica(site).name
        await site.stack.kill(name)
        await asyncio.sleep(RESTARTS_AFTER_SECONDS)
        site.stack.spawn(name)

    async with again_and_again(kill_one):
        yield
    _start_all(site)


@asynccontextmanager
async def replica_frozen(site: Site) -> AsyncIterator[None]:
    name = _any_replica(site).name
    site.say(f"it is {name}")
    site.stack.pause(name)
    yield
    site.stack.resume(name)


@asynccontextmanager
async def service_gone(site: Site) -> AsyncIterator[None]:
    service = site.chance.choice(CORE)
    site.say(f"it is {service}")
    await asyncio.gather(*(site.stack.kill(name) for name in site.replicas(service)))
    yield
    _start_all(site)


@asynccontextmanager
async def clock_steps(site: Site) -> AsyncIterator[None]:
    service = site.chance.choice(CORE)
    site.say(f"it is {service}")

    steps = cycle((CLOCK_STEP_SECONDS, -CLOCK_STEP_SECONDS))

    async def step() -> None:
        site.clocks.step(service, next(steps))

    async with again_and_again(step, STEPS_EVERY_SECONDS):
        yield
    site.clocks.step(service, 0)


@asynccontextmanager
async def dies_where_it_hurts(site: Site) -> AsyncIterator[None]:
    """A process of any service dies at any point of a batch, again and again."""

    async def let_one_die() -> None:
        point = site.chance.choice(list(CrashPoint))
        service = "payment" if point in OF_PAYMENT else site.chance.choice(CORE)
        site.crashes.arm(service, point)
        await asyncio.sleep(DIES_EVERY_SECONDS)
        _start_all(site)

    async with again_and_again(let_one_die):
        yield
    site.crashes.disarm()
    await asyncio.sleep(crashes.LAST_SECONDS + RESTARTS_AFTER_SECONDS)  # who was to die is dead by then
    _start_all(site)


def _start_all(site: Site) -> None:
    """Those that do not run. Nobody waits until they are ready: what they need may be hurt, too.

    A fault of services kills them: whoever has ended otherwise is a failure, though it runs again then.
    """
    ended = site.stack.processes.ended
    for replica in site.stack.replicas:
        if replica.name not in site.stack.processes:
            is_meant = replica.name not in ended or ended[replica.name].was_killed
            otherwise = f"{replica.name} ended by itself: {site.last_words(replica.name)}"
            site.expect(holds=is_meant, otherwise=otherwise)
            site.stack.spawn(replica.name)
