"""Orders that were answered 201, as a customer has noted them: they have to exist."""

import asyncio
from pathlib import Path
from typing import Final

import aiohttp

from sagactl.faults import UnavailableError, WrongError

SCHEMES: Final = ("http://", "https://")


async def promises(place: str) -> list[str]:
    """The ids at a URL or in a file, in which each has a line of its own.

    Raises OSError; of a URL UnavailableError where nobody answers, WrongError where there are none.
    """
    if not place.startswith(SCHEMES):
        return (await asyncio.to_thread(Path(place).read_text)).split()
    try:
        async with aiohttp.ClientSession() as session, session.get(place) as answer:
            text = await answer.text()
    except aiohttp.ClientError as error:
        raise UnavailableError(f"nobody tells which orders were accepted: {error}") from error
    if not answer.ok:
        raise WrongError(f"{place}: {text.strip()}")
    return text.split()
