"""The life of every order in the logs: one line per step, of whatever service.

A line is written after the commit, so that it is true; only a crash in between can lose one. It costs some
microseconds of the milliseconds that an order takes, so none is left out.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from services.shared import telemetry
from services.shared.contract.decisions import Aggregate, Message, Verdict
from services.shared.logs import Lines

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What a message made of the aggregate that it is about."""

    message: Message
    before: Aggregate | None
    after: Aggregate
    verdict: Verdict = Verdict.APPLIED
    # Its commit ended without an answer, and was found to have taken place.
    answer_lost: bool = False


LEVEL_OF: Final = {Verdict.APPLIED: logging.INFO, Verdict.ATTENTION: logging.WARNING}


def write(steps: Iterable[Step]) -> None:
    """Tells of committed steps, as far as they are of an order's life; all of a batch with one record."""
    told: dict[int, list[Mapping[str, Any]]] = {}
    for step in steps:
        level = LEVEL_OF[step.verdict]
        if log.isEnabledFor(level) and (line := line_of(step)) is not None:
            told.setdefault(level, []).append(line)
    for level, lines in told.items():
        log.log(level, Lines(lines))


def line_of(step: Step) -> Mapping[str, Any] | None:
    """None for what belongs to no order."""
    message, after = step.message, step.after.standing
    if after is None:
        return None
    before = step.before.standing if step.before is not None else None
    event: str = message.body.type  # type: ignore[attr-defined]  # an event, or a command of that form
    was, known = (None, ()) if before is None else (before.state, before.notes)
    reason = "; ".join([note for note in dict.fromkeys(after.notes) if note not in known])
    if step.answer_lost:
        reason = "committed, though the database's answer was lost"
    return {
        "message": _sentence(event, was, after.state, reason),
        "order_id": after.order_id,
        "event": event,
        "from": was,
        "to": after.state,
        "reason": reason,
        "event_id": message.id,
        "trace_id": message.trace_id,
        "request_id": telemetry.request_of(message.tracestate),
    }


def _sentence(event: str, was: str | None, state: str, reason: str) -> str:
    way = state if was is None else f"still {state}" if was == state else f"{was} -> {state}"
    why = reason.removeprefix(f"{event}: ")  # where an order is cancelled for what came
    return f"{way} on {event}: {why}" if why else f"{way} on {event}"
