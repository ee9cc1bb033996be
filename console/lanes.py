"""An order's messages as a drawing: services by time, each message on its way from one to another. Pure.

Time is not to scale: steps that follow each other within a second are alike far apart, a longer wait is drawn
longer by its logarithm, so that 60 ms and five minutes fit on one page.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from console.words import ago, elapsed
from sagactl.oncall.explain.explanation import Explanation, HopState, Verdict
from services.shared.contract.events import OPTIONAL
from services.shared.contract.identity import HTTP

OUTSIDE: Final = "outside"
# The optional one is the last: it is left out where nothing is drawn in it.
LANES: Final = (OUTSIDE, "order", "inventory", "payment", "notification", "fulfilment")
# In pixels.
STEP: Final = 64.0
LANE: Final = 54.0
LEFT: Final = 110.0
TOP: Final = 124.0
RIGHT: Final = 150.0
BOTTOM: Final = 44.0
OVER: Final = frozenset({Verdict.SETTLED, Verdict.UNKNOWN})


class Command(NamedTuple):
    """What somebody asked of a service: the order itself, to be cancelled, a refund, that its goods go."""

    service: str
    event: str
    at: datetime


class Lane(NamedTuple):
    name: str
    y: float


class Mark(NamedTuple):
    """Where a message arrived, or where it is still to arrive; `number` is that of the list below."""

    x: float
    y: float
    number: int | None
    label: str
    state: str
    title: str
    # Since the order's first step, where that is known.
    after: str = ""


class Arrow(NamedTuple):
    x1: float
    y1: float
    x2: float
    y2: float
    state: str


class Line(NamedTuple):
    """A moment, across all lanes."""

    x: float
    label: str
    kind: str


class Drawing(Struct, frozen=True):
    width: float
    height: float
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    arrows: tuple[Arrow, ...]
    lines: tuple[Line, ...]


class _Moment(NamedTuple):
    """Something happened in a service: a command, or a message that was handled."""

    key: str
    # As far as it is known; else of what caused it.
    at: datetime
    is_known: bool


def draw(told: Explanation, commands: Mapping[str, Command]) -> Drawing:
    """`commands`: by the ids that began something, as the order and its shipment have them."""
    moments = _moments(told, commands)
    places = _places(moments)
    known = [moment.at for moment in moments if moment.is_known]
    first = min(known, default=told.at)
    marks = [*_begun(told, commands, places, first), *_arrived(told, places, moments, first)]
    arrows = [*_asked(told, commands, places), *_travelled(told, places)]
    end = max(places.values(), default=LEFT)
    lines: list[Line] = []
    if told.verdict not in OVER:
        latest = max((moment.at for moment in moments), default=told.at)
        now = end + STEP * _stretch(told.at - latest)
        lines.append(Line(now, "now", "now"))
        end = _ahead(told, now, marks, arrows, lines)
    lanes = _lanes(told)
    return Drawing(
        width=end + RIGHT,
        height=TOP + LANE * len(lanes) + BOTTOM,
        lanes=tuple(Lane(name, _y(name)) for name in lanes),
        marks=tuple(marks),
        arrows=tuple(arrows),
        lines=tuple(lines),
    )


# --- when -------------------------------------------------------------------------------------------------


def _moments(told: Explanation, commands: Mapping[str, Command]) -> Sequence[_Moment]:
    """In the order of time; what has no time of its own stands right behind its cause."""
    found: dict[str, _Moment] = {}
    for hop in told.hops:
        cause = found.get(hop.cause or "")
        if cause is None and hop.cause:
            cause = found[hop.cause] = _beginning(hop.cause, commands, _latest(found, told))
        at = hop.at if hop.state is HopState.DONE else None
        before = cause.at if cause else _latest(found, told)
        # Clocks differ: nothing is drawn before its cause.
        found[hop.name] = _Moment(hop.name, max(at or before, before), at is not None)
    return sorted(found.values(), key=lambda moment: moment.at)


def _beginning(cause: str, commands: Mapping[str, Command], latest: datetime) -> _Moment:
    """What nothing here caused: somebody asked for it, or the clock brought it up."""
    command = commands.get(cause.removeprefix(f"{HTTP}/"))
    return _Moment(cause, command.at if command else latest, command is not None)


def _latest(found: Mapping[str, _Moment], told: Explanation) -> datetime:
    return max((moment.at for moment in found.values()), default=told.hops[0].at or told.at)


def _stretch(gap: timedelta) -> float:
    seconds = gap.total_seconds()
    return 1.0 if seconds <= 1 else 1.0 + math.log10(seconds)


# --- where ------------------------------------------------------------------------------------------------


def _places(moments: Sequence[_Moment]) -> dict[str, float]:
    places: dict[str, float] = {}
    x, before = LEFT, None
    for moment in moments:
        if before is not None:
            x += STEP * _stretch(moment.at - before)
        places[moment.key], before = round(x, 1), moment.at
    return places


def _lanes(told: Explanation) -> Sequence[str]:
    used = {service for hop in told.hops for service in (hop.publisher, hop.consumer)}
    return [name for name in LANES if name not in OPTIONAL or name in used]


def _lane(service: str) -> str:
    return service if service in LANES else OUTSIDE


def _y(lane: str) -> float:
    return TOP + LANE * (LANES.index(lane) + 0.5)


# --- what -------------------------------------------------------------------------------------------------


def _begun(
    told: Explanation, commands: Mapping[str, Command], places: Mapping[str, float], first: datetime
) -> Iterator[Mark]:
    for cause in _causes_outside(told):
        command = commands.get(cause.removeprefix(f"{HTTP}/"))
        if command is not None:
            after = elapsed(command.at - first)
            y = _y(_lane(command.service))
            yield Mark(places[cause], y, None, command.event, "begun", command.event, after)


def _asked(
    told: Explanation, commands: Mapping[str, Command], places: Mapping[str, float]
) -> Iterator[Arrow]:
    for cause in _causes_outside(told):
        command = commands.get(cause.removeprefix(f"{HTTP}/"))
        if command is not None:
            yield Arrow(places[cause], _y(OUTSIDE), places[cause], _y(_lane(command.service)), "done")


def _causes_outside(told: Explanation) -> Sequence[str]:
    names = {hop.name for hop in told.hops}
    return [*dict.fromkeys(hop.cause for hop in told.hops if hop.cause and hop.cause not in names)]


def _arrived(
    told: Explanation, places: Mapping[str, float], moments: Sequence[_Moment], first: datetime
) -> Iterator[Mark]:
    times = {moment.key: moment.at for moment in moments if moment.is_known}
    for number, hop in enumerate(told.hops, start=1):
        after = elapsed(times[hop.name] - first) if hop.name in times else ""
        title = f"{number}. {hop.type}, {hop.publisher} to {hop.consumer}"
        yield Mark(places[hop.name], _y(_lane(hop.consumer)), number, hop.type, hop.state.value, title, after)


def _travelled(told: Explanation, places: Mapping[str, float]) -> Iterator[Arrow]:
    for hop in told.hops:
        x, y = places[hop.name], _y(_lane(hop.consumer))
        begin = places.get(hop.cause or "", x - STEP / 2)
        yield Arrow(begin, _y(_lane(hop.publisher)), x, y, hop.state.value)


def _ahead(told: Explanation, now: float, marks: list[Mark], arrows: list[Arrow], lines: list[Line]) -> float:
    """What is still to come, right of now; returns where that ends."""
    x = now
    for each in told.next:
        x += STEP
        marks.append(Mark(x, _y("order"), None, each.event, "expected", f"expected: {each.event}"))
        arrows.append(Arrow(now, _y(_lane(each.publisher)), x, _y("order"), "expected"))
    if told.deadline is not None:
        x += STEP * _stretch(max(told.deadline.at - told.at, timedelta()))
        lines.append(Line(x, f"sweep {ago(told.deadline.at, told.at)}", "deadline"))
    return x
