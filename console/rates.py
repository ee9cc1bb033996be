"""How fast messages come to a queue and leave it, and both drawn small; by what the broker has noted. Pure.

What left was acknowledged. What came is what left, and what there is more than before: the broker counts what
services publish, and not what comes back from a retry queue.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from sagactl.oncall.waits import Notes

# Notes of so many seconds are one point: the two counts are some seconds apart, and a point tells of both.
POINT_SECONDS: Final = 30
# Of the drawing.
WIDTH: Final = 120
HEIGHT: Final = 28
EDGE: Final = 2


class Point(NamedTuple):
    """Messages a second."""

    into: float
    out: float


class Rates(NamedTuple):
    now: Point
    most: float
    # Of the last ten minutes, as an SVG's `points`.
    into: str
    out: str


def rates(notes: Notes) -> Rates | None:
    """None where the broker has noted nothing, or has only just begun to."""
    points = list(_points(notes))
    if not points:
        return None
    most = max(max(point) for point in points)
    return Rates(
        now=points[-1],
        most=most,
        into=_line([point.into for point in points], most),
        out=_line([point.out for point in points], most),
    )


def _points(notes: Notes) -> Iterator[Point]:
    """The oldest first."""
    left = {sample.at: sample.number for sample in notes.acknowledged}
    # Of a queue from which nothing was ever taken the broker notes how much is in it, and no more.
    known = [each for each in notes.messages if each.at in left or not left]
    apart = max(1, round(POINT_SECONDS / notes.step))
    for sooner, later in pairwise(reversed(known[::apart])):
        out = max(0, left.get(later.at, 0) - left.get(sooner.at, 0))
        into = max(0, later.number - sooner.number + out)
        seconds = later.at - sooner.at
        yield Point(into / seconds, out / seconds)


def _line(values: Sequence[float], most: float) -> str:
    """From the left edge to the right, the most of both lines at the top."""
    wide, high = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    step = wide / max(1, len(values) - 1)
    return " ".join(
        f"{EDGE + number * step:.1f},{EDGE + high * (1 - value / (most or 1)):.1f}"
        for number, value in enumerate(values)
    )
