"""Dashboards as pictures, without Grafana: what a board looks like that has data, and one that has none."""

from pathlib import Path

import pytest

from dev.dashboards.boards import BOARDS, SHOP
from dev.dashboards.panels import Board, Unit
from dev.dashboards.picture import Series, color_of, draw, told

PNG = b"\x89PNG"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, Unit.RATIO, "1.23 %"),
        (0.25, Unit.SECONDS, "250 ms"),
        (90, Unit.SECONDS, "90 s"),
        (600, Unit.SECONDS, "10 min"),
        (12.5, Unit.PER_SECOND, "12.5/s"),
        (3 * 2**20, Unit.BYTES, "3 MiB"),
        (7, Unit.COUNT, "7"),
    ],
)
def test_numbers_are_told_with_their_unit(value: float, unit: Unit, text: str) -> None:
    assert told(value, unit) == text


def test_a_number_is_red_from_where_it_is_bad() -> None:
    (oldest,) = [panel for panel in SHOP.panels if panel.title == "Oldest order now"]
    colors = [color_of(value, oldest) for value in (1, 60, 600)]
    assert len(set(colors)) == 3


@pytest.mark.parametrize("board", BOARDS, ids=[board.name for board in BOARDS])
def test_a_board_is_drawn_with_and_without_data(board: Board, tmp_path: Path) -> None:
    rising = [(1_800_000_000.0 + second, second / 10) for second in range(60)]
    for name, series in (("full", [Series("one", rising), Series("other", rising[30:])]), ("empty", [])):
        file = tmp_path / f"{name}.png"
        draw(board, [series for _ in board.panels], file)
        assert file.read_bytes().startswith(PNG)
