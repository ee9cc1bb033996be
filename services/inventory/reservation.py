"""What an order has of the stock, line by line: the table of what each message makes of a line.

The ledger is what makes messages harmless that come twice, late or in the wrong order: counters only ever
move with a line that changes its state.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple

from msgspec import Struct, structs

from services.inventory.stock import GIVE_BACK, HOLD, SELL, TAKE_BACK, Move
from services.shared.contract.decisions import Aggregate, Premature
from services.shared.contract.events import Event, OrderPaid, PaymentFailed, ReleaseStock, ReserveStock

# The one reason for which paid goods come back.
REFUND: Final = "REFUND"


class LineState(StrEnum):
    HELD = "HELD"
    REFUSED = "REFUSED"
    RELEASED = "RELEASED"
    SOLD = "SOLD"


class ReservedLine(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    product_id: str
    state: LineState
    # Held, sold or given back; while REFUSED, asked for. 0: released before it was ever held.
    quantity: int
    # Why it was released.
    reason: str | None = None
    # How many there were when it was refused.
    available: int = 0

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


class Reservation(Aggregate, frozen=True, kw_only=True):
    """One an order. Lines are released one by one, or all of them, present and future, by the tombstone."""

    collection: ClassVar[str] = "reservations"
    lines: tuple[ReservedLine, ...] = ()
    # Why the whole order was released, if it was.
    tombstone: str | None = None
    # What contradicts the ledger: for a human to look at.
    attention: tuple[str, ...] = ()
    updated_at: datetime | None = None

    def line(self, product_id: str) -> ReservedLine | None:
        """The line of a product. Under the tombstone every product has one."""
        found = next((line for line in self.lines if line.product_id == product_id), None)
        if found is None and self.tombstone is not None:
            return ReservedLine(
                product_id=product_id, state=LineState.RELEASED, quantity=0, reason=self.tombstone
            )
        return found


class Ask(NamedTuple):
    """What a message wants of one line."""

    event: type[Event]
    product_id: str
    # None where the message does not say.
    quantity: int | None = None
    # Of a release.
    reason: str | None = None
    # Of a reservation: whether the line can be had, and how many there are.
    granted: bool = True
    available: int = 0


Condition = Callable[[ReservedLine | None, Ask], bool]


class Rule(NamedTuple):
    """What becomes of a line, and of the stock. None: the line stays as it is."""

    becomes: LineState | None
    move: Move | None = None
    when: Condition = lambda _line, _ask: True
    otherwise: "Rule | None" = None
    attention: str | None = None
    premature: str | None = None


def granted(_: ReservedLine | None, ask: Ask) -> bool:
    return ask.granted


def refund(_: ReservedLine | None, ask: Ask) -> bool:
    return ask.reason == REFUND


def by_refund(line: ReservedLine | None, _: Ask) -> bool:
    return line is not None and line.reason == REFUND


NONE: Final = None
HELD, REFUSED, RELEASED, SOLD = LineState.HELD, LineState.REFUSED, LineState.RELEASED, LineState.SOLD
STAYS: Final = Rule(None)
NOT_UNSOLD: Final = Rule(None, attention="was to be released, but is sold: paid goods are not un-sold")
NOT_SOLD: Final = Rule(None, attention="was paid, but is not held any more")

LINES: Final[dict[tuple[LineState | None, type[Event]], Rule]] = {
    (NONE, ReserveStock): Rule(HELD, HOLD, when=granted, otherwise=Rule(REFUSED)),
    (NONE, ReleaseStock): Rule(RELEASED),
    (NONE, PaymentFailed): Rule(RELEASED),
    (NONE, OrderPaid): Rule(None, premature="is paid before it is reserved"),
    # Not granted: it came line by line before, and `all` of the order cannot be had now.
    (HELD, ReserveStock): Rule(None, when=granted, otherwise=Rule(RELEASED, GIVE_BACK)),
    (HELD, ReleaseStock): Rule(RELEASED, GIVE_BACK),
    (HELD, PaymentFailed): Rule(RELEASED, GIVE_BACK),
    (HELD, OrderPaid): Rule(SOLD, SELL),
    (SOLD, ReserveStock): STAYS,
    (SOLD, ReleaseStock): Rule(RELEASED, TAKE_BACK, when=refund, otherwise=NOT_UNSOLD),
    (SOLD, PaymentFailed): NOT_UNSOLD,
    (SOLD, OrderPaid): STAYS,
    (REFUSED, ReserveStock): STAYS,
    (REFUSED, ReleaseStock): STAYS,
    (REFUSED, PaymentFailed): STAYS,
    (REFUSED, OrderPaid): NOT_SOLD,
    # Late reservations find the tombstone; so does a payment that its own refund overtook.
    (RELEASED, ReserveStock): STAYS,
    (RELEASED, ReleaseStock): STAYS,
    (RELEASED, PaymentFailed): STAYS,
    (RELEASED, OrderPaid): Rule(None, when=by_refund, otherwise=NOT_SOLD),
}


class Step(NamedTuple):
    """A line after a message, the stock that moves with it, and what is odd about it."""

    line: ReservedLine
    move: Move | None = None
    attention: tuple[str, ...] = ()


def step(line: ReservedLine | None, ask: Ask) -> Step:
    """Applies the table to one line. Raises Premature when the message is ahead of its cause."""
    rule = LINES[line.state if line else NONE, ask.event]
    if not rule.when(line, ask):
        assert rule.otherwise is not None  # noqa: S101  # of the table: whoever has a `when` has this
        rule = rule.otherwise
    if rule.premature:
        raise Premature(f"{ask.product_id} {rule.premature}")
    odd = tuple(f"{ask.product_id} {oddity}" for oddity in (rule.attention, _mismatch(line, ask)) if oddity)
    return Step(_become(line, ask, rule), rule.move, odd)


def _become(line: ReservedLine | None, ask: Ask, rule: Rule) -> ReservedLine:
    if line is None:
        assert rule.becomes is not None  # noqa: S101  # of the table: out of nothing comes a line
        line = ReservedLine(
            product_id=ask.product_id,
            state=rule.becomes,
            quantity=ask.quantity or 0,
            available=ask.available if rule.becomes is REFUSED else 0,
        )
    if rule.becomes is RELEASED:
        return structs.replace(line, state=RELEASED, reason=ask.reason)
    return line if rule.becomes is None else structs.replace(line, state=rule.becomes)


def _mismatch(line: ReservedLine | None, ask: Ask) -> str | None:
    if line is None or ask.quantity is None or line.quantity in {0, ask.quantity}:
        return None
    return f"is {line.quantity} here, and {ask.quantity} in {ask.event.type}"
