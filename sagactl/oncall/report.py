"""What `sagactl check` found: a verdict, as a table for people and as JSON for programs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from rich.console import Console, RenderableType
from rich.table import Table

from saga_operator.policy.last_words import LastWords
from sagactl.documents import Document
from sagactl.oncall.invariants import TITLES, Finding, Invariant
from sagactl.screen import printable

NAMED_AT_MOST: Final = 20


class Verdict(StrEnum):
    HOLDS = "holds"
    WAITING = "waiting"
    """Nothing is wrong that messages on their way may not cure: a service is down, or slow."""
    BROKEN = "broken"


class Report(NamedTuple):
    counted: Mapping[Invariant, str]
    findings: Sequence[Finding]
    # Findings about those that were expected to have some.
    known: Sequence[Finding]
    # How many orders were looked at.
    orders: int = 0

    @property
    def sound(self) -> bool:
        return not self.findings

    @property
    def verdict(self) -> Verdict:
        return verdict(self.findings)

    def of(self, invariant: Invariant) -> list[Finding]:
        return [finding for finding in self.findings if finding.invariant is invariant]

    @property
    def last_words(self) -> LastWords:
        found = sorted(self.findings, key=lambda each: each.waiting)
        first = f"{found[0].subject}: {found[0].what}" if found else ""
        numbers = {invariant.name: len(self.of(invariant)) for invariant in Invariant}
        return LastWords(self.verdict, self.orders, numbers, first)

    @property
    def document(self) -> "CheckReport":
        return CheckReport(
            verdict=self.verdict,
            sound=self.sound,
            orders=self.orders,
            counted={invariant.name: text for invariant, text in self.counted.items()},
            findings=tuple(map(Found.of, self.findings)),
            known=tuple(map(Found.of, self.known)),
        )


class Found(Struct, frozen=True, rename="camel"):
    """What is wrong of something."""

    invariant: Invariant
    name: str
    # The order, product or outbox that it is said of.
    subject: str
    what: str
    # Whether messages on their way may put it right.
    waiting: bool

    @classmethod
    def of(cls, finding: Finding) -> "Found":
        return cls(finding.invariant, finding.invariant.name, finding.subject, finding.what, finding.waiting)


class CheckReport(Document, frozen=True, kw_only=True):
    verdict: Verdict
    sound: bool
    # How many were looked at.
    orders: int
    # By the invariant's name: what it was asked of.
    counted: dict[str, str]
    findings: tuple[Found, ...]
    # Those that were expected.
    known: tuple[Found, ...]


def verdict(findings: Collection[Finding]) -> Verdict:
    """Of all findings together: one that no message cures breaks it."""
    if any(not finding.waiting for finding in findings):
        return Verdict.BROKEN
    return Verdict.WAITING if findings else Verdict.HOLDS


COLOURS: Final = {Verdict.HOLDS: "green", Verdict.WAITING: "yellow", Verdict.BROKEN: "bold red"}
SENTENCES: Final = {
    Verdict.HOLDS: "Every invariant holds.",
    Verdict.WAITING: "Nothing is broken, but something is still to come. If this stays, sagactl status says"
    " which service is down or slow, or that the payment gateway refuses a refund.",
    Verdict.BROKEN: "Broken: no message that is on its way can put this right.",
}


def show(console: Console, report: Report) -> None:
    for part in screen(report):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def screen(report: Report) -> Iterator[RenderableType]:
    """The invariants in a table, then the findings, then what they come to."""
    table = Table(title="The invariants")
    for heading in ("", "what must hold", "counted", ""):
        table.add_column(heading)
    for invariant, title in TITLES.items():
        found = report.of(invariant)
        table.add_row(invariant.label, title, report.counted[invariant], _cell(found))
    yield table
    for invariant in TITLES:
        yield from _named(invariant, report.of(invariant))
    for finding in report.known:
        yield f"[dim]expected: {printable(f'{finding.subject}: {finding.what}')}[/]"
    yield f"[{COLOURS[report.verdict]}]{SENTENCES[report.verdict]}[/]"


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
