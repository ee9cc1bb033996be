"""Writes what was measured, and what follows from it, into the documents (`make docs`)."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench import capacity
from dev import markdown
from dev.markdown import between

Run: TypeAlias = Mapping[str, Any]

# Columns, of a phase's figures.
SETTLED, POST, SAGA, CPU = "orders/s settled", "POST ms p50 / p99", "saga ms p50 / p99", "CPU ms per order"
SHORT: Final = (SETTLED, POST, SAGA)
WHOLE: Final = (*SHORT, CPU)

README: Final[Mapping[str, str]] = {
    "gateway": "as many as it settles, through the gateway",
    "rate120": "120 orders/s",
    "rate40": "40 orders/s",
    "rate5": "5 orders/s",
}
PERFORMANCE: Final[Mapping[str, str]] = {
    "direct": "to the order service",
    "gateway": "through the gateway",
    "hotProduct": "all of one product",
    "products2000": "two out of 2,000 products",
    "lines50": "50 lines per order",
    "declined": "every tenth payment declined",
    "rate120": "120 orders/s offered, through the gateway",
    "rate40": "40 orders/s offered, through the gateway",
    "rate5": "5 orders/s offered, through the gateway",
    "overload": "three times the peak offered",
    "brokerOutage": "40 orders/s, and RabbitMQ killed for a while",
    "replicas2": "two replicas of each, on the same cores",
    "replicas3": "three replicas of each",
    "ungrouped": "one transaction per message (`COMMIT_MAX_BATCH=1`)",
}


def documents(run: Run) -> Mapping[Path, Callable[[str], str]]:
    """What each becomes of the text that it has."""
    docs = capacity.MEASURED.parents[1] / "docs"
    return {
        docs.parent / "README.md": lambda text: between(
            text, "measured", [*table(run, README, SHORT), "", where(run)]
        ),
        docs / "performance.md": lambda text: between(
            text, "measured", [*table(run, PERFORMANCE, WHOLE), "", *sentences(run)]
        ),
        docs / "capacity.md": lambda text: between(text, "capacity", capacity.tables(run)),
    }


def table(run: Run, phases: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """In Markdown."""
    rows = [[said, *(_cell(run[phase], column) for column in columns)] for phase, said in phases.items()]
    return markdown.table(["", *columns], *rows)


def _cell(phase: Run, column: str) -> str:
    if column == SETTLED:
        refused = phase["refusedShare"]
        return f"{phase['settledPerSecond']:.0f}" + (f", {refused:.0%} refused" if refused else "")
    if column == CPU:
        return f"{phase['cpuMsPerOrder']:.1f}"
    times = phase["postMs" if column == POST else "sagaMs"]
    return f"{times['p50']:.0f} / {times['p99']:.0f}"


def where(run: Run) -> str:
    """On what machine it was, and when."""
    machine, at = run["machine"], date.fromisoformat(run["at"])
    return (
        f"On {machine['cores']} cores ({machine['cpu']}), {machine['memoryGiB']:.0f} GiB,"
        f" Python {machine['python']}, {at:%-d %B %Y}."
    )


def sentences(run: Run) -> list[str]:
    """What of the run no column says."""
    overload, outage = run["overload"], run["brokerOutage"]
    return [
        where(run),
        f"Overload: {overload['ofPeak']:.0%} of the peak, {overload['goodput']:.0%} of it per core that the",
        f"load generator left. RabbitMQ was away for {outage['outageSeconds']} s: {outage['openAtReturn']:,}",
        f"orders were open when it was back, {outage['recoveredSeconds']:.1f} s later none of them.",
    ]


def main() -> None:
    run = json.loads(capacity.MEASURED.read_text())
    for file, become in documents(run).items():
        file.write_text(become(file.read_text()))


if __name__ == "__main__":
    main()
