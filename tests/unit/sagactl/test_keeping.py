"""A server is looked after until it has all that it is to have."""

import asyncio
from contextlib import suppress
from pathlib import Path

from sagactl.provision.keeping import Upkeep, keep


async def test_half_a_round_is_none(tmp_path: Path) -> None:
    """The round after the server came back empty breaks off: what is looked for is there, more is missing."""
    missing = iter([["the queue orders"], [], [], []])
    rounds: list[str] = []

    async def make() -> None:
        rounds.append("made" if len(rounds) != 1 else "broken off")
        if rounds[-1] == "broken off":
            raise ConnectionError("the server went away")

    async def lacking() -> list[str]:
        return next(missing)

    keeping = asyncio.create_task(keep(Upkeep(make, lacking), [tmp_path], 0.01, tmp_path / "mark"))
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while len(rounds) < 3 and not keeping.done():
                await asyncio.sleep(0.01)
    keeping.cancel()
    assert rounds == ["made", "broken off", "made"]
