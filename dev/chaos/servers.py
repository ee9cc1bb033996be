"""What is done to servers, and on the ways to them: what ends it leaves all as it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import redis.asyncio
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from dev.chaos.meanwhile import During, again_and_again
from dev.faults import Proxy
from dev.services import unnumbered
from dev.survive.scenarios.database import ASIDE_SECONDS, STEP_DOWN
from dev.survive.site import Site

CLOSED_EVERY_SECONDS: Final = 2.0
CHECKPOINT_EVERY_SECONDS: Final = 1.0
CHECKPOINT_MS: Final = 5000
# Which of the programs, or of the proxies that are called as they are.
Which = Callable[[Site], Awaitable[Sequence[str]]]


def all_of(server: str) -> Which:
    async def which(site: Site) -> Sequence[str]:
        return [name for name in site.stack.programs if unnumbered(name) == server]

    return which


def proxy(name: str) -> Which:
    """Before what is no program of the stack."""

    async def which(_: Site) -> Sequence[str]:
        return [name]

    return which


async def primary(site: Site) -> Sequence[str]:
    return [await site.primary()]


# --- a server itself --------------------------------------------------------------------------------------


def killed(which: Which) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        names = await which(site)
        await site.stack.processes.kill(names)
        yield
        await asyncio.gather(*map(site.stack.start, names))

    return during


def frozen(which: Which) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        names = await which(site)
        for name in names:
            site.stack.pause(name)
        yield
        for name in names:
            site.stack.resume(name)

    return during


def disk_full(which: Which, leaving: int = 0) -> During:
    """`leaving`: bytes. Whoever ends for it is started again once there is room, as by a supervisor."""

    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        names = await which(site)
        for name in names:
            site.disks.fill(name, leaving)
        written = partial(_write_checkpoints, site, names)
        async with again_and_again(written, CHECKPOINT_EVERY_SECONDS):
            yield
        for name in names:
            site.disks.free(name)
        ended = [name for name in names if name not in site.stack.processes]
        site.say(f"processes that ended: {', '.join(ended) or 'none'}")
        await asyncio.gather(*map(site.stack.start, ended))

    return during


async def _write_checkpoints(site: Site, names: Sequence[str]) -> None:
    """By each of them that is a member of the database.

    Its journal has some room in files that are there: without a checkpoint, of which it makes one a minute,
    it would not find out.
    """
    database = site.own_database
    urls = [database.url_of_member(name) for name in names if name in database.members]
    await asyncio.gather(*map(_write_checkpoint, urls))


async def _write_checkpoint(url: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](url, timeoutMS=CHECKPOINT_MS) as member:
        with suppress(AutoReconnect):  # it ends of it
            await member.admin.command("fsync")


def alarm(begin: Sequence[str], end: Sequence[str]) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        await site.rabbitmqctl(*begin)
        yield
        await site.rabbitmqctl(*end)

    return during


@asynccontextmanager
async def connections_closed(site: Site) -> AsyncIterator[None]:
    async with again_and_again(site.close_connections, CLOSED_EVERY_SECONDS):
        yield


@asynccontextmanager
async def steps_down(site: Site) -> AsyncIterator[None]:
    async def step_down() -> None:
        with suppress(AutoReconnect):  # it may close the connection before it answers
            await site.database("admin").command(STEP_DOWN)

    async with again_and_again(step_down, 2 * ASIDE_SECONDS):
        yield


@asynccontextmanager
async def redis_emptied(site: Site) -> AsyncIterator[None]:
    async with redis.asyncio.from_url(site.stack.redis.url) as client:
        await client.flushall()
    yield


# --- on the way to it -------------------------------------------------------------------------------------


def on_the_way(which: Which, hurt: Callable[[Proxy], None]) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        ways = [site.proxies[name] for name in await which(site)]
        for way in ways:
            hurt(way)
        yield
        for way in ways:
            way.heal()

    return during


def reset_again_and_again(which: Which) -> During:
    @asynccontextmanager
    async def during(site: Site) -> AsyncIterator[None]:
        ways = [site.proxies[name] for name in await which(site)]

        async def reset() -> None:
            for way in ways:
                way.cut()

        async with again_and_again(reset, CLOSED_EVERY_SECONDS):
            yield

    return during


def away(way: Proxy) -> None:
    way.refuse()
    way.cut()
