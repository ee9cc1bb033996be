"""Whether the books agree, by the check that ended last: the condition `Consistent`. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from saga_operator.conditions import Condition
from saga_operator.policy.last_words import LastWords
from saga_operator.policy.summary import timestamp

FAILED = "failed"
"""The verdict of a check that did not come to its end: it could not look, or was killed."""

MESSAGE_AT_MOST = 600
NOT_CHECKED = "no check of the books has ended here yet: sagactl.check.enabled has one run by the clock"


class Ended(NamedTuple):
    """How the container of a check ended."""

    at: datetime
    exit_code: int
    message: str


@dataclass(frozen=True)
class Checked:
    """What the last check came to."""

    at: datetime
    verdict: str
    orders: int = 0
    findings: tuple[tuple[str, int], ...] = ()
    message: str = ""

    @classmethod
    def of(cls, ended: Ended) -> Self:
        try:
            words = LastWords.read(ended.message)
        except ValueError:
            said = " ".join(ended.message.split())[-MESSAGE_AT_MOST:]
            return cls(ended.at, FAILED, message=said or f"it ended with exit code {ended.exit_code}")
        findings = tuple(sorted(words.findings.items()))
        return cls(ended.at, words.verdict, words.orders, findings, words.first[:MESSAGE_AT_MOST])

    @classmethod
    def shown(cls, status: Mapping[str, Any]) -> Self | None:
        """As a SagaMonitor's status remembers it."""
        found = status.get("lastCheck")
        if not found:
            return None
        findings = tuple((each["invariant"], each["number"]) for each in found["findings"])
        at = datetime.fromisoformat(found["time"])
        return cls(at, found["verdict"], found["orders"], findings, found["message"])

    def to_status(self) -> dict[str, Any]:
        """All fields each time: in a merge patch one that is left out would stay as it was."""
        return {
            "time": timestamp(self.at),
            "verdict": self.verdict,
            "orders": self.orders,
            "findings": [{"invariant": name, "number": number} for name, number in self.findings],
            "message": self.message,
        }


def latest(remembered: Checked | None, ended: Iterable[Ended]) -> Checked | None:
    """Pods go, and what they said stays: the newest of both."""
    newest = max(ended, key=lambda each: each.at, default=None)
    if newest is None or (remembered is not None and remembered.at >= newest.at):
        return remembered
    return Checked.of(newest)


def judged(checked: Checked | None, within: timedelta, now: datetime) -> Condition:
    """`within`: for how long a check's answer counts."""
    if checked is None:
        return Condition("Consistent", "Unknown", "NotChecked", NOT_CHECKED)
    ended = f"the check that ended at {timestamp(checked.at)}"
    if now - checked.at > within:
        return Condition(
            "Consistent", "Unknown", "Outdated", f"{ended} was the last, and said {checked.verdict}"
        )
    if checked.verdict == FAILED:
        return Condition("Consistent", "Unknown", "CheckFailed", f"{ended} could not tell: {checked.message}")
    found = ", ".join(f"{name} {number}" for name, number in checked.findings if number)
    told = f"{ended} judged {checked.orders} orders"
    if checked.verdict == "holds":
        return Condition("Consistent", "True", "Holds", f"{told}: every invariant holds")
    if checked.verdict == "waiting":
        return Condition("Consistent", "Unknown", "Waiting", f"{told}; messages are late: {found}")
    return Condition("Consistent", "False", "Broken", f"{told}; broken: {found}, such as {checked.message}")
