"""What has not come to rest, and whether it moves: under traffic something is always under way."""

from collections.abc import Mapping
from typing import NamedTuple


class Waiting(NamedTuple):
    """How many wait in one place, and what tells later whether they are the same or others."""

    number: int
    marks: frozenset[str]


Unrest = Mapping[str, Waiting]


def standing(before: Unrest, after: Unrest) -> Mapping[str, int]:
    """Place -> how many wait there, of the places in which something has waited all the time."""
    return {
        place: waiting.number
        for place, waiting in after.items()
        if place in before and waiting.marks & before[place].marks
    }
