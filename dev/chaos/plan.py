"""Which faults come when: pure, so that a seed always tells the same story."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

SHORTEST_SECONDS: Final = 8.0
LONGEST_SECONDS: Final = 25.0


class Round(NamedTuple):
    """One fault, or two at the same time, and how long they last."""

    faults: tuple[str, ...]
    seconds: float

    @property
    def name(self) -> str:
        return " + ".join(self.faults)


def rounds(targets: Mapping[str, str], seed: int) -> Iterator[Round]:
    """Without end: each fault alone, then as many pairs, and so on.

    `targets` says for each fault what it is done to: the two of a pair are done to different things.
    """
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    while True:
        for faults in (*_alone(sorted(targets), chance), *_pairs(targets, chance)):
            yield Round(faults, round(chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS), 1))


def _alone(names: Sequence[str], chance: random.Random) -> list[tuple[str]]:
    return [(name,) for name in chance.sample(names, len(names))]


def _pairs(targets: Mapping[str, str], chance: random.Random) -> list[tuple[str, str]]:
    """Each fault is the first of one pair."""
    names = sorted(targets)
    return [
        (first, chance.choice([each for each in names if targets[each] != targets[first]]))
        for first in chance.sample(names, len(names))
    ]
