"""`python -m dev.dashboards`: writes the chart's dashboards."""

from pathlib import Path
from typing import Final

from dev.dashboards.boards import BOARDS
from dev.dashboards.grafana import written
from dev.services import REPOSITORY

FOLDER: Final = REPOSITORY / "charts" / "sagashop" / "dashboards"


def file_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        file_of(board.name).write_text(written(board))


if __name__ == "__main__":
    main()
