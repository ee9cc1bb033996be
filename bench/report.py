"""The benchmark's results: a table for people, a file for programs."""

import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple, Self, TypeAlias

from rich.console import Console
from rich.table import Table

from bench.load import Load, Offered, Saga
from bench.meter import Reading, Usage

# What is promised of three times the load that the shop can settle.
GOODPUT_PROMISED: Final = 0.9
SAGA_P99_PROMISED_SECONDS: Final = 5.0


class Measured(NamedTuple):
    """One phase: what was offered, what came of it, what it used. Per order is per accepted order."""

    name: str
    load: Load
    offered: Offered
    sagas: Sequence[Saga]
    # From the first POST to the last order's end.
    seconds: float
    before: Reading
    after: Reading

    @property
    def measured(self) -> Self:
        return self

    @property
    def settled(self) -> int:
        return len(self.offered.ids)

    @property
    def settled_per_second(self) -> float:
        return self.settled / self.seconds

    @property
    def steady_per_second(self) -> float:
        """Orders settled per second, without the first and the last tenth of them."""
        ends = sorted(saga.ended for saga in self.sagas)
        first, last = len(ends) // 10, len(ends) * 9 // 10
        return (last - first) / (ends[last] - ends[first])

    @property
    def saga_ms(self) -> dict[str, float]:
        return quantiles_ms([saga.seconds for saga in self.sagas])

    @property
    def cpu_ms_per_order(self) -> Mapping[str, float]:
        used = cpu_seconds(self.before.usage, self.after.usage)
        return {name: seconds * 1000 / self.settled for name, seconds in used.items()}

    @property
    def replicas(self) -> int:
        """Of the order service."""
        return sum(name.partition("-")[0] == "order" for name in self.after.usage.cpu_seconds)

    def per_order(self, count: str) -> float:
        used: float = getattr(self.after.counts, count) - getattr(self.before.counts, count)
        return used / self.settled

    def to_json(self) -> dict[str, Any]:
        return {
            "settledPerSecond": round(self.settled_per_second, 1),
            "postMs": quantiles_ms(self.offered.posts),
            "sagaMs": self.saga_ms,
            "cpuMsPerOrder": round(sum(self.cpu_ms_per_order.values()), 3),
            "cpuMsPerOrderByProcess": {name: round(ms, 3) for name, ms in self.cpu_ms_per_order.items()},
            "residentMiB": {name: round(mib) for name, mib in self.after.usage.resident_mib.items()},
            "messagesPerOrder": round(self.per_order("published"), 3),
            "transactionsPerOrder": round(self.per_order("transactions"), 3),
            "mongodTransactionsPerOrder": round(self.per_order("mongod_transactions"), 3),
            "commitsPerOrder": round(self.per_order("commits"), 3),
            "orders": self.settled,
            "replicas": self.replicas,
            "clients": self.load.clients or self.offered.connections,
            "refusedShare": round(self.offered.refused_share, 3),
            "loadGeneratorCores": round(self.offered.cores, 3),
            **(self._fixed_rate_json() if self.load.rate else {}),
        }

    def _fixed_rate_json(self) -> dict[str, Any]:
        return {
            "offeredPerSecond": round(self.load.rate, 1),
            "refusalMs": quantiles_ms(self.offered.refusals),
            # Of the load generator: far from 0, the rate was not what it says.
            "sentLateMs": quantiles_ms(self.offered.lags),
        }


class Idle(NamedTuple):
    """A shop with nothing to do."""

    seconds: float
    before: Usage
    after: Usage

    @property
    def cpu_seconds_per_minute(self) -> Mapping[str, float]:
        used = cpu_seconds(self.before, self.after)
        return {name: seconds * 60 / self.seconds for name, seconds in used.items()}

    def to_json(self) -> dict[str, Any]:
        used = self.cpu_seconds_per_minute
        return {
            "cpuSecondsPerMinute": round(sum(used.values()), 2),
            "cpuSecondsPerMinuteByProcess": {name: round(seconds, 2) for name, seconds in used.items()},
            "seconds": round(self.seconds, 1),
        }


class Overload(NamedTuple):
    """What is left of the peak when far more is offered than can be settled.

    The load generator shares the machine with the shop, and needs more of it the more it offers. So goodput
    is held against the peak by what each had: orders per second and core that the generator left.
    """

    # Measured right before, and right after: machines are not as fast in every minute.
    peaks: tuple[Measured, Measured]
    measured: Measured
    # Of the machine.
    cores: int

    @property
    def peak_per_second(self) -> float:
        return fmean(peak.steady_per_second for peak in self.peaks)

    @property
    def of_peak(self) -> float:
        """Orders per second, whatever the load generator took."""
        return self.measured.steady_per_second / self.peak_per_second

    @property
    def goodput(self) -> float:
        """Orders per second and core that was left to the shop, as a part of the same at the peak."""
        return self._per_core(self.measured) / fmean(map(self._per_core, self.peaks))

    @property
    def is_as_promised(self) -> bool:
        p99 = self.measured.saga_ms["p99"] / 1000
        return self.goodput >= GOODPUT_PROMISED and p99 <= SAGA_P99_PROMISED_SECONDS

    def to_json(self) -> dict[str, Any]:
        return {
            **self.measured.to_json(),
            "steadyPerSecond": round(self.measured.steady_per_second, 1),
            "peakSteadyPerSecond": round(self.peak_per_second, 1),
            "ofPeak": round(self.of_peak, 3),
            "goodput": round(self.goodput, 3),
            "asPromised": self.is_as_promised,
        }

    def __str__(self) -> str:
        saga, phase = self.measured.saga_ms, self.measured
        kept = "as promised" if self.is_as_promised else "NOT as promised"
        return (
            f"overload: {phase.load.rate:.0f} orders/s offered, {phase.steady_per_second:.0f} settled "
            f"({self.of_peak:.0%} of the peak, {self.goodput:.0%} for the cores that the load generator "
            f"left), {phase.offered.refused_share:.0%} answered 503 "
            f"(p99 {quantiles_ms(phase.offered.refusals)['p99']:.0f} ms); sagas of the accepted "
            f"p50 {saga['p50']:.0f} ms, p99 {saga['p99']:.0f} ms: {kept} "
            f"(>= {GOODPUT_PROMISED:.0%}, p99 <= {SAGA_P99_PROMISED_SECONDS:.0f} s)"
        )

    def _per_core(self, measured: Measured) -> float:
        return measured.steady_per_second / (self.cores - measured.offered.cores)


class Outage(NamedTuple):
    """The broker was away while orders came at a fixed rate."""

    measured: Measured
    seconds: float
    # Orders that were open when it was back.
    backlog: int
    # Until none of those was open any more.
    recovered_seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            **self.measured.to_json(),
            "outageSeconds": self.seconds,
            "openAtReturn": self.backlog,
            "recoveredSeconds": round(self.recovered_seconds, 2),
        }

    def __str__(self) -> str:
        return (
            f"broker away for {self.seconds:.0f} s at {self.measured.load.rate:.0f} orders/s: {self.backlog} "
            f"orders were open when it was back, {self.recovered_seconds:.1f} s later none of them"
        )


Outcome: TypeAlias = Measured | Overload | Outage


def cpu_seconds(before: Usage, after: Usage) -> Mapping[str, float]:
    """What each process used in between; one that was started anew has used all of it."""
    earlier = {name: before.cpu_seconds.get(name, 0) for name in after.cpu_seconds}
    return {
        name: used - earlier[name] if used >= earlier[name] else used
        for name, used in after.cpu_seconds.items()
    }


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """The p50, p95 and p99; zeros where there is nothing."""
    ordered = sorted(seconds) or [0.0]
    return {
        f"p{percent}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)
        for percent in (50, 95, 99)
    }


def machine() -> dict[str, Any]:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def document(outcomes: Mapping[str, Outcome], idle: Idle) -> dict[str, Any]:
    """The figures, by the key of each phase."""
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **{key: outcome.to_json() for key, outcome in outcomes.items()},
        "idle": idle.to_json(),
    }


def ratios(figures: Mapping[str, Any]) -> Iterator[str]:
    """What two phases of one run say of one another."""
    if "direct" in figures and "ungrouped" in figures:
        times = figures["direct"]["settledPerSecond"] / figures["ungrouped"]["settledPerSecond"]
        yield f"group commit: {times:.1f} times the orders of one transaction per message"
    if "replicas1" in figures and "replicas3" in figures:
        times = figures["replicas3"]["settledPerSecond"] / figures["replicas1"]["settledPerSecond"]
        yield f"three replicas of each on the same cores: {times:.2f} times the orders of one"


def show(console: Console, outcomes: Sequence[Outcome], idle: Idle) -> None:
    facts = machine()
    console.print(f"{facts['cores']} x {facts['cpu']}, {facts['memoryGiB']} GiB, Python {facts['python']}")
    phases = [outcome.measured for outcome in outcomes]
    console.print(_of_orders(phases))
    console.print(_of_processes(phases, idle))
    for outcome in outcomes:
        if not isinstance(outcome, Measured):
            console.print(str(outcome))


def _of_orders(phases: Sequence[Measured]) -> Table:
    table = Table(title="Everything runs on this machine; CPU is per settled order")
    headings = (
        "",
        "orders/s settled",
        "503 %",
        "POST ms p50/p95/p99",
        "saga ms p50/p95/p99",
        "CPU ms",
        "messages",
        "transactions",
        "commits",
    )
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for phase in phases:
        post, saga = quantiles_ms(phase.offered.posts), phase.saga_ms
        table.add_row(
            f"{phase.name} ({phase.load})",
            f"{phase.settled_per_second:.0f}",
            f"{100 * phase.offered.refused_share:.0f}",
            "/".join(f"{ms:.0f}" for ms in post.values()),
            "/".join(f"{ms:.0f}" for ms in saga.values()),
            f"{sum(phase.cpu_ms_per_order.values()):.2f}",
            f"{phase.per_order('published'):.2f}",
            f"{phase.per_order('transactions'):.2f}",
            f"{phase.per_order('commits'):.2f}",
        )
    return table


def _of_processes(phases: Sequence[Measured], idle: Idle) -> Table:
    table = Table(title="CPU seconds per 1,000 orders, and per idle minute; memory at the end (MiB)")
    rows = {phase.name: by_service(phase.cpu_ms_per_order) for phase in phases}
    rows["idle: s/min"] = idle.cpu_seconds_per_minute
    for heading in ("", *idle.cpu_seconds_per_minute, "all"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, used in rows.items():
        cells = (f"{used.get(process, 0):.2f}" for process in idle.cpu_seconds_per_minute)
        table.add_row(name, *cells, f"{sum(used.values()):.2f}")
    resident = idle.after.resident_mib
    table.add_row("MiB", *(f"{mib:.0f}" for mib in resident.values()), f"{sum(resident.values()):.0f}")
    return table


def by_service(used: Mapping[str, float]) -> Mapping[str, float]:
    """All replicas of a service together."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, ms in used.items():
        sums[name.partition("-")[0]] += ms
    return sums
