"""`python -m dev.dashboards`: writes the chart's dashboards.

`python -m dev.dashboards draw URL FOLDER [MINUTES]`: draws them, from the last minutes (15) of the Prometheus
at URL, for all namespaces.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp

from dev.dashboards.asking import shown
from dev.dashboards.boards import BOARDS
from dev.dashboards.grafana import written
from dev.dashboards.picture import draw
from dev.services import REPOSITORY

FOLDER: Final = REPOSITORY / "charts" / "sagashop" / "dashboards"
MINUTES: Final = 15.0
# What Grafana would put in.
VARIABLES: Final = {"namespace": ".*", "__rate_interval": "1m"}


def file_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        file_of(board.name).write_text(written(board))


async def draw_all(url: str, folder: Path, minutes: float) -> None:
    end = time.time()
    async with aiohttp.ClientSession() as session:
        for board in BOARDS:
            found = await shown(session, url, board, end - 60 * minutes, end, VARIABLES)
            draw(board, found, folder / f"{board.name}.png")


def main() -> None:
    match sys.argv[1:]:
        case []:
            write()
        case ["draw", url, folder, *minutes]:
            asyncio.run(draw_all(url, Path(folder), float(minutes[0]) if minutes else MINUTES))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
