"""What `make bench` has measured, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.phases import PHASES
from bench.report import by_service

# Inches.
WIDTH: Final = 15
ROW: Final = 0.38
DOTS_PER_INCH: Final = 80
# What uses next to nothing is drawn together.
LEAST_SHARE: Final = 0.02


def draw(figures: Mapping[str, Any], file: Path) -> None:
    """Of the document that is written beside it."""
    phases = {phase.title: figures[phase.key] for phase in PHASES if phase.key in figures}
    figure = Figure(figsize=(WIDTH, 2.4 + ROW * len(phases)), layout="constrained")
    FigureCanvasAgg(figure)
    machine = figures["machine"]
    title = f"make bench: {machine['cores']} x {machine['cpu']}, everything on this machine"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold")
    rates, times, costs = figure.subplots(1, 3, sharey=True)
    _rates(rates, phases)
    _times(times, phases)
    _costs(costs, phases)
    rates.set_yticks(range(len(phases)), [*phases], fontsize=8)
    rates.invert_yaxis()
    for axes in (rates, times, costs):
        axes.grid(visible=True, axis="x", linewidth=0.3)
        axes.tick_params(axis="x", labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(file, dpi=DOTS_PER_INCH)


def _rates(axes: Axes, phases: Mapping[str, Any]) -> None:
    axes.set_title("orders settled per second", loc="left", fontsize=9)
    bars = axes.barh(
        range(len(phases)), [each["settledPerSecond"] for each in phases.values()], color="#3b6ea5"
    )
    axes.margins(x=0.08)
    axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=2)


def _times(axes: Axes, phases: Mapping[str, Any]) -> None:
    axes.set_title("POST and whole saga: p50 to p99, ms", loc="left", fontsize=9)
    axes.set_xscale("log")
    for name, colour, aside in (("postMs", "#299c46", -0.15), ("sagaMs", "#d07020", 0.15)):
        places = [place + aside for place in range(len(phases))]
        least = [max(1.0, each[name]["p50"]) for each in phases.values()]
        most = [max(1.0, each[name]["p99"]) for each in phases.values()]
        axes.hlines(places, least, most, color=colour, linewidth=4, label=name.removesuffix("Ms"))
        axes.plot(least, places, "o", color=colour, markersize=4)
    axes.legend(fontsize=7, frameon=False)


def _costs(axes: Axes, phases: Mapping[str, Any]) -> None:
    axes.set_title("CPU ms per order, by process", loc="left", fontsize=9)
    used = [by_service(each["cpuMsPerOrderByProcess"]) for each in phases.values()]
    totals = [sum(each.values()) for each in used]
    names = dict.fromkeys(name for each in used for name in each)
    shown = [
        name
        for name in names
        if any(each.get(name, 0) > LEAST_SHARE * total for each, total in zip(used, totals, strict=True))
    ]
    left = [0.0] * len(used)
    for name in shown:
        widths = [each.get(name, 0) for each in used]
        axes.barh(range(len(used)), widths, left=left, label=name)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    for place, total in enumerate(totals):
        axes.text(total, place, f" {total:.1f}", va="center", fontsize=7)
    axes.set_xlim(right=1.1 * max(totals))
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1))
