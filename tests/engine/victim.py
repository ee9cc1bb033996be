"""An engine as a process of its own that dies by SIGKILL at a point: `python -m tests.engine.victim`."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from tests.engine.commands import Point, at
from tests.engine.toy import make_engine


async def main(settings: dict[str, Any], point: Point) -> None:
    engine = make_engine(settings)
    at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    engine.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    settings, point = json.load(sys.stdin)
    asyncio.run(main(settings, Point(*point)))
