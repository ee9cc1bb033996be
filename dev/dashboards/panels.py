"""The words that dashboards are written in: a board has rows of panels, and each panel asks something."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

COLUMNS: Final = 24


class Unit(StrEnum):
    """As Grafana calls them."""

    COUNT = "short"
    PER_SECOND = "reqps"
    SECONDS = "s"
    RATIO = "percentunit"
    BYTES = "bytes"
    YES_OR_NO = "bool_yes_no"


class Kind(StrEnum):
    STAT = "stat"
    LINES = "timeseries"
    # States over time, a bar for each series.
    STATES = "state-timeline"


class Query(NamedTuple):
    """`$ns` is the selector of the namespace, `$rate` the range of rates."""

    expr: str
    legend: str = ""

    @property
    def promql(self) -> str:
        """As Grafana takes it, with its variables."""
        return self.expr.replace("$ns", 'namespace=~"$namespace"').replace("$rate", "$__rate_interval")

    def asked(self, variables: Mapping[str, str]) -> str:
        """As Prometheus takes it."""
        text = self.promql
        for name, value in variables.items():
            text = text.replace(f"${name}", value)
        return text


class Panel(NamedTuple):
    title: str
    # What is good, what is bad, and where to go then.
    about: str
    queries: tuple[Query, ...]
    unit: Unit = Unit.COUNT
    kind: Kind = Kind.LINES
    width: int = 8
    # From where it is amber, and from where red.
    amber: float | None = None
    red: float | None = None
    stacked: bool = False

    @property
    def height(self) -> int:
        return 4 if self.kind is Kind.STAT else 8


class Board(NamedTuple):
    name: str
    title: str
    about: str
    rows: tuple[tuple[Panel, ...], ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row)


def lines(
    title: str,
    about: str,
    *queries: tuple[str, str],
    unit: Unit = Unit.COUNT,
    width: int = 8,
    amber: float | None = None,
    red: float | None = None,
    stacked: bool = False,
) -> Panel:
    """A panel of lines; each query with the legend of its series."""
    asked = tuple(Query(*each) for each in queries)
    return Panel(title, about, asked, unit, Kind.LINES, width, amber, red, stacked)


def states(title: str, about: str, query: str, legend: str, *, width: int = 8) -> Panel:
    """A panel of bars, one for each series: what is, and since when."""
    return Panel(title, about, (Query(query, legend),), Unit.COUNT, Kind.STATES, width, red=1)


def number(
    title: str,
    about: str,
    query: str,
    *,
    unit: Unit = Unit.COUNT,
    width: int = 4,
    amber: float | None = None,
    red: float | None = None,
) -> Panel:
    """A panel of one number."""
    return Panel(title, about, (Query(query),), unit, Kind.STAT, width, amber, red)


def quantiles(
    title: str,
    about: str,
    histogram: str,
    by: str = "",
    *,
    selector: str = "$ns",
    width: int = 8,
    red: float | None = None,
) -> Panel:
    """p50, p95 and p99 of a histogram of seconds; `by` a label p95 alone."""
    of = "{{" + by + "}}"

    def at(quantile: float, label: str) -> str:
        grouped = f"{label}, le" if label else "le"
        rates = f"sum by ({grouped}) (rate({histogram}_bucket{{{selector}}}[$rate]))"
        return f"histogram_quantile({quantile}, {rates})"

    asked = [(at(0.95, by), of)] if by else [(at(each, ""), f"p{each * 100:g}") for each in (0.5, 0.95, 0.99)]
    return lines(title, about, *asked, unit=Unit.SECONDS, width=width, red=red)
