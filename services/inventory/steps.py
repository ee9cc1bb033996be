"""The words that the table of lines is written in: when a row holds, what it records, which stock moves."""

from typing import Final, NamedTuple

from msgspec import structs

from services.inventory.reservation import LineState, ReservedLine
from services.inventory.stock import GIVE_BACK, HOLD, SELL, TAKE_BACK, Move
from services.shared.contract.events import Event

# The one reason for which paid goods come back.
REFUND: Final = "REFUND"


class Ask(NamedTuple):
    """What a message wants of one line."""

    event: type[Event]
    product_id: str
    # None where the message does not say.
    quantity: int | None = None
    # Of a release.
    reason: str | None = None
    # Of a refund by line: how many of its pieces come back.
    pieces: int | None = None
    # Of a reservation: whether the line can be had, and how many there are.
    granted: bool = True
    available: int = 0


def blank(ask: Ask) -> ReservedLine:
    """A line that nothing happened to yet: the table's row gives it its first state."""
    return ReservedLine(product_id=ask.product_id, state=LineState.REFUSED, quantity=ask.quantity or 0)


# --- guards -----------------------------------------------------------------------------------------------


def granted(_: ReservedLine, ask: Ask) -> bool:
    return ask.granted


def by_a_refund(_: ReservedLine, ask: Ask) -> bool:
    return ask.reason == REFUND


def of_pieces(_: ReservedLine, ask: Ask) -> bool:
    return ask.pieces is not None


def of_more_than_is_left(line: ReservedLine, ask: Ask) -> bool:
    return ask.pieces is not None and ask.pieces > line.left


def of_all_that_is_left(line: ReservedLine, ask: Ask) -> bool:
    return ask.pieces == line.left


def refunded_before(line: ReservedLine, _: Ask) -> bool:
    return line.reason == REFUND


# --- what is recorded -------------------------------------------------------------------------------------


def found_short(line: ReservedLine, ask: Ask) -> ReservedLine:
    return structs.replace(line, available=ask.available)


def released(line: ReservedLine, ask: Ask) -> ReservedLine:
    return structs.replace(line, reason=ask.reason)


def returned(line: ReservedLine, ask: Ask) -> ReservedLine:
    return structs.replace(line, returned=line.returned + (ask.pieces or 0))


def returned_at_last(line: ReservedLine, ask: Ask) -> ReservedLine:
    return released(returned(line, ask), ask)


# --- which stock moves ------------------------------------------------------------------------------------


def hold(_: ReservedLine, __: Ask) -> Move:
    return HOLD


def give_back(_: ReservedLine, __: Ask) -> Move:
    return GIVE_BACK


def sell(_: ReservedLine, __: Ask) -> Move:
    return SELL


def take_back(_: ReservedLine, __: Ask) -> Move:
    return TAKE_BACK
