"""Looks again and again whether a server has what it is to have, and makes what it lacks.

A server that comes back without its volume is empty, and what was done once, at the installation, would stay
undone. A password in a Secret may change, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import typer
from pymongo.errors import PyMongoError

from services.shared.brevity import in_short
from services.shared.secret_files import fingerprint

RETRY_SECONDS: Final = 2.0
# Of what is missing; of a server that came back empty that is all.
NAMED: Final = 5
# A round that takes longer hangs.
ROUND_SECONDS: Final = 300.0
# Of servers that are not there yet, or not any more, or do not know their administrator yet.
PASSING: Final = (aiohttp.ClientError, PyMongoError, OSError, TimeoutError)


@dataclass(frozen=True)
class Upkeep:
    """What a server is to have. Both raise what is `PASSING` while the server is away."""

    # Idempotent.
    make: Callable[[], Awaitable[None]]
    # What of it is not there, in words; cheap enough to be asked every few seconds.
    lacking: Callable[[], Awaitable[Sequence[str]]]


async def make(upkeep: Upkeep, patience: float) -> None:
    """Make everything, trying until it works, as servers may be starting. Raise TimeoutError in the end."""
    async with asyncio.timeout(patience):
        while True:
            try:
                return await upkeep.make()
            except PASSING as error:
                _raise_what_stays(error)
                typer.echo(f"not yet: {in_short(str(error))}", err=True)
            await asyncio.sleep(RETRY_SECONDS)


async def keep(upkeep: Upkeep, folders: Iterable[Path], every: float, mark: Path) -> None:
    """Never return: make what is missing, and everything when a file in `folders` has changed.

    `mark` is a file that says to probes how it goes: its age tells that this lives, and there is something in
    it while the server is as it should be. `every`: seconds between two looks.
    """
    kept = tuple(folders)
    made = ""
    _say(mark, "")
    while True:
        given = await asyncio.to_thread(_fingerprints, kept)
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                if given != made or await _is_lacking(upkeep):
                    _say(mark, "")
                    made = ""  # half a round is none: what `lacking` asks for may be there, and more missing
                    await upkeep.make()
                    made = given
                    typer.echo("created what was missing on the server")
        except PASSING as error:
            _raise_what_stays(error)
            _say(mark, "")
            typer.echo(f"not yet: {in_short(str(error))}", err=True)
            await asyncio.sleep(min(every, RETRY_SECONDS))
        else:
            _say(mark, "whole")
            await asyncio.sleep(every)


async def _is_lacking(upkeep: Upkeep) -> bool:
    """An empty server refuses its administrator, or has no primary to be asked."""
    try:
        missing = await upkeep.lacking()
        more = [f"{len(missing) - NAMED} more"] if len(missing) > NAMED else []
        lacking = ", ".join([*missing[:NAMED], *more])
    except PASSING as error:
        lacking = str(error) or type(error).__name__
    if lacking:
        typer.echo(f"incomplete: {lacking}", err=True)
    return bool(lacking)


def _say(mark: Path, what: str) -> None:
    mark.write_text(what)


def _fingerprints(folders: Iterable[Path]) -> str:
    return " ".join(map(fingerprint, folders))


def _raise_what_stays(error: Exception) -> None:
    """What was asked for cannot be: another attempt would not help."""
    if isinstance(error, aiohttp.ClientResponseError) and error.status == HTTPStatus.BAD_REQUEST:
        raise error
