"""`make clients-test`: a stack of its own, on which both generated clients place an order."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import aiohttp

from dev.interrupts import run as run_to_the_end
from dev.services import REPOSITORY
from dev.stack import Stack
from sagactl.shop import Client

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "clients-test"
CLIENTS: Final = REPOSITORY / ".run" / "clients"
# What is first in the catalogue is bought, which an earlier run may have made.
PLENTY: Final = 1000
PROGRAMS: Final = CLIENTS / "venv" / "bin"
EXAMPLES: Final = (
    (PROGRAMS / "python", REPOSITORY / "examples" / "order.py"),
    (PROGRAMS / "node", CLIENTS / "order.ts"),
)


async def main() -> int:
    """The exit code."""
    if not all(file.exists() for example in EXAMPLES for file in example):
        sys.exit("there are no clients yet: make clients")
    async with Stack(DIRECTORY) as stack:
        async with aiohttp.ClientSession() as session:
            visitor = Client(session, stack.gateway)
            admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
            await admin.add_product(PLENTY, "9.99", "USD", "Lamp")
        return max([await _run(program, example, stack.gateway) for program, example in EXAMPLES])


async def _run(program: Path, example: Path, url: str) -> int:
    process = await asyncio.create_subprocess_exec(program, example, url, cwd=REPOSITORY)
    return await process.wait()


if __name__ == "__main__":
    sys.exit(run_to_the_end(main()))
