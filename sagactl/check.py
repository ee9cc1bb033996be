"""`sagactl check`: holds every order against stock, payments and the gateway's ledger. Reads only.

Also a library: tests, the demo and the benchmark call `check`, or `check_stack` with a stack's directory.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from pymongo import AsyncMongoClient
from rich.console import Console
from rich.table import Table

from sagactl import broker, invariants
from sagactl.access import Access
from sagactl.books import Books
from sagactl.invariants import TITLES, Finding, Held, Invariant
from sagactl.screen import printable
from services.shared.contract.events import PUBLISHES

POLL_SECONDS: Final = 0.5
# The broker's statistics lag behind: empty is what was so for longer than the second between two of them
# (`collect_statistics_interval`, in our stacks and charts; five seconds where nobody set it).
QUIET_SECONDS: Final = 1.5
NAMED_AT_MOST: Final = 20
LETTERS_AT_MOST: Final = 1000


class Expected(NamedTuple):
    """What the checker is told beforehand."""

    # Orders that were answered 201: they have to exist.
    accepted: Collection[str] = ()
    # Orders (or products) whose contradictions, dead letters and what follows from them are known.
    known: Collection[str] = ()


class Report(NamedTuple):
    counted: Mapping[Invariant, str]
    findings: Sequence[Finding]
    # Findings about those that were expected to have some.
    known: Sequence[Finding]

    @property
    def sound(self) -> bool:
        return not self.findings

    def of(self, invariant: Invariant) -> list[Finding]:
        return [finding for finding in self.findings if finding.invariant is invariant]

    def to_json(self) -> dict[str, Any]:
        return {
            "sound": self.sound,
            "counted": dict(self.counted),
            "findings": [finding._asdict() for finding in self.findings],
            "known": [finding._asdict() for finding in self.known],
        }


async def check(
    access: Access,
    expected: Expected | None = None,
    *,
    wait_seconds: float = 30,
    quiet_seconds: float = QUIET_SECONDS,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> Report:
    """Waits for everything to come to rest, then checks all of it. `progress` is told what still moves."""
    expected = expected or Expected()
    async with _books(access) as books:
        unrest = await _rest(access, books, (wait_seconds, quiet_seconds), progress)
        findings = [Finding(Invariant.DRAINED, name, f"{count} left") for name, count in unrest.items()]
        counts, seen, broken = await _examine(books)
    missing = sorted(set(expected.accepted) - seen)
    letters = await _letters(access)
    findings += broken
    findings += [Finding(Invariant.I4, id_, "was answered 201 and does not exist") for id_ in missing]
    findings += letters
    counted = {
        Invariant.DRAINED: f"{len(broker.LIVE)} queues, {len(PUBLISHES)} outboxes",
        Invariant.I1: f"{counts[Invariant.I1]} products",
        Invariant.I2: f"{counts[Invariant.I2]} reservations",
        Invariant.I3: f"{counts[Invariant.I3]} payments",
        Invariant.I4: f"{len(seen)} orders, {len(expected.accepted)} of them promised",
        Invariant.I5: f"{len(letters)} dead letters",
    }
    known = [finding for finding in findings if finding.subject in expected.known]
    return Report(counted, [each for each in findings if each.subject not in expected.known], known)


async def _examine(books: Books) -> tuple[Counter[Invariant], set[str], list[Finding]]:
    """What was looked at, the orders among it, and what is wrong with it."""
    counts: Counter[Invariant] = Counter()
    seen: set[str] = set()
    findings: list[Finding] = []
    held = Held(Counter(), Counter())
    async for case in books.cases():
        findings += [*invariants.check_case(case), *invariants.contradictions(case)]
        invariants.tally([case.reservation] if case.reservation else [], held)
        counts[Invariant.I2] += case.reservation is not None
        counts[Invariant.I3] += case.payment is not None
        if case.order is not None:
            seen.add(case.id)
    async for stock in books.stock():
        findings += invariants.check_stock(stock, held)
        held.held.pop(stock.id, None)
        held.sold.pop(stock.id, None)
        counts[Invariant.I1] += 1
    findings += invariants.without_stock(held)
    return counts, seen, findings


@asynccontextmanager
async def _books(access: Access) -> AsyncIterator[Books]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        access.mongodb_url, tz_aware=True, readConcernLevel="majority"
    )
    try:
        yield Books(client)
    finally:
        await client.close()


async def _rest(
    access: Access,
    books: Books,
    wait_and_quiet: tuple[float, float],
    progress: Callable[[Mapping[str, int]], None],
) -> Mapping[str, int]:
    """Waits until nothing has moved for a while, and returns what still does when the time is up."""
    wait_seconds, quiet_seconds = wait_and_quiet
    deadline = time.monotonic() + wait_seconds
    quiet_since = time.monotonic()
    while True:
        unrest = {**await broker.waiting(access.management_url), **await books.unrest()}
        progress(unrest)
        now = time.monotonic()
        if unrest:
            quiet_since = now
        if now - quiet_since >= quiet_seconds or (unrest and now > deadline):
            return unrest
        await asyncio.sleep(POLL_SECONDS)


async def _letters(access: Access) -> list[Finding]:
    letters = await broker.dead_letters(access.amqp_url, broker.QUEUES, LETTERS_AT_MOST)
    return [Finding(Invariant.I5, letter.subject or letter.id, letter.summary) for letter in letters]


def show(console: Console, report: Report) -> None:
    table = Table(title="The invariants")
    for heading in ("", "what must hold", "counted", ""):
        table.add_column(heading)
    for invariant, title in TITLES.items():
        found = len(report.of(invariant))
        verdict = f"[bold red]{found} broken[/]" if found else "[green]holds[/]"
        table.add_row(invariant, title, report.counted[invariant], verdict)
    console.print(table)
    grouped: defaultdict[Invariant, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        grouped[finding.invariant].append(finding)
    for invariant, findings in grouped.items():
        for finding in findings[:NAMED_AT_MOST]:
            console.print(
                f"[red]{invariant}[/] {printable(f'{finding.subject}: {finding.what}')}", highlight=False
            )
        if len(findings) > NAMED_AT_MOST:
            console.print(f"[red]{invariant}[/] and {len(findings) - NAMED_AT_MOST} more")
    for finding in report.known:
        console.print(f"[dim]expected: {printable(f'{finding.subject}: {finding.what}')}[/]", highlight=False)


async def check_stack(
    directory: Path, console: Console, expected: Expected | None = None, *, wait_seconds: float = 60
) -> bool:
    """Checks a local stack, prints the table, and returns whether all holds."""
    report = await check(Access.of_stack(directory), expected, wait_seconds=wait_seconds)
    show(console, report)
    return report.sound
