"""One command at a time changes what runs in a stack's directory."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

POLL_SECONDS = 0.1


class BusyError(RuntimeError):
    """Another command is at work on the stack."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep others out. The lock ends with its process, however that ends. Raises BusyError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another command is at work on the stack in {directory}") from None
        yield


@asynccontextmanager
async def turn(directory: Path, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Wait until no other command is at work on the stack, then keep others out."""
    told = False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(directory))
                break
            except BusyError as busy:
                if not told:
                    tell(f"{busy}: waiting for it")
                told = True
            await asyncio.sleep(POLL_SECONDS)
        yield
