"""What one service asks another."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import aiohttp

from services.shared import telemetry

Page = TypeVar("Page")


async def ask_by_ids(
    session: aiohttp.ClientSession,
    url: str,
    ids: Iterable[str],
    decode: Callable[[bytes], Page],
    within: aiohttp.ClientTimeout,
) -> Page:
    """All of a list that has these ids, in the trace of the request that wants to know.

    Raises aiohttp.ClientError, also for an answer that is an error, TimeoutError, and what `decode` raises.
    """
    async with session.get(
        url, params={"ids": ",".join(ids)}, headers=telemetry.onward(), timeout=within
    ) as response:
        response.raise_for_status()
        return decode(await response.read())
