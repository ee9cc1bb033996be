"""Waiting for other processes, which send no event when they are ready."""

from collections.abc import Callable
from functools import partial

import aiohttp

from sagactl.polling import until

# For servers that recover what a crash left behind, on a machine that does much else.
READY_WITHIN_SECONDS = 180.0


async def until_ok(url: str, check: Callable[[], None] = lambda: None) -> None:
    """Wait until a GET of `url` is answered with success. Raises NotInTimeError.

    `check` is called before each try, and raises where it is of no use to wait any longer.
    """
    async with aiohttp.ClientSession() as session:
        look = partial(_ok, session, url, check)
        await until(look, within=READY_WITHIN_SECONDS, what=f"success at {url}")


async def _ok(session: aiohttp.ClientSession, url: str, check: Callable[[], None]) -> bool:
    check()
    try:
        async with session.get(url) as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False
