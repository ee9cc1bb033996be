"""Waiting for other processes, which send no event when they are ready."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

PROBE_SECONDS = 0.1


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait without limit: the caller knows how long is too long."""
    while not await condition():  # there is no event to wait for in another process
        await asyncio.sleep(PROBE_SECONDS)


async def until_ok(url: str) -> None:
    """Wait until a GET of `url` is answered with success."""
    async with aiohttp.ClientSession() as session:
        await until(partial(_ok, session, url))


async def _ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False
