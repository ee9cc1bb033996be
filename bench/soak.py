"""Whether a shop stays the same over many orders at a steady rate: memory, descriptors, what is stored."""

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from bench import meter
from bench.load import Load, offer, until_settled
from bench.past import KEPT
from bench.report import machine
from bench.shop import Shop
from dev.stack import SERVERS
from services.gateway.upstream import KEEP_ALIVE_SECONDS

SAMPLE_SECONDS: Final = 2.0
# Until connections that nobody uses are closed: the gateway looks for them once in as long as it keeps one.
REST_SECONDS: Final = 2 * KEEP_ALIVE_SECONDS + 5
PRINT_SECONDS: Final = 10.0
# Of all samples: what is loaded, cached and pooled once.
WARM_UP_SHARE: Final = 0.1
# MongoDB keeps what is deleted for this long (`minSnapshotHistoryWindowInSeconds`), and until the next
# checkpoint. So the file of an outbox grows until it holds that much traffic, and then keeps its size.
HISTORY_SECONDS: Final = 300 + 60
# Fewer tell no growth from chance.
LEAST_SAMPLES: Final = 10
GROWTH_ALLOWED_PERCENT: Final = 10.0


class Kind(NamedTuple):
    """Of what is watched."""

    title: str
    # By so little it may grow, however small it was.
    least: float
    # What may grow: as the orders do, or in caches that have bounds of their own.
    grows: Collection[str]
    # Compared is what there was before the first order and after the last: in between, customers come and go.
    at_rest: bool = False
    # Before, it grows in any shop.
    warm_after_seconds: float = 0


ORDERS: Final = frozenset(f"{database}.{collection}" for database, collection, _ in KEPT)
KINDS: Final[Mapping[str, Kind]] = {
    "memory": Kind("Resident memory (MiB)", 0, SERVERS),
    "descriptors": Kind("Open descriptors", 10, (), at_rest=True),
    "documents": Kind("Documents", 50, ORDERS),
    "stored": Kind(
        "Collections with their indexes, as stored (MiB)", 4, ORDERS, warm_after_seconds=HISTORY_SECONDS
    ),
}


class Sample(NamedTuple):
    """What there was at a moment, by kind: of each process, or collection."""

    # Since the first order.
    seconds: float
    found: Mapping[str, Mapping[str, float]]


class Growth(NamedTuple):
    """Of one process or collection: the average of the first and of the last third, or at rest."""

    name: str
    first: float
    last: float
    kind: Kind = KINDS["memory"]

    @property
    def percent(self) -> float:
        if not self.first:
            return math.inf if self.last else 0
        return 100 * (self.last - self.first) / self.first

    @property
    def is_too_much(self) -> bool:
        more = self.last - self.first
        return (
            self.name not in self.kind.grows
            and self.percent > GROWTH_ALLOWED_PERCENT
            and more > self.kind.least
        )


class Soaked(NamedTuple):
    load: Load
    settled: int
    refused: int
    samples: Sequence[Sample]

    @property
    def growth(self) -> Mapping[str, Sequence[Growth]]:
        """By kind; empty where the run ended before it was warm.

        Raises ValueError when there are too few samples to tell.
        """
        return {
            name: self._at_rest(name) if kind.at_rest else self._growth(name, kind)
            for name, kind in KINDS.items()
        }

    @property
    def is_flat(self) -> bool:
        return not any(each.is_too_much for found in self.growth.values() for each in found)

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": machine(),
            "offeredPerSecond": self.load.rate,
            "settled": self.settled,
            "refused": self.refused,
            "isFlat": self.is_flat,
            "seconds": [round(sample.seconds, 1) for sample in self.samples],
            **{kind: self._lines(kind) for kind in KINDS},
        }

    def _of(self, kind: str) -> Sequence[Mapping[str, float]]:
        return [sample.found[kind] for sample in self.samples]

    def _growth(self, name: str, kind: Kind) -> Sequence[Growth]:
        warm = [each.found[name] for each in self.samples if each.seconds >= kind.warm_after_seconds]
        if kind.warm_after_seconds and len(warm) < LEAST_SAMPLES:
            return []
        return growth(warm, kind)

    def _at_rest(self, kind: str) -> Sequence[Growth]:
        first, *_, last = self._of(kind)
        return [Growth(name, first[name], last[name], KINDS[kind]) for name in first if name in last]

    def _lines(self, kind: str) -> dict[str, list[float]]:
        """One value of each process or collection for each sample."""
        names = dict.fromkeys(name for found in self._of(kind) for name in found)
        return {name: [round(found.get(name, 0), 3) for found in self._of(kind)] for name in names}


async def soak(shop: Shop, load: Load) -> Soaked:
    """Places the orders through the gateway, and looks at the shop meanwhile.

    Raises NotInTimeError when orders get stuck.
    """
    samples: list[Sample] = []
    await asyncio.sleep(REST_SECONDS)
    watching = asyncio.create_task(_watch(shop, samples))
    try:
        offered = await offer(shop.through_gateway, load, shop.renewed_tokens)
        await until_settled(shop.orders)
        await asyncio.sleep(REST_SECONDS)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):  # an error of its own is told: nothing was measured since
            await watching
    return Soaked(load, len(offered.ids), len(offered.refusals), samples)


def growth(samples: Sequence[Mapping[str, float]], kind: Kind = KINDS["memory"]) -> list[Growth]:
    """Of each name, once it is warm. Raises ValueError when there are too few samples to tell."""
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = len(warm) // 3
    if not third:
        raise ValueError(f"{len(samples)} samples are too few: more orders, or fewer per second")

    def mean(name: str, part: Sequence[Mapping[str, float]]) -> float:
        return fmean(each.get(name, 0) for each in part)

    names = dict.fromkeys(name for each in warm for name in each)
    return [Growth(name, mean(name, warm[:third]), mean(name, warm[-third:]), kind) for name in names]


async def _watch(shop: Shop, samples: list[Sample]) -> None:
    started = printed = time.perf_counter()
    while True:
        resident = meter.usage(shop.stack.processes).resident_mib
        stored = await meter.stored(shop.mongo)
        found = {
            "memory": resident,
            "descriptors": meter.descriptors(shop.stack.processes),
            "documents": {name: each.documents for name, each in stored.items()},
            "stored": {name: each.mib for name, each in stored.items()},
        }
        samples.append(Sample(time.perf_counter() - started, found))
        if time.perf_counter() - printed >= PRINT_SECONDS:
            printed = time.perf_counter()
            cells = "  ".join(f"{name} {mib:.0f}" for name, mib in resident.items())
            shop.console.print(f"{printed - started:5.0f} s, MiB: {cells}")
        await asyncio.sleep(SAMPLE_SECONDS)


def table(found: Mapping[str, Sequence[Growth]]) -> Table:
    """All of the memory; of the rest what has changed."""
    shown = Table(
        title="Averages of the first and of the last third, after the warm-up; descriptors before and after"
        " the load"
    )
    for heading in ("", "", "first", "last", "growth", ""):
        shown.add_column(heading, justify="right" if heading else "left")
    for name, kind in KINDS.items():
        title = kind.title
        if not found[name]:
            shown.add_row(title, f"not compared before {kind.warm_after_seconds / 60:g} minutes")
        for each in found[name]:
            if name == "memory" or abs(each.percent) >= 1:
                verdict = "TOO MUCH" if each.is_too_much else "may grow" if each.name in kind.grows else ""
                figures = (f"{each.first:.1f}", f"{each.last:.1f}", f"{each.percent:+.1f} %")
                shown.add_row(title, each.name, *figures, verdict)
                title = ""
    return shown


# Inches.
WIDTH: Final = 14
HEIGHT: Final = 9
MOST_NAMED: Final = 12


def draw(figures: Mapping[str, Any], file: Path) -> None:
    """Of the document that is written beside it: each kind over time."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"make soak: {figures['settled']:,} orders at {figures['offeredPerSecond']:.0f}/s, "
        f"{figures['refused']:,} refused",
        x=0.01,
        ha="left",
        weight="bold",
    )
    for axes, (name, kind) in zip(figure.subplots(2, 2).flat, KINDS.items(), strict=True):
        _draw(axes, figures["seconds"], figures[name], kind)
    figure.savefig(file, dpi=80)


def _draw(axes: Axes, seconds: Sequence[float], lines: Mapping[str, Sequence[float]], kind: Kind) -> None:
    axes.set_title(f"{kind.title}; dotted: may grow", loc="left", fontsize=9)
    axes.set_xlabel("minutes", fontsize=8)
    minutes = [each / 60 for each in seconds]
    largest = sorted(lines, key=lambda name: -max(lines[name]))[:MOST_NAMED]
    for name in largest:
        style = ":" if name in kind.grows else "-"
        axes.plot(minutes, lines[name], style, label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, linewidth=0.3)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
