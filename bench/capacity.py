"""`make capacity RATE=1000`: what so many orders a second need, and what is full first.

A model of what `make bench` measured. A process takes a fixed time for an order, and more for each of its
transactions; a transaction holds what came in during an interval, so that busy replicas commit less for an
order than idle ones. Both times, and how much is saved, are fitted to the phases of one run. What goes
beyond a run, how much of a core is planned with and how great the servers are, are the assumptions below.
"""

import json
import math
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

import typer
from rich.console import Console
from rich.table import Table

# What each service decides on for an order that is paid: deliveries, and the customer's command.
HANDLED: Final[Mapping[str, int]] = {"order": 3, "inventory": 2, "payment": 1, "notification": 1}
# Without a transaction: it only passes requests on, and Redis holds hints.
PASSING: Final = "gateway"
# By which the phases have other costs for an order than the one that all are fitted through.
LOADED: Final = "direct"
ALONE: Final = "ungrouped"
OTHERS: Final = ("rate120", "rate40", "rate5")
REPLICAS: Final = "replicas"
ONE: Final = "replicas1"
# One transaction decides at most so many messages (COMMIT_MAX_BATCH).
MOST_AT_ONCE: Final = 100
# How much is saved by what goes together (`Cost`): the first that fits best.
POWERS: Final = tuple(hundredths / 100 for hundredths in range(100, 30, -5))
# Queues between the services that a paid order goes through, once each.
QUEUES: Final = 6

# Assumptions.
# Of a core: the rest is for bursts, and for what a lost replica leaves to the others.
PLANNED: Final = 0.6
# So that a node may go.
LEAST_REPLICAS: Final = 2
# A replica set, of which each member writes what the first does.
MEMBERS: Final = 3
MEMBER_CORES: Final = 8
# Each message of a quorum queue is written by three nodes.
BROKER_COPIES: Final = 3
BROKER_NODE_CORES: Final = 8

MEASURED: Final = Path(__file__).parent / "measured.json"
RATES: Final = (1_000, 10_000, 100_000)


class Cost(NamedTuple):
    """CPU time of a process for an order (ms)."""

    # Whatever else happens.
    fixed: float
    # What it takes in addition where each message has a transaction of its own.
    alone: float
    # How much of that many in one transaction save: by 1 all but one's, by less not so much, for a process
    # that is seldom busy is woken for each message, whichever transaction it goes to.
    power: float = 1.0

    def at(self, batch: float) -> float:
        """With so many messages in a transaction."""
        return self.fixed + self.alone / math.pow(batch, self.power)


class Model(NamedTuple):
    costs: Mapping[str, Cost]
    # Seconds in which what comes in becomes one transaction: the shortest that was seen, and the longest.
    interval: float
    longest_interval: float
    resident_mib: Mapping[str, float]

    @classmethod
    def fitted(cls, run: Mapping[str, Any]) -> Self:
        """To the document that `make bench` writes. Raises KeyError where it lacks a phase."""
        fits = [_fit(run, power) for power in POWERS]
        costs = min(fits, key=lambda fit: _squares(run, fit))
        costs[PASSING] = Cost(max(0.0, _net_ms(run, run["gateway"], PASSING)), 0)
        intervals = [_interval(run, run[name]) for name in (LOADED, "rate40")]
        return cls(costs, min(intervals), max(intervals), run[LOADED]["residentMiB"])

    def batch(self, service: str, per_replica: float) -> float:
        """Messages in a transaction of a replica that has its part in so many orders a second."""
        return min(MOST_AT_ONCE, max(1.0, HANDLED[service] * per_replica * self.interval))

    def cost_ms(self, service: str, per_replica: float) -> float:
        """CPU time of an order in a replica of the service."""
        cost = self.costs[service]
        return cost.at(self.batch(service, per_replica)) if service in HANDLED else cost.fixed

    def replicas(self, service: str, rate: float) -> int:
        """The fewest of which none is busier than planned."""
        # Busy by so much when every message has a transaction of its own, which is the most.
        most = math.ceil(rate * self.costs[service].at(1) / 1000 / PLANNED)
        enough = range(LEAST_REPLICAS, max(LEAST_REPLICAS, most) + 1)
        # The more replicas, the less each is busy.
        return enough[bisect_left(enough, -PLANNED, key=lambda number: -self.busy(service, rate / number))]

    def busy(self, service: str, per_replica: float) -> float:
        """Of a core."""
        return per_replica * self.cost_ms(service, per_replica) / 1000

    def server_ms(self, server: str, rate: float, replicas: Mapping[str, int]) -> float:
        """CPU time of an order in a server, by the transactions of all services."""
        alone = sum(
            handled / self.batch(service, rate / replicas[service]) for service, handled in HANDLED.items()
        ) / sum(HANDLED.values())
        return self.costs[server].at(1 / alone)

    def order_ms(self, rate: float, replicas: Mapping[str, int]) -> Mapping[str, float]:
        """CPU time of an order in everything, by process."""
        services = {name: self.cost_ms(name, rate / replicas[name]) for name in replicas}
        servers = {name: self.server_ms(name, rate, replicas) for name in ("mongodb", "rabbitmq", "redis")}
        return services | servers

    @property
    def hot_product(self) -> float:
        """Orders a second of one product: its stock is in one transaction at a time, twice for an order."""
        return MOST_AT_ONCE / HANDLED["inventory"] / self.longest_interval


def _fit(run: Mapping[str, Any], power: float) -> dict[str, Cost]:
    """By process: through the loaded phase, and as near to the others as can be."""
    costs = {}
    others = [(run[name], _weight(run[name])) for name in (ALONE, *OTHERS) if name in run]
    share = _share(run, run[LOADED], power)
    for name in run[LOADED]["cpuMsPerOrderByProcess"]:
        here = _net_ms(run, run[LOADED], name)
        more = [
            (_share(run, each, power) - share, _net_ms(run, each, name) - here, weight)
            for each, weight in others
        ]
        slope = max(0.0, sum(w * x * y for x, y, w in more) / sum(w * x * x for x, _, w in more))
        costs[name] = Cost(max(0.0, here - slope * share), slope, power)
    return costs


def _squares(run: Mapping[str, Any], costs: Mapping[str, Cost]) -> float:
    """How far it is from what was measured."""
    phases = [run[phase] for phase in (LOADED, ALONE, *OTHERS) if phase in run]
    return sum(
        _weight(phase) * (cost.at(_share(run, phase, 1) ** -1) - _net_ms(run, phase, name)) ** 2
        for phase in phases
        for name, cost in costs.items()
    )


def _share(run: Mapping[str, Any], phase: Mapping[str, Any], power: float) -> float:
    """Of what a message costs that is alone in its transaction."""
    return float((phase["transactionsPerOrder"] / run[ALONE]["transactionsPerOrder"]) ** power)


def _weight(phase: Mapping[str, Any]) -> float:
    """A tenth more of what an order costs is as bad in one phase as in another."""
    return float(1 / sum(phase["cpuMsPerOrderByProcess"].values()) ** 2)


def _net_ms(run: Mapping[str, Any], phase: Mapping[str, Any], name: str) -> float:
    """CPU time of an order, without what the process uses when there is nothing to do."""
    # A second replica does as little as the first.
    idle: float = run["idle"]["cpuSecondsPerMinuteByProcess"].get(name.partition("-")[0], 0) / 60
    used: float = phase["cpuMsPerOrderByProcess"].get(name, 0)
    rate: float = phase["settledPerSecond"]
    return used - 1000 * idle / rate


def _interval(run: Mapping[str, Any], phase: Mapping[str, Any]) -> float:
    batch: float = run[ALONE]["transactionsPerOrder"] / phase["transactionsPerOrder"]
    rate: float = phase["settledPerSecond"]
    return batch * len(HANDLED) / (sum(HANDLED.values()) * rate)


class Part(NamedTuple):
    """Of the shop, at a rate."""

    name: str
    cpu_ms: float
    # That are busy.
    cores: float
    pieces: int
    kind: str
    # Orders a second that one piece bears.
    each: float
    # Whether this release runs with as many of them.
    built: bool = True


class Plan(NamedTuple):
    rate: float
    parts: Sequence[Part]
    mib: float

    @property
    def cores(self) -> float:
        """That are busy."""
        return sum(part.cores for part in self.parts)

    @property
    def beyond(self) -> Sequence[Part]:
        """What this release has not enough of, the first to be full first."""
        return sorted((part for part in self.parts if not part.built), key=lambda part: part.each)


def plan(model: Model, rate: float) -> Plan:
    """Raises ValueError for a rate that is not above 0."""
    if rate <= 0:
        raise ValueError(f"{rate} orders per second: give a number above 0")
    replicas = {name: model.replicas(name, rate) for name in (PASSING, *HANDLED)}
    ms = model.order_ms(rate, replicas)
    mongod, broker, redis = (ms[name] for name in ("mongodb", "rabbitmq", "redis"))
    services = [
        Part(name, ms[name], rate * ms[name] / 1000, number, "replicas", _bears(ms[name]))
        for name, number in replicas.items()
    ]
    shards = _pieces(rate, _bears(mongod, MEMBER_CORES))
    copied = broker * BROKER_COPIES
    nodes = max(BROKER_COPIES, _pieces(rate, _bears(copied, BROKER_NODE_CORES)))
    # No queue does more than its share of what the broker does, with all its connections.
    queue = _bears(broker / QUEUES)
    queues = _pieces(rate, queue)
    caches = _pieces(rate, _bears(redis))
    servers = [
        Part(
            "mongodb",
            mongod * MEMBERS,
            rate * mongod * MEMBERS / 1000,
            shards,
            f"shards of {MEMBERS} x {MEMBER_CORES} cores",
            _bears(mongod, MEMBER_CORES),
            built=shards == 1,
        ),
        Part(
            "rabbitmq",
            copied,
            rate * copied / 1000,
            nodes,
            f"nodes of {BROKER_NODE_CORES} cores",
            _bears(copied, BROKER_NODE_CORES),
        ),
        Part("each queue", 0, 0, queues, "parts", queue, built=queues == 1),
        Part("redis", redis, rate * redis / 1000, caches, "processes", _bears(redis), built=caches == 1),
    ]
    mib = sum(number * model.resident_mib[name] for name, number in replicas.items())
    return Plan(rate, [*services, *servers], mib)


def _bears(ms: float, cores: float = 1) -> float:
    """Orders a second that keep so many cores as busy as is planned."""
    return math.inf if ms == 0 else 1000 * cores * PLANNED / ms


def _pieces(rate: float, each: float) -> int:
    return max(1, math.ceil(rate / each))


class Check(NamedTuple):
    """What a phase used for an order, and what the model says (CPU ms, of all processes that it knows)."""

    phase: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def checks(model: Model, run: Mapping[str, Any]) -> Sequence[Check]:
    """The phases of a run, but for the two that span the model.

    Those with several replicas are held against the one with one: by how much an order costs more.
    """
    names = ("gateway", "hotProduct", *OTHERS)
    return [
        *(_check(model, run, name) for name in names if name in run),
        *(_more(model, run, name) for name in run if name.startswith(REPLICAS) and name != ONE),
    ]


def _more(model: Model, run: Mapping[str, Any], name: str) -> Check:
    one, several = _check(model, run, ONE), _check(model, run, name)
    return several._replace(predicted=one.measured * several.predicted / one.predicted)


def _check(model: Model, run: Mapping[str, Any], name: str) -> Check:
    phase = run[name]
    rate: float = phase["settledPerSecond"]
    number: int = phase.get("replicas", 1)
    ms = model.order_ms(rate, dict.fromkeys((PASSING, *HANDLED), number))
    through_gateway = phase["cpuMsPerOrderByProcess"].get(PASSING, 0) > ms[PASSING] / 2
    known = {process: each for process, each in ms.items() if process != PASSING or through_gateway}
    measured = sum(
        max(0.0, _net_ms(run, phase, process))
        for process in phase["cpuMsPerOrderByProcess"]
        if process.partition("-")[0] in known
    )
    return Check(name, measured, sum(known.values()))


def table(found: Plan) -> Table:
    shown = Table(title=f"{found.rate:,.0f} orders/s")
    for heading in ("", "pieces", "one bears, orders/s", "CPU ms per order", "cores busy"):
        shown.add_column(heading, justify="right" if heading else "left")
    for part in found.parts:
        busy = (f"{part.cpu_ms:.2f}", f"{part.cores:.1f}") if part.cpu_ms else ("", "")
        shown.add_row(f"{part.name}: {part.kind}", f"{part.pieces:,}", _number(part.each), *busy)
    shown.add_row("all", "", "", "", f"{found.cores:.1f}", style="bold")
    return shown


def _number(each: float) -> str:
    """Two digits of it: more would be a promise."""
    if math.isinf(each):
        return "any"
    return f"{float(f'{each:.2g}'):,.0f}"


def sentences(found: Plan, model: Model) -> Sequence[str]:
    return [
        f"services hold {found.mib / 1024:.1f} GiB",
        f"one product sells at most {_number(model.hot_product)} times a second, whatever else there is",
        _verdict(found),
    ]


def _verdict(found: Plan) -> str:
    beyond = [f"{part.name} ({part.pieces} wanted)" for part in found.beyond]
    return f"this release runs with one of: {', '.join(beyond)}" if beyond else "this release has all of it"


def tables(run: Mapping[str, Any]) -> list[str]:
    """What it says of such a run, in Markdown."""
    model = Model.fitted(run)
    plans = [plan(model, rate) for rate in RATES]
    rows = [
        f"| | {' | '.join(f'{found.rate:,.0f} orders/s' for found in plans)} | one bears, orders/s |",
        f"|---|{'---|' * len(plans)}---|",
    ]
    for parts in zip(*(found.parts for found in plans), strict=True):
        pieces = [f"{part.pieces:,}" for part in parts]
        rows.append(f"| {parts[0].name}: {parts[0].kind} | {' | '.join(pieces)} | {_number(parts[0].each)} |")
    cores = " | ".join(f"{found.cores:,.0f}" for found in plans)
    memory = " | ".join(f"{found.mib / 1024:,.1f}" for found in plans)
    rows += [f"| cores busy, all | {cores} | |", f"| memory of services, GiB | {memory} | |", ""]
    rows += [f"- {found.rate:,.0f} orders/s: {_verdict(found)}." for found in plans]
    hottest = _number(model.hot_product)
    rows += [f"- One product sells at most {hottest} times a second, whatever else there is.", ""]
    rows += ["| phase | measured, CPU ms per order | predicted | |", "|---|---|---|---|"]
    rows += [
        f"| {each.phase} | {each.measured:.2f} | {each.predicted:.2f} | {each.error:+.0%} |"
        for each in checks(model, run)
    ]
    return rows


def main(
    *,
    rate: Annotated[float, typer.Argument(help="Orders per second.", min=0.1)] = 1000,
    run: Annotated[Path, typer.Option(help="File that `make bench` has written.")] = MEASURED,
) -> None:
    """Calculate from a measurement what a rate of orders needs."""
    measured = json.loads(run.read_text())
    console = Console(width=None if sys.stdout.isatty() else 120)
    model = Model.fitted(measured)
    found = plan(model, rate)
    console.print(table(found))
    for sentence in sentences(found, model):
        console.print(sentence)


if __name__ == "__main__":
    typer.run(main)
