"""What goes wrong, and when: every place where something can has a stream of chances of its own.

A stream is known by its place and the seed alone. So one fault can be left out, and everything that does not
follow from it stays as it was: that is how a long history is made short.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from random import Random
from typing import Final


class Fault(StrEnum):
    # --- the process, at any of its steps ---------------------------------------------------------------
    KILLED_BEFORE = "killed before it is done"
    KILLED_AFTER = "killed before it hears that it is done"
    # --- the database -----------------------------------------------------------------------------------
    REQUEST_LOST = "the request is lost"
    ANSWER_LOST = "done, and the answer is lost"
    LATE = "no answer, and done later"
    ABORTED = "the server aborts the transaction"
    # --- the broker -------------------------------------------------------------------------------------
    CUT_BEFORE = "the connection is cut before it arrives"
    CUT_AFTER = "the connection is cut after it arrived"
    REFUSED = "refused"
    RETURNED = "no queue"
    DELAYED = "delayed"
    TWICE = "delivered twice"
    # --- Redis ------------------------------------------------------------------------------------------
    HINTS_UNAVAILABLE = "Redis is unavailable"
    HINTS_WRONG = "Redis claims to know what it does not"
    # --- the payment gateway ----------------------------------------------------------------------------
    GATEWAY_DOWN = "the gateway is down"
    GATEWAY_UNHEARD = "the gateway did it, and is not heard"
    # --- for a while ------------------------------------------------------------------------------------
    STALLED = "stands still"
    RESTARTED = "is restarted in good order"
    KILLED = "is killed"
    NO_DATABASE = "does not reach the database"
    NO_BROKER = "does not reach the broker"
    BROKER_STALLED = "the broker stands still"
    BROKER_RESTARTED = "the broker is restarted"


OF_REPLICAS: Final = (
    Fault.STALLED,
    Fault.RESTARTED,
    Fault.KILLED,
    Fault.NO_DATABASE,
    Fault.NO_BROKER,
)
OF_BROKER: Final = (Fault.BROKER_STALLED, Fault.BROKER_RESTARTED)
# Chances per occasion on a bad day, where they are not these.
USUAL: Final = 0.01
RATES: Final[Mapping[Fault, float]] = {
    Fault.KILLED_BEFORE: 0.002,
    Fault.KILLED_AFTER: 0.005,
    Fault.CUT_BEFORE: 0.003,
    Fault.CUT_AFTER: 0.003,
    Fault.REFUSED: 0.01,
    Fault.RETURNED: 0.005,
    Fault.DELAYED: 0.03,
    Fault.TWICE: 0.03,
    Fault.HINTS_WRONG: 0.1,
    Fault.GATEWAY_DOWN: 0.1,
    Fault.GATEWAY_UNHEARD: 0.1,
    **dict.fromkeys((*OF_REPLICAS, *OF_BROKER), 0.1),
}
# How much a fault counts on a given day: runs with few kinds, and much of them, find more than others.
MOODS: Final = (0.0, 0.0, 0.5, 1.0, 3.0, 10.0)

# By how much everything takes longer than usual: on slow days replicas meet.
SLOWNESS: Final = (1.0, 1.0, 20.0)
SLOWEST_SECONDS: Final = 0.5


class Dice:
    """All chances of one run.

    `without`: faults that do not happen, by their names in `fired`. `often`: kinds that happen a lot, while
    no others do, and everything is slow; where it is empty, the seed decides on that.
    """

    def __init__(
        self, seed: object, *, without: Collection[str] = frozenset(), often: Collection[Fault] = frozenset()
    ) -> None:
        self._seed, self._without = seed, without
        mood = Random(f"{seed}/mood")  # noqa: S311  # no secret
        moods = {fault: mood.choice(MOODS) for fault in Fault}
        self.slowness = mood.choice(SLOWNESS)
        if often:
            moods = {fault: max(MOODS) if fault in often else 0.0 for fault in Fault}
            self.slowness = max(SLOWNESS)
        self._rates = {fault: RATES.get(fault, USUAL) * moods[fault] for fault in Fault}
        self._places: dict[str, Place] = {}
        # Once calm, nothing goes wrong any more.
        self.calm = False
        self.fired: list[str] = []

    def at(self, name: str) -> "Place":
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Place(self, name, Random(f"{self._seed}/{name}"))  # noqa: S311  # no secret
        return place

    def happens(self, name: str, fault: Fault) -> bool:
        full = f"{name}: {fault}"
        if self.calm or full in self._without:
            return False
        self.fired.append(full)
        return True

    def rate(self, fault: Fault) -> float:
        return self._rates[fault]


class Place:
    """Where something can go wrong, again and again. `random`: for what else is left to chance there."""

    __slots__ = ("_count", "_dice", "name", "random")

    def __init__(self, dice: Dice, name: str, random: Random) -> None:
        self._dice, self.name, self.random = dice, name, random
        self._count = 0

    def fate(self, *possible: Fault) -> Fault | None:
        """What goes wrong this time, if anything does."""
        self._count += 1
        chance = self.random.random()
        for fault in possible:
            chance -= self._dice.rate(fault)
            if chance < 0:
                return fault if self._dice.happens(f"{self.name} #{self._count}", fault) else None
        return None

    def latency(self) -> float:
        """Mostly a millisecond or so, now and then a lot more (seconds)."""
        chance = self.random.random()
        if chance < 0.98:  # noqa: PLR2004  # see above
            return (0.0005 + 0.002 * chance) * self._dice.slowness
        return SLOWEST_SECONDS * self.random.random()

    def seconds(self, mean: float) -> float:
        return self.random.expovariate(1 / mean)
