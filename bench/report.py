"""The benchmark's results: a table for people, a file for programs."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.load import Load, Outcome
from bench.meter import Reading


class Measured(NamedTuple):
    """One phase: what was offered, what came of it, what it used."""

    name: str
    load: Load
    outcome: Outcome
    before: Reading
    after: Reading

    @property
    def settled_per_second(self) -> float:
        return self.load.orders / self.outcome.seconds

    @property
    def cpu_ms_per_order(self) -> Mapping[str, float]:
        used = self.after.cpu_seconds
        return {
            name: (used[name] - self.before.cpu_seconds.get(name, 0)) * 1000 / self.load.orders
            for name in used
        }

    def per_order(self, field: str) -> float:
        used: float = getattr(self.after, field) - getattr(self.before, field)
        return used / self.load.orders

    def to_json(self) -> dict[str, Any]:
        return {
            "settledPerSecond": round(self.settled_per_second, 1),
            "postMs": quantiles_ms(self.outcome.posts),
            "sagaMs": quantiles_ms(self.outcome.sagas),
            "cpuMsPerOrder": round(sum(self.cpu_ms_per_order.values()), 3),
            "cpuMsPerOrderByProcess": {name: round(ms, 3) for name, ms in self.cpu_ms_per_order.items()},
            "residentMiB": {name: round(mib) for name, mib in self.after.resident_mib.items()},
            "messagesPerOrder": round(self.per_order("published"), 3),
            "transactionsPerOrder": round(self.per_order("transactions"), 3),
            "orders": self.load.orders,
            "clients": self.load.clients,
        }


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
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


def show(console: Console, phases: Sequence[Measured]) -> None:
    facts = machine()
    console.print(f"{facts['cores']} x {facts['cpu']}, {facts['memoryGiB']} GiB, Python {facts['python']}")
    table = Table(title="Orders, everything on this machine")
    headings = (
        "",
        "orders/s settled",
        "POST ms p50/p95/p99",
        "saga ms p50/p95/p99",
        "CPU ms/order",
        "msg/order",
        "txn/order",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if not heading else "right")
    for phase in phases:
        post, saga = quantiles_ms(phase.outcome.posts), quantiles_ms(phase.outcome.sagas)
        table.add_row(
            f"{phase.name} ({phase.load.clients} clients)",
            f"{phase.settled_per_second:.0f}",
            "/".join(f"{ms:.0f}" for ms in post.values()),
            "/".join(f"{ms:.0f}" for ms in saga.values()),
            f"{sum(phase.cpu_ms_per_order.values()):.2f}",
            f"{phase.per_order('published'):.2f}",
            f"{phase.per_order('transactions'):.2f}",
        )
    console.print(table)
    table = Table(title="CPU seconds for 1,000 orders, and memory, by process")
    table.add_column("")
    for phase in phases:
        table.add_column(f"{phase.name}: s", justify="right")
    table.add_column("MiB", justify="right")
    for name in phases[0].cpu_ms_per_order:
        cells = (f"{phase.cpu_ms_per_order.get(name, 0):.2f}" for phase in phases)
        table.add_row(name, *cells, f"{phases[0].after.resident_mib[name]:.0f}")
    console.print(table)
