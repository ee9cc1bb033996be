"""The verdict on an order as lists show it, by a single look at many. Pure.

A message that one look does not find may have been on its way from one place to another. The order's own page
looks again, six seconds later: a list says that it may be stuck, and leads there.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from sagactl.oncall.explain.explanation import Glance, Verdict
from services.shared.emails import hidden

MOODS: Final[Mapping[Verdict, str]] = {
    Verdict.SETTLED: "good",
    Verdict.MOVING: "good",
    Verdict.WAITING: "doubtful",
    Verdict.STUCK: "bad",
    Verdict.CONTRADICTED: "bad",
    Verdict.UNKNOWN: "doubtful",
}
# Beside each word, so that none is told by its colour alone.
SHAPES: Final[Mapping[Verdict, str]] = {
    Verdict.SETTLED: "✓",
    Verdict.MOVING: "→",
    Verdict.WAITING: "◔",
    Verdict.STUCK: "‼",
    Verdict.CONTRADICTED: "≠",
    Verdict.UNKNOWN: "?",
}


class Sight(NamedTuple):
    word: str
    shape: str
    mood: str
    # Why, without addresses of customers; empty where nothing is to come.
    because: str


def sight(told: Glance | None) -> Sight | None:
    """None where nobody could look."""
    if told is None:
        return None
    if told.verdict is Verdict.SETTLED:
        return Sight(told.verdict, SHAPES[told.verdict], MOODS[told.verdict], "")
    because = hidden(told.because)
    if told.missing:
        return Sight(f"perhaps {told.verdict}", SHAPES[told.verdict], "doubtful", because)
    return Sight(told.verdict, SHAPES[told.verdict], MOODS[told.verdict], because)
