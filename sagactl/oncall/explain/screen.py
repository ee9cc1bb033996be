"""An explanation in the terminal: at most 80 columns, the verdict first, and last what to do."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Final

from sagactl.oncall.explain.explanation import OPEN, Explanation, Hop, HopState, Verdict

WIDTH: Final = 80
LABEL: Final = 14
WORDS: Final = {
    HopState.DONE: "done",
    HopState.ON_ITS_WAY: "on its way",
    HopState.IN_OUTBOX: "in outbox",
    HopState.DEAD_LETTER: "DEAD",
    HopState.DISCARDED: "DISCARDED",
    HopState.MISSING: "MISSING",
    HopState.WITHOUT_EFFECT: "no effect",
    HopState.CANNOT_BE_TOLD: "unknown",
}
# What a letter is to be before its dry run holds.
REDRIVEN: Final = {HopState.DEAD_LETTER: "redriven", HopState.DISCARDED: "restored and redriven"}
STYLES: Final = {
    Verdict.SETTLED: "green",
    Verdict.MOVING: "green",
    Verdict.WAITING: "yellow",
    Verdict.STUCK: "red",
    Verdict.CONTRADICTED: "red",
    Verdict.UNKNOWN: "yellow",
}
# Of which the id is not shown: they have arrived, or nobody misses them.
QUIET: Final = frozenset({HopState.DONE, HopState.WITHOUT_EFFECT})


def lines(told: Explanation) -> Iterator[str]:
    """Plain text, one line each; ids and commands are never broken."""
    yield f"{'order':<{LABEL}}{told.order}"
    yield from _said("verdict", f"{told.verdict.upper()}: {told.because}")
    yield ""
    for book in told.books:
        notes = f", {', '.join(book.notes)}" if book.notes else ""
        yield from _said(book.service, f"{book.state}{notes}")
    if told.hops:
        yield ""
        yield "messages"
    for hop in told.hops:
        yield from _hop(hop)
    yield from _ahead(told)
    for finding in told.findings:
        yield from _said("odd", finding)
    if told.advice:
        yield ""
    for each in told.advice:
        yield from _said("do", each.says)
        if each.command:
            yield f"{'':<{LABEL}}{each.command}"


def _hop(hop: Hop) -> Iterator[str]:
    at = f"{hop.at:%H:%M:%S}" if hop.at else f"sent {hop.sent_at:%H:%M:%S}" if hop.sent_at else ""
    way = f"{hop.publisher} -> {hop.consumer}"
    yield f"  {WORDS[hop.state]:<11}{hop.type:<26}{way:<27}{at}".rstrip()
    if hop.state not in QUIET:
        yield f"{'':<13}{hop.name}"
    if hop.reason and hop.state in OPEN | {HopState.CANNOT_BE_TOLD, HopState.DONE}:
        yield from _indented(hop.reason)
    if hop.redrive is not None and hop.state in REDRIVEN:
        emits = f", emits {', '.join(hop.redrive.emits)}" if hop.redrive.emits else ""
        yield from _indented(f"{REDRIVEN[hop.state]}: {hop.redrive.says}{emits}")


def _ahead(told: Explanation) -> Iterator[str]:
    """What is still to come, and what may be done meanwhile."""
    yield ""
    for each in told.next:
        effects = f": {' | '.join(each.effects)}" if each.effects else ""
        yield from _said("next", f"{each.event} from {each.publisher}{effects}")
    if told.deadline:
        when = _until(told.deadline.at, told.at)
        yield from _said("until", f"{told.deadline.at:%H:%M:%S} UTC ({when}): {told.deadline.what}")
    for action in told.actions:
        emits = f", emits {', '.join(action.emits)}" if action.emits else ""
        yield from _said("may" if action.allowed else "may not", f"{action.name}: {action.says}{emits}")


def _until(at: datetime, now: datetime) -> str:
    left = at - now
    seconds = abs(round(left.total_seconds()))
    minutes, rest = divmod(seconds, 60)
    amount = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"in {amount}" if left > timedelta() else f"{amount} ago"


def _said(label: str, text: str, *, label_width: int = LABEL) -> Sequence[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent=f"{label:<{label_width}}",
        subsequent_indent=" " * label_width,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _indented(text: str) -> Sequence[str]:
    return _said("", text, label_width=13)
