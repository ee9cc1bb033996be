"""The stock of one product: pieces move between counters, and are never made or lost on the way."""

from enum import StrEnum
from typing import ClassVar, Final, NamedTuple

from msgspec import structs

from services.shared.contract.decisions import Aggregate

# What `events.Count` can say, with which a refusal tells how much there is.
LARGEST: Final = 1_000_000_000


class Counter(StrEnum):
    AVAILABLE = "available"
    RESERVED = "reserved"
    SOLD = "sold"


class Move(NamedTuple):
    source: Counter
    target: Counter


HOLD: Final = Move(Counter.AVAILABLE, Counter.RESERVED)
GIVE_BACK: Final = Move(Counter.RESERVED, Counter.AVAILABLE)
SELL: Final = Move(Counter.RESERVED, Counter.SOLD)
TAKE_BACK: Final = Move(Counter.SOLD, Counter.AVAILABLE)


class Stock(Aggregate, frozen=True, kw_only=True):
    """available + reserved + sold == initial + restocked + adjusted, always.

    None of the first three is negative.
    """

    collection: ClassVar[str] = "stock"
    available: int = 0
    reserved: int = 0
    sold: int = 0
    initial: int = 0
    restocked: int = 0
    # What counting found to be more, or less, than was known.
    adjusted: int = 0
    # How often it changed. `version` counts the writes, and a write may have several changes.
    revision: int = 0
    # Not to be reserved any more. What is held or sold stays.
    discontinued: bool = False
    # False: a tombstone. Its deletion was heard of before its creation.
    created: bool = True

    @property
    def on_offer(self) -> int:
        """How many pieces a new reservation can have."""
        return 0 if self.discontinued else self.available

    def moved(self, move: Move, quantity: int) -> "Stock":
        return self._changed(
            **{
                move.source: getattr(self, move.source) - quantity,
                move.target: getattr(self, move.target) + quantity,
            }
        )

    def created_with(self, initial: int) -> "Stock":
        return self._changed(initial=initial, available=initial, created=True)

    def restocked_by(self, quantity: int) -> "Stock":
        return self._changed(available=self.available + quantity, restocked=self.restocked + quantity)

    def adjusted_by(self, delta: int) -> "Stock":
        return self._changed(available=self.available + delta, adjusted=self.adjusted + delta)

    def ended(self) -> "Stock":
        return self._changed(discontinued=True)

    def _changed(self, **fields: int) -> "Stock":
        return structs.replace(self, revision=self.revision + 1, **fields)

    @property
    def came(self) -> int:
        """How many pieces there are, or were sold."""
        return self.initial + self.restocked + self.adjusted
