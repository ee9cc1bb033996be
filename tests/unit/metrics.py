"""Every metric of every service, as its code has them and as docs/metrics.md says."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from saga_operator.metrics import Metrics
from sagactl.load.figures import Figures
from services.shared.contract.events import ENGINES
from tests.unit.test_house import ROOT, SERVICES

PAGE: Final = ROOT / "docs" / "metrics.md"
OPERATOR: Final = "operator"
LOAD: Final = "load"
OURS: Final = ("sagashop_", "sagamonitor_")
# Name, kind and labels of each collector, as whoever asks Prometheus knows them.
LISTED: Final = """
import {main}
from prometheus_client import REGISTRY
for each in {{*REGISTRY._collector_to_names}}:
    if hasattr(each, "_labelnames"):
        print(each._name, each._type, *each._labelnames)
"""
ROW: Final = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<kind>\w+) \|(?P<labels>[^|]*)\| (?P<of>[^|]+) \| (?P<why>.+) \|$",
    re.MULTILINE,
)


class Metric(NamedTuple):
    name: str
    kind: str
    labels: frozenset[str]


def exposed(name: str, kind: str, labels: Iterator[str]) -> Metric:
    return Metric(f"{name}_total" if kind == "counter" else name, kind, frozenset(labels))


@cache
def in_code() -> dict[Metric, frozenset[str]]:
    """Who has each."""
    loading = {
        service: subprocess.Popen(  # noqa: S603  # our own names
            [sys.executable, "-c", LISTED.format(main=f"services.{service}.main")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for service in SERVICES
    }
    found: dict[Metric, set[str]] = {}
    for service, process in loading.items():
        listed, _ = process.communicate()
        assert process.returncode == 0
        for line in listed.splitlines():
            if line.startswith(OURS):
                name, kind, *labels = line.split()
                found.setdefault(exposed(name, kind, iter(labels)), set()).add(service)
    registries = {OPERATOR: CollectorRegistry(), LOAD: CollectorRegistry()}
    Metrics(registries[OPERATOR])
    Figures(registries[LOAD], time.monotonic, 1)
    for whose, registry in registries.items():
        for each in registry._collector_to_names:  # noqa: SLF001  # it tells no labels where there are no series
            metric = exposed(each._name, each._type, iter(each._labelnames))  # type: ignore[attr-defined]  # noqa: SLF001
            found.setdefault(metric, set()).add(whose)
    return {metric: frozenset(services) for metric, services in found.items()}


def documented() -> list[tuple[Metric, frozenset[str]]]:
    groups = {"all": SERVICES, "those with events": ENGINES, "all but gateway": ("auth", *ENGINES)}
    return [
        (
            Metric(row["name"], row["kind"], frozenset(re.findall(r"`(\w+)`", row["labels"]))),
            frozenset(groups.get(row["of"], row["of"].split(", "))),
        )
        for row in ROW.finditer(PAGE.read_text())
    ]


@cache
def series() -> dict[str, frozenset[str]]:
    """Every name that a query may ask for, with its labels."""
    names: dict[str, frozenset[str]] = {}
    for metric in in_code():
        if metric.kind == "histogram":
            names[f"{metric.name}_bucket"] = metric.labels | {"le"}
            names[f"{metric.name}_sum"] = names[f"{metric.name}_count"] = metric.labels
        else:
            names[metric.name] = metric.labels
    return names
