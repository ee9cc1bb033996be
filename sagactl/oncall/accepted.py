"""Orders that were answered 201, as a customer has noted them: they have to exist."""

import asyncio
import time
from pathlib import Path
from typing import Final

import aiohttp

from sagactl.faults import UnavailableError, WrongError

SCHEMES: Final = ("http://", "https://")
# A new pod is let in by another one's network policy only when that has heard of it, seconds later.
PATIENCE_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.3


async def promises(place: str, patience: float = PATIENCE_SECONDS) -> list[str]:
    """The ids at a URL or in a file, in which each has a line of its own.

    `patience`: seconds for which nobody may answer.

    Raises OSError; of a URL UnavailableError where nobody answers, WrongError where there are none.
    """
    if not place.startswith(SCHEMES):
        return (await asyncio.to_thread(Path(place).read_text)).split()
    async with aiohttp.ClientSession() as session:
        ok, text = await _told(session, place, patience)
    if not ok:
        raise WrongError(f"{place}: {text.strip()}")
    return text.split()


async def _told(session: aiohttp.ClientSession, url: str, patience: float) -> tuple[bool, str]:
    """Whether somebody tells, and what."""
    end = time.monotonic() + patience
    while True:
        try:
            async with session.get(url) as answer:
                return answer.ok, await answer.text()
        except aiohttp.ClientError as error:
            if isinstance(error, aiohttp.ClientConnectorCertificateError) or time.monotonic() >= end:
                raise UnavailableError(f"nobody tells which orders were accepted: {error}") from error
        await asyncio.sleep(PAUSE_SECONDS)
