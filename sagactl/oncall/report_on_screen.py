"""What `sagactl check` found, as a table for people; and the check of a local stack, which ends with it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table

from sagactl.access import Access
from sagactl.oncall.check import Expected, check
from sagactl.oncall.invariants import TITLES, Finding, Invariant
from sagactl.oncall.report import SENTENCES, Report, Verdict, verdict
from sagactl.screen import printable
from sagactl.wording import plural

NAMED_AT_MOST: Final = 20
COLOURS: Final = {Verdict.HOLDS: "green", Verdict.WAITING: "yellow", Verdict.BROKEN: "bold red"}


def show(console: Console, report: Report) -> None:
    for part in screen(report):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def screen(report: Report) -> Iterator[RenderableType]:
    """The invariants in a table, then the findings, then what they come to."""
    table = Table(title="The invariants")
    for heading in ("", "what must hold", "counted", ""):
        table.add_column(heading)
    for invariant, title in TITLES.items():
        if invariant not in report.counted:
            continue
        found = report.of(invariant)
        table.add_row(invariant.label, title, report.counted[invariant], _cell(found))
    yield table
    for invariant in TITLES:
        yield from _named(invariant, report.of(invariant))
    for finding in report.known:
        yield f"[dim]expected: {printable(f'{finding.subject}: {finding.what}')}[/]"
    if report.in_doubt:
        yield printable(in_doubt(report.in_doubt))
    for note in report.notes[:NAMED_AT_MOST]:
        yield f"[cyan]note[/] {printable(f'{note.subject}: {note.what}')}"
    if len(report.notes) > NAMED_AT_MOST:
        yield f"[cyan]note[/] and {len(report.notes) - NAMED_AT_MOST} more"
    yield f"[{COLOURS[report.verdict]}]{SENTENCES[report.verdict]}[/]"


def in_doubt(orders: Sequence[str]) -> str:
    some = ", ".join(orders[:NAMED_AT_MOST])
    more = len(orders) - NAMED_AT_MOST
    return (
        f"in doubt: {plural(len(orders), 'order')} ({some}{f' and {more} more' if more > 0 else ''}): what"
        " each waits for may be in a queue that was never empty. Look again, or ask sagactl explain."
    )


def _cell(findings: Sequence[Finding]) -> str:
    """One verdict in a table's cell; those that are broken are counted, or else those that wait."""
    of = verdict(findings)
    number = sum(not each.waiting for each in findings) or len(findings)
    return f"[{COLOURS[of]}]{number or ''} {of}[/]".replace("] ", "]")


def _named(invariant: Invariant, findings: Sequence[Finding]) -> Iterator[str]:
    """The findings about one invariant, the broken ones first, and not more than a screen takes."""
    for finding in sorted(findings, key=lambda each: each.waiting)[:NAMED_AT_MOST]:
        colour = COLOURS[verdict([finding])]
        text = printable(f"{finding.subject}: {finding.what}")
        yield f"[{colour}]{invariant.label}[/] {text}"
    if len(findings) > NAMED_AT_MOST:
        yield f"{invariant.label} and {len(findings) - NAMED_AT_MOST} more"


async def check_stack(
    directory: Path, console: Console, expected: Expected | None = None, *, wait_seconds: float = 60
) -> bool:
    """Checks a local stack, prints the table, and returns whether all holds."""
    report = await check(Access.of_stack(directory), expected, wait_seconds=wait_seconds)
    show(console, report)
    return report.sound
