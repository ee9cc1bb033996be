"""The failure modes that the shop promises to come out of, each shown by tests.

`make modes` runs those tests and writes docs/failure-modes.md.
"""

import subprocess
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "failure-modes.md"


class Mode(NamedTuple):
    happens: str
    holds: str
    # What does the same to a whole shop under load: scenarios of `make survive`, faults of `make chaos`.
    survive: tuple[str, ...] = ()
    chaos: tuple[str, ...] = ()


MODES: Final[Mapping[int, Mode]] = {
    1: Mode(
        "some lines of an order cannot be reserved, and the answers come in any order",
        "nothing stays held (`all`), or exactly what was there is sold (`partial`)",
    ),
    2: Mode("a release overtakes its reservation", "nothing is reserved"),
    3: Mode("the payment succeeds after the timeout cancelled the order", "exactly one refund"),
    4: Mode(
        "timeout and payment at the same instant, on several replicas",
        "PAID, or CANCELLED and refunded; never both",
    ),
    5: Mode(
        "SIGKILL before the transaction, after the commit, before the acknowledgement",
        "one effect",
        ("killed-before-commit",),
        ("crash-points", "replicas-killed"),
    ),
    6: Mode(
        "SIGKILL between the publishing of an event and the deletion of its row",
        "consumers see it twice; one effect",
        chaos=("crash-points",),
    ),
    7: Mode("a dead letter is redriven days later, and Redis was emptied", "no second effect"),
    8: Mode(
        "a replica dies with events that it has not published",
        "another publishes them within seconds",
        ("one-replica-cut-off",),
        ("replicas-killed",),
    ),
    9: Mode(
        "the broker stands still for 25 s, with several replicas of each service",
        "each event has one effect; what was published again is counted",
        ("broker-silent",),
        ("broker-frozen",),
    ),
    10: Mode(
        "the database is away with messages waiting",
        "no message uses up its attempts; then all are worked off",
        ("database-frozen", "database-kill"),
        ("database-killed", "database-frozen", "database-cut-off", "database-disk-full"),
    ),
    11: Mode(
        "bad JSON, a bad schema, a document that cannot be read, an event ahead of its cause",
        "retried where that helps, else dead with reason and attempts; the next messages are not held up",
        ("rubbish",),
    ),
    12: Mode(
        "all events shuffled and doubled, and once more by a service that forgets what it has seen",
        "it ends as it does in order",
    ),
    13: Mode("operator, order service and inventory compensate the same order at once", "one release"),
    14: Mode(
        "inventory is down while a compensation waits",
        "the order shows it, and recovers unaided",
        chaos=("service-gone",),
    ),
    15: Mode(
        "a binding is deleted, the broker is killed, connections are closed, in mid-publish",
        "rows stay, consumers are back, nothing is lost",
        ("connections", "broker-kill"),
        ("connections-closed", "broker-killed", "broker-cut-off", "broker-disk-full"),
    ),
    16: Mode(
        "services are killed, and the database's primary steps down, under load",
        "no accepted order is lost",
        ("database-steps-down",),
        (
            *(
                "primary-steps-down",
                "primary-killed",
                "primary-frozen",
                "primary-cut-off",
                "primary-disk-full",
            ),
            *("database-unheard", "replicas-killed"),
        ),
    ),
    17: Mode(
        "Redis is emptied, stopped, slow, or comes back with an old state",
        "only slower; limits are counted in memory meanwhile",
        ("redis-slow",),
        ("redis-emptied", "redis-killed", "redis-slow", "redis-cut-off"),
    ),
    18: Mode(
        "SIGKILL after the gateway captured, before that was written down; the order is cancelled meanwhile",
        "captured once, refunded once",
        chaos=("crash-points", "payment-gateway-unheard"),
    ),
    19: Mode(
        "the payment gateway is down",
        "no charge is lost, doubled or a dead letter; orders time out and stay right",
        chaos=("payment-gateway-away", "payment-gateway-slow", "payment-gateway-unheard"),
    ),
    20: Mode(
        "messages per product and per order are mixed for one order", "every line is held once or refused"
    ),
    21: Mode(
        "SIGKILL with webhooks not made yet, made, and under way",
        "each endpoint is told of everything; what comes twice has the same id",
    ),
}


class Shown(NamedTuple):
    """What came of one test, or of all examples of one."""

    tests: int = 0
    passed: int = 0
    seconds: float = 0

    def __add__(self, other: object) -> "Shown":
        assert isinstance(other, Shown)  # a tuple would do, too
        return Shown(self.tests + other.tests, self.passed + other.passed, self.seconds + other.seconds)


class Recorder:
    """Runs the tests that are marked, and writes what came of them."""

    def __init__(self) -> None:
        # Test -> the numbers of its modes.
        self._of: dict[str, list[int]] = {}
        self._failed: set[str] = set()
        self._seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        for item in items:
            numbers = [number for marker in item.iter_markers("mode") for number in marker.args]
            if numbers:
                self._of[item.nodeid] = numbers
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self._of])
        items[:] = [item for item in items if item.nodeid in self._of]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0) + report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        of: dict[str, list[int]] = {}
        came: defaultdict[str, Shown] = defaultdict(Shown)
        for node, seconds in self._seconds.items():
            name = node.partition("[")[0]
            of[name] = self._of[node]
            came[name] += Shown(1, int(node not in self._failed), seconds)
        if came:
            day = datetime.now(UTC).date()
            DOCUMENT.write_text(document(of, came, f"{day:%d %B %Y} at {_commit()}"))


def document(of: Mapping[str, list[int]], came: Mapping[str, Shown], when: str) -> str:
    """docs/failure-modes.md. `of`: the numbers of each test's modes; `came`: what came of it."""
    all_ = sum(came.values(), Shown())
    rows = [
        f"| {number} | {mode.happens} | {mode.holds} | "
        + "<br>".join(_told(name, shown) for name, shown in came.items() if number in of[name])
        + f" | {', '.join(f'`{name}`' for name in dict.fromkeys((*mode.survive, *mode.chaos)))} |"
        for number, mode in MODES.items()
    ]
    summary = f"{all_.passed} of {all_.tests} tests passed, in {all_.seconds / 60:.0f} minutes"
    return f"{HEAD}Written by that command on {when}: {summary}.\n\n{TABLE}" + "\n".join(rows) + "\n"


HEAD: Final = """\
# Failure modes

This page lists what may go wrong in a shop whose services communicate by messages, and what must hold afterwards. Tests show each failure mode: on real
servers, or on the rules alone if every sequence of events is to be tried. [`make survive` and `make chaos`](survive.md) also inject many of them into a whole
shop under load.

```console
$ make modes        # runs the tests that are listed here, and writes this page
```

"""  # noqa: E501  # as documents are
TABLE: Final = """\
| | what happens | what must hold | shown by | under load |
|---|---|---|---|---|
"""


def _told(name: str, shown: Shown) -> str:
    path, _, test = name.partition("::")
    examples = f" ({shown.tests})" if shown.tests > 1 else ""
    failed = f", **{shown.tests - shown.passed} failed**" if shown.passed < shown.tests else ""
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../{path}){examples}{failed}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
