"""What an order has of the stock, line by line.

The ledger is what makes messages harmless that come twice, late or in the wrong order: counters only ever
move with a line that changes its state.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct

from services.shared.contract.decisions import Standing
from services.shared.contract.events import Line
from services.shared.contract.table import Watched


class LineState(StrEnum):
    HELD = "HELD"
    REFUSED = "REFUSED"
    RELEASED = "RELEASED"
    SOLD = "SOLD"


# Nothing happens by itself any more.
ENDS: Final = (LineState.REFUSED, LineState.RELEASED, LineState.SOLD)


class ReservedLine(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    product_id: str
    state: LineState
    # Held, sold or given back; while REFUSED, asked for. 0: released before it was ever held.
    quantity: int
    # Why it was released.
    reason: str | None = None
    # How many there were when it was refused.
    available: int = 0
    # How many of them came back by refunds of some pieces each.
    returned: int = 0

    @property
    def left(self) -> int:
        """How many pieces the line holds, or has sold."""
        return self.quantity - self.returned

    @property
    def is_kept(self) -> bool:
        return self.state in {LineState.HELD, LineState.SOLD}

    @property
    def is_short(self) -> bool:
        """Refused, and not for the sake of other lines."""
        return self.state is LineState.REFUSED and self.available < self.quantity

    @property
    def is_given_back(self) -> bool:
        return self.state is LineState.RELEASED and self.quantity > 0


class Return(Struct, frozen=True, rename="camel"):
    """What came back by one refund: asked for again, it is answered, and moves nothing."""

    refund_request_id: str
    lines: tuple[Line, ...]


class Reservation(Watched, frozen=True, kw_only=True):
    """One an order. Lines are released one by one, or all of them, present and future, by the tombstone."""

    collection: ClassVar[str] = "reservations"
    lines: tuple[ReservedLine, ...] = ()
    returns: tuple[Return, ...] = ()
    # Why the whole order was released, if it was.
    tombstone: str | None = None
    updated_at: datetime | None = None

    @property
    def standing(self) -> Standing:
        """The state of its lines, or how many are in which."""
        states = [line.state for line in self.lines]
        if all(state is states[0] for state in states):
            state: str = states[0] if states else LineState.RELEASED
        else:
            state = ", ".join(f"{states.count(each)} {each}" for each in dict.fromkeys(states))
        return Standing(self.id, state, (*self._notes(), *self.contradictions))

    def _notes(self) -> Iterator[str]:
        for line in self.lines:
            if line.reason:
                yield line.reason
            elif line.returned:
                yield f"{line.returned} of {line.quantity} of product {line.product_id} came back"
            elif line.is_short:
                yield f"{line.quantity} of product {line.product_id} asked for, {line.available} available"
        if self.tombstone:
            yield self.tombstone

    def returned_by(self, refund_request_id: str) -> Return | None:
        return next((each for each in self.returns if each.refund_request_id == refund_request_id), None)

    def line(self, product_id: str) -> ReservedLine | None:
        """The line of a product. Under the tombstone every product has one."""
        found = next((line for line in self.lines if line.product_id == product_id), None)
        if found is None and self.tombstone is not None:
            return ReservedLine(
                product_id=product_id, state=LineState.RELEASED, quantity=0, reason=self.tombstone
            )
        return found
