"""An engine as a process of its own: `python -m tests.engine.process`, with its settings on its input."""

import asyncio
import json
import sys

import uvloop

from tests.engine.toy import make_engine


async def main() -> None:
    make_engine(json.load(sys.stdin)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
