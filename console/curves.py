"""How the shop's numbers went over the last two hours, drawn small; by what this replica has seen. Pure.

Where nothing was seen the line has a gap: it is not drawn as if nothing had been there.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from console.words import elapsed

SHOWN: Final = timedelta(hours=2)
# Of the drawing.
WIDTH: Final = 160
HEIGHT: Final = 28
EDGE: Final = 2


class Sample(NamedTuple):
    """What was seen at a moment; None for what could not be."""

    at: datetime
    open_orders: int | None
    marked: int | None
    letters: int | None
    unsent: int | None
    # Seconds.
    settled: float | None


class Curve(NamedTuple):
    # An SVG's `points`, a line for each stretch without a gap.
    lines: tuple[str, ...]
    # The same in words.
    says: str


class Curves(NamedTuple):
    """None of what was seen less than twice."""

    open_orders: Curve | None = None
    marked: Curve | None = None
    letters: Curve | None = None
    unsent: Curve | None = None
    settled: Curve | None = None


def curves(samples: Sequence[Sample], now: datetime) -> Curves:
    """`samples`: the oldest first."""
    there = [each for each in samples if each.at >= now - SHOWN]
    return Curves(
        *(
            _curve([(each.at, getattr(each, name)) for each in there], now, seconds=name == "settled")
            for name in Curves._fields
        )
    )


def _curve(seen: Sequence[tuple[datetime, float | None]], now: datetime, *, seconds: bool) -> Curve | None:
    known = [(at, value) for at, value in seen if value is not None]
    if len(known) < 2:  # noqa: PLR2004  # a line has two ends
        return None
    values = [value for _, value in known]
    least, most = min(values), max(values)
    told = [elapsed(timedelta(seconds=each)) if seconds else f"{each:g}" for each in (least, most)]
    says = f"{told[0]} all the time" if least == most else f"{told[0]} to {told[1]}"
    return Curve(
        tuple(_line(stretch, now, most) for stretch in _stretches(seen)),
        f"{says} in {elapsed(now - known[0][0])}",
    )


def _stretches(seen: Iterable[tuple[datetime, float | None]]) -> Iterator[Sequence[tuple[datetime, float]]]:
    for is_known, stretch in groupby(seen, key=lambda each: each[1] is not None):
        if is_known:
            yield [(at, value) for at, value in stretch if value is not None]


def _line(stretch: Sequence[tuple[datetime, float]], now: datetime, most: float) -> str:
    """Now is at the right edge, two hours ago at the left; the most at the top."""
    wide, high = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    points = (
        f"{EDGE + wide * (1 - (now - at) / SHOWN):.1f},{EDGE + high * (1 - value / (most or 1)):.1f}"
        for at, value in stretch
    )
    return " ".join(points)
