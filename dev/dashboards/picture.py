"""A board as a picture, from the same queries, for who has no Grafana at hand. Grafana looks different."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dev.dashboards.panels import COLUMNS, Board, Kind, Panel, Unit

# Inches.
COLUMN: Final = 0.75
SECONDS_A_DAY: Final = 86_400
ROW: Final = 0.42
GAP: Final = 0.35
MOST_NAMED: Final = 6
# By how much a number is multiplied, and what stands behind it.
UNITS: Final = {Unit.RATIO: (100, " %"), Unit.PER_SECOND: (1, "/s"), Unit.BYTES: (2**-20, " MiB")}
# The same of seconds, from so many on.
SECONDS: Final = ((120, 1 / 60, "min"), (1, 1, "s"), (-math.inf, 1000, "ms"))
GREEN, AMBER, RED = "#299c46", "#e5a00d", "#d44a3a"


class Series(NamedTuple):
    legend: str
    # Moment (Unix seconds), value.
    points: Sequence[tuple[float, float]]


def draw(board: Board, found: Sequence[Sequence[Series]], file: Path) -> None:
    """Draws the board's panels with the series that each has, in their order."""
    height = sum(max(panel.height for panel in row) for row in board.rows)
    figure = Figure(figsize=(COLUMNS * COLUMN, height * ROW + 0.8), layout=None)
    FigureCanvasAgg(figure)
    figure.suptitle(board.title, x=0.01, ha="left", fontsize=15, weight="bold")
    at, top = iter(found), 0.8
    for row in board.rows:
        left = 0.0
        for panel in row:
            _draw(figure, panel, next(at), left, top)
            left += panel.width * COLUMN
        top += max(panel.height for panel in row) * ROW
    figure.savefig(file, dpi=70)


def _draw(figure: Figure, panel: Panel, series: Sequence[Series], left: float, top: float) -> None:
    wide, high = figure.get_size_inches()
    width, height = panel.width * COLUMN, panel.height * ROW
    # Room for the title above, for the legend below, for numbers at the left.
    below = 0.75 if panel.kind is Kind.LINES else 0.45
    beside = 2.3 if panel.kind is Kind.STATES else 0.6
    box = (
        (left + beside) / wide,
        1 - (top + height - below) / high,
        (width - beside - GAP) / wide,
        (height - below - GAP) / high,
    )
    axes = figure.add_axes(box)
    axes.set_title(panel.title, loc="left", fontsize=9)
    match panel.kind:
        case Kind.STAT:
            _number(axes, panel, series)
        case Kind.STATES:
            _states(axes, series)
        case Kind.LINES:
            _lines(axes, panel, series)


def _number(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.set_axis_off()
    values = [value for each in series for _, value in each.points if not math.isnan(value)]
    text = told(values[-1], panel.unit) if values else "no data"
    color = color_of(values[-1], panel) if values else "grey"
    axes.text(0.0, 0.4, text, fontsize=22, color=color, va="center", transform=axes.transAxes)


def _lines(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    if panel.stacked and series:
        moments = sorted({moment for each in series for moment, _ in each.points})
        rows = [[dict(each.points).get(moment, 0.0) for moment in moments] for each in series]
        axes.stackplot(_days(moments), *rows, labels=[each.legend for each in series], alpha=0.8)
    else:
        for each in series:
            days = _days(moment for moment, _ in each.points)
            axes.plot(days, [value for _, value in each.points], label=each.legend, linewidth=1.3)
    for value, color in ((panel.amber, AMBER), (panel.red, RED)):
        # Where it is far off, it would only make the lines flat.
        if value is not None and value < 3 * axes.get_ylim()[1]:
            axes.axhline(value, color=color, linestyle="--", linewidth=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: told(value, panel.unit)))
    _dress(axes)
    if not series:
        axes.text(0.5, 0.5, "no data", ha="center", color="grey", transform=axes.transAxes)
        return
    shown, names = axes.get_legend_handles_labels()
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"and {len(names) - MOST_NAMED + 1} more"]
    axes.legend(
        shown[: len(names)],
        names,
        loc="upper left",
        bbox_to_anchor=(-0.1, -0.13),
        ncol=3,
        fontsize=6.5,
        frameon=False,
    )


def _states(axes: Axes, series: Sequence[Series]) -> None:
    """A bar for each, where its value is not 0."""
    for place, each in enumerate(series):
        bars = [(day, 1.2 / SECONDS_A_DAY) for day in _days(moment for moment, _ in each.points)]
        colors = [RED if value > 0 else GREEN for _, value in each.points]
        axes.broken_barh(bars, (place - 0.35, 0.7), facecolors=colors)
    axes.set_yticks(range(len(series)), [each.legend for each in series], fontsize=7)
    _dress(axes)
    if not series:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "none", ha="center", va="center", color=GREEN, transform=axes.transAxes)


def _dress(axes: Axes) -> None:
    axes.grid(visible=True, linewidth=0.3)
    axes.tick_params(labelsize=7, length=2)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
    locator = dates.AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _days(moments: Iterable[float]) -> list[float]:
    """As matplotlib counts time."""
    return [moment / SECONDS_A_DAY for moment in moments]


def color_of(value: float, panel: Panel) -> str:
    """What a number looks like."""
    if panel.red is not None and value >= panel.red:
        return RED
    return AMBER if panel.amber is not None and value >= panel.amber else GREEN


def told(value: float, unit: Unit) -> str:
    """A number with its unit, short."""
    if unit is Unit.SECONDS:
        times, name = next((times, name) for least, times, name in SECONDS if value >= least)
        return f"{value * times:.3g} {name}"
    times, name = UNITS.get(unit, (1, ""))
    return f"{value * times:.4g}{name}"
