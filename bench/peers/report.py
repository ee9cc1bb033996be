"""The turns of all entrants, side by side: a table for people, a file for programs."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from rich.table import Table

from bench.load import Load, Offered, Saga
from bench.meter import Usage
from bench.report import cpu_seconds, machine, quantiles_ms

OURS: Final = "sagashop"


class Turn(NamedTuple):
    """One entrant under one load."""

    load: Load
    offered: Offered
    sagas: Sequence[Saga]
    # From the first POST until the last order was final and its customer told.
    seconds: float
    before: Usage
    after: Usage

    @property
    def per_second(self) -> float:
        return len(self.offered.ids) / self.seconds

    @property
    def cpu_ms(self) -> Mapping[str, float]:
        """Per order, by process."""
        used = cpu_seconds(self.before, self.after)
        return {name: seconds * 1000 / len(self.offered.ids) for name, seconds in used.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "orders": len(self.offered.ids),
            "settledPerSecond": round(self.per_second, 1),
            "postMs": quantiles_ms(self.offered.posts),
            "sagaMs": quantiles_ms([saga.seconds for saga in self.sagas]),
            "cpuMsPerOrder": round(sum(self.cpu_ms.values()), 2),
            "cpuMsPerOrderByProcess": {name: round(ms, 2) for name, ms in self.cpu_ms.items()},
            "refusals": len(self.offered.refusals),
        }


# By phase, then by entrant: the turns in their order.
Turns = Mapping[str, Mapping[str, Sequence[Turn]]]


class Median(NamedTuple):
    """Of all turns of one entrant in one phase."""

    per_second: float
    least: float
    most: float
    post_p50_ms: float
    post_p99_ms: float
    saga_p50_ms: float
    saga_p99_ms: float
    cpu_ms: float

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> "Median":
        posts = [quantiles_ms(turn.offered.posts) for turn in turns]
        sagas = [quantiles_ms([saga.seconds for saga in turn.sagas]) for turn in turns]
        rates = [turn.per_second for turn in turns]
        return cls(
            per_second=median(rates),
            least=min(rates),
            most=max(rates),
            post_p50_ms=median(each["p50"] for each in posts),
            post_p99_ms=median(each["p99"] for each in posts),
            saga_p50_ms=median(each["p50"] for each in sagas),
            saga_p99_ms=median(each["p99"] for each in sagas),
            cpu_ms=median(sum(turn.cpu_ms.values()) for turn in turns),
        )


def document(turns: Turns, facts: Mapping[str, str]) -> dict[str, Any]:
    """`facts` are of the peers: versions, how each is set up."""
    return {
        "machine": machine(),
        "setUp": dict(facts),
        "phases": {
            phase: {
                key: {"median": Median.of(own)._asdict(), "turns": [turn.to_json() for turn in own]}
                for key, own in entrants.items()
            }
            for phase, entrants in turns.items()
        },
    }


def table(title: str, entrants: Mapping[str, Sequence[Turn]]) -> Table:
    """One phase. Ratios are of what sagashop did in the same turns."""
    shown = Table(title=title)
    headings = (
        "",
        "orders/s (least to most)",
        "of sagashop's",
        "POST ms p50/p99",
        "saga ms p50/p99",
        "CPU ms per order",
        "of sagashop's",
    )
    for heading in headings:
        shown.add_column(heading, justify="right" if heading else "left")
    found = {key: Median.of(own) for key, own in entrants.items()}
    ours = found.get(OURS)
    for key, each in found.items():
        shown.add_row(
            key,
            f"{each.per_second:.0f} ({each.least:.0f} to {each.most:.0f})",
            f"{each.per_second / ours.per_second:.2f}" if ours else "",
            f"{each.post_p50_ms:.0f}/{each.post_p99_ms:.0f}",
            f"{each.saga_p50_ms:.0f}/{each.saga_p99_ms:.0f}",
            f"{each.cpu_ms:.1f}",
            f"{each.cpu_ms / ours.cpu_ms:.1f}" if ours else "",
        )
    return shown
