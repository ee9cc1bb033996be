"""What the services spend their time on, as flame graphs: py-spy looks at each, from outside."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from dev.stack import Stack

PER_SECOND: Final = "50"
PY_SPY: Final = Path(sys.executable).parent / "py-spy"
ENDS_WITHIN_SECONDS: Final = 30.0


class FlameError(Exception):
    """Processes could not be looked into."""


@asynccontextmanager
async def flames(stack: Stack, directory: Path) -> AsyncIterator[None]:
    """Meanwhile each replica is sampled; afterwards the directory has one SVG of each.

    Raises FlameError where it may not look into them: that takes root, or a system that lets everybody.
    """
    async with sampled({each.name: stack.processes.pid(each.name) for each in stack.replicas}, directory):
        yield


@asynccontextmanager
async def sampled(pids: Mapping[str, int], directory: Path) -> AsyncIterator[None]:
    _make(directory)
    looking = {name: await _record(pid, directory / f"{name}.svg") for name, pid in pids.items()}
    try:
        yield
    finally:
        for each in looking.values():
            with suppress(ProcessLookupError):
                each.send_signal(signal.SIGINT)
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            codes = await asyncio.gather(*(each.wait() for each in looking.values()))
    if failed := [name for name, code in zip(looking, codes, strict=True) if code]:
        raise FlameError(f"py-spy saw nothing of {', '.join(failed)}: it needs root")


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)


async def _record(pid: int, file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(PY_SPY, "record", "--pid", str(pid), "--output", file, "--rate", PER_SECOND),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
