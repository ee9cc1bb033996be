"""What `sagactl check` found, and its verdict. Pure."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from saga_operator.policy.last_words import LastWords
from sagactl.documents import Document
from sagactl.oncall.invariants import Finding, Invariant


class Verdict(StrEnum):
    HOLDS = "holds"
    WAITING = "waiting"
    """Nothing is wrong that messages on their way may not cure: a service is down, or slow."""
    BROKEN = "broken"


class Note(Struct, frozen=True, rename="camel"):
    """What is no fault of the books, and somebody may have something to do about."""

    # The id of a webhook endpoint, or of a mail.
    subject: str
    what: str


class Report(NamedTuple):
    # Of those that were asked for.
    counted: Mapping[Invariant, str]
    findings: Sequence[Finding]
    # Findings about those that were expected to have some.
    known: Sequence[Finding]
    # How many orders were looked at.
    orders: int = 0
    # What is no fault of the books.
    notes: Sequence[Note] = ()
    # Orders that seem wrong, and for which a message may be on its way: in a shop at work nobody can tell.
    in_doubt: Sequence[str] = ()

    @property
    def sound(self) -> bool:
        return not self.findings

    @property
    def verdict(self) -> Verdict:
        return verdict(self.findings)

    def of(self, invariant: Invariant) -> list[Finding]:
        return [finding for finding in self.findings if finding.invariant is invariant]

    def only(self, invariants: Collection[Invariant]) -> "Report":
        """Of these invariants; of all where there are none."""
        if not invariants:
            return self
        return Report(
            {each: text for each, text in self.counted.items() if each in invariants},
            [each for each in self.findings if each.invariant in invariants],
            [each for each in self.known if each.invariant in invariants],
            self.orders,
            # Like what is listed of orders: with what is to be explained.
            self.notes if Invariant.EXPLAINED in invariants else (),
            self.in_doubt,
        )

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
            notes=tuple(self.notes),
            in_doubt=tuple(self.in_doubt),
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
    # By the invariant's name: what it was asked of. Those that were not asked for are not among them.
    counted: dict[str, str]
    findings: tuple[Found, ...]
    # Those that were expected.
    known: tuple[Found, ...]
    # What is no fault of the books: webhook endpoints that are disabled, mails that wait.
    notes: tuple[Note, ...] = ()
    # Orders that seem wrong, and for which a message may be in a queue that was never seen empty, or that
    # moved while they were looked at.
    in_doubt: tuple[str, ...] = ()


def verdict(findings: Collection[Finding]) -> Verdict:
    """Of all findings together: one that no message cures breaks it."""
    if any(not finding.waiting for finding in findings):
        return Verdict.BROKEN
    return Verdict.WAITING if findings else Verdict.HOLDS


SENTENCES: Final = {
    Verdict.HOLDS: "Every invariant holds.",
    Verdict.WAITING: "Nothing is broken, but something is still to come. If this stays, sagactl status says"
    " which service is down or slow, or that the payment gateway refuses a refund.",
    Verdict.BROKEN: "Broken: no message that is on its way can put this right.",
}
