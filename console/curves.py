"""How the shop's numbers went over the last two hours, drawn small; by what this replica has seen. Pure.

Where nothing was seen the line has a gap: it is not drawn as if nothing had been there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Final, NamedTuple, TypeAlias

from console.words import elapsed

SHOWN: Final = timedelta(hours=2)
# Of the drawing.
WIDTH: Final = 160
HEIGHT: Final = 28
EDGE: Final = 2
# What was seen at a moment, if it was.
Seen: TypeAlias = tuple[datetime, float | None]


class Sample(NamedTuple):
    """What was seen at a moment; None for what could not be."""

    at: datetime
    # Orders a second.
    placed: float | None
    # New orders that were refused, a second.
    shed: float | None
    # Orders that have not come to their first end.
    under_way: int | None
    open_orders: int | None
    marked: int | None
    letters: int | None
    unsent: int | None
    # Seconds.
    settled: float | None
    # Of 1: orders that were not settled within what is promised.
    late: float | None


class Curve(NamedTuple):
    # An SVG's `points`, a line for each stretch without a gap.
    lines: tuple[str, ...]
    # The same in words.
    says: str


class Curves(NamedTuple):
    """None of what was seen less than twice."""

    placed: Curve | None = None
    shed: Curve | None = None
    ended: Curve | None = None
    settled: Curve | None = None
    late: Curve | None = None
    open_orders: Curve | None = None
    marked: Curve | None = None
    letters: Curve | None = None
    unsent: Curve | None = None


def curves(samples: Sequence[Sample], now: datetime) -> Curves:
    """`samples`: the oldest first."""
    there = [each for each in samples if each.at >= now - SHOWN]

    def seen(name: str) -> Sequence[Seen]:
        return [(each.at, getattr(each, name)) for each in there]

    return Curves(
        placed=_curve(seen("placed"), now, a_second),
        shed=_curve(seen("shed"), now, a_second),
        ended=_curve([(later.at, ended(sooner, later)) for sooner, later in pairwise(there)], now, a_second),
        settled=_curve(seen("settled"), now, lambda value: elapsed(timedelta(seconds=value))),
        late=_curve(seen("late"), now, share),
        open_orders=_curve(seen("open_orders"), now),
        marked=_curve(seen("marked"), now),
        letters=_curve(seen("letters"), now),
        unsent=_curve(seen("unsent"), now),
    )


def ended(sooner: Sample, later: Sample) -> float | None:
    """How many orders came to their first end, a second: what was placed, and is not under way. None where
    nobody can tell.

    The database has no index of when an order ended, and counts nothing that is over.
    """
    seconds = (later.at - sooner.at).total_seconds()
    if later.placed is None or sooner.under_way is None or later.under_way is None or seconds <= 0:
        return None
    return max(0.0, later.placed - (later.under_way - sooner.under_way) / seconds)


def a_second(rate: float) -> str:
    return f"{rate:.1f}"


def share(of_one: float) -> str:
    return f"{100 * of_one:.1f} %"


def _curve(seen: Sequence[Seen], now: datetime, say: Callable[[float], str] = "{:g}".format) -> Curve | None:
    known = [(at, value) for at, value in seen if value is not None]
    if len(known) < 2:  # noqa: PLR2004  # a line has two ends
        return None
    values = [value for _, value in known]
    least, most = min(values), max(values)
    told = [say(least), say(most)]
    says = f"{told[0]} all the time" if told[0] == told[1] else f"{told[0]} to {told[1]}"
    return Curve(
        tuple(_line(stretch, now, most) for stretch in _stretches(seen)),
        f"{says} in {elapsed(now - known[0][0])}",
    )


def _stretches(seen: Iterable[Seen]) -> Iterator[Sequence[tuple[datetime, float]]]:
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
