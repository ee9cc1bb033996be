"""Reserved lines, as one table: what each message makes of a line, and the stock that moves with it."""

from typing import Final, NamedTuple

from services.inventory.reservation import LineState, ReservedLine
from services.inventory.steps import (
    Ask,
    blank,
    by_a_refund,
    found_short,
    give_back,
    granted,
    hold,
    of_all_that_is_left,
    of_more_than_is_left,
    of_pieces,
    refunded_before,
    released,
    returned,
    returned_at_last,
    sell,
    take_back,
)
from services.inventory.stock import Move
from services.shared.contract.decisions import Premature
from services.shared.contract.events import OrderPaid, PaymentFailed, ReleaseStock, ReserveStock
from services.shared.contract.table import NEW, STAYS, Attention, Duplicate, Step, Table, TooEarly

HELD, REFUSED, RELEASED, SOLD = LineState.HELD, LineState.REFUSED, LineState.RELEASED, LineState.SOLD

_GIVEN_BACK: Final = Step(RELEASED, released, (give_back,))
_NOT_UNSOLD: Final = Attention("was to be released, but is sold: paid goods are not un-sold")
_MORE_THAN_IS_LEFT: Final = Attention("was to be returned, but less of it is left", when=of_more_than_is_left)
_NOT_KEPT: Final = Attention("was to be returned, but is not kept", when=of_pieces)
_RETURN_THE_REST: Final = Step(RELEASED, returned_at_last, when=of_all_that_is_left)
_RETURN_SOME: Final = Step(STAYS, returned, when=of_pieces)
_NOT_SOLD: Final = Attention("was paid, but is not held any more")

# The rows of a cell are tried in turn; the last one always holds.
LINES: Final = Table[ReservedLine, Ask, Move](
    {
        (NEW, ReserveStock): (Step(HELD, emit=(hold,), when=granted), Step(REFUSED, found_short)),
        (NEW, ReleaseStock): (
            TooEarly("is returned before it is reserved", when=of_pieces),
            Step(RELEASED, released),
        ),
        (NEW, PaymentFailed): (Step(RELEASED, released),),
        (NEW, OrderPaid): (TooEarly("is paid before it is reserved"),),
        # ---
        # Not granted: it came line by line before, and `all` of the order cannot be had now.
        (HELD, ReserveStock): (Duplicate(when=granted), _GIVEN_BACK),
        # By a refund that overtook the payment.
        (HELD, ReleaseStock): (
            _MORE_THAN_IS_LEFT,
            _RETURN_THE_REST._replace(emit=(give_back,)),
            _RETURN_SOME._replace(emit=(give_back,)),
            _GIVEN_BACK,
        ),
        (HELD, PaymentFailed): (_GIVEN_BACK,),
        (HELD, OrderPaid): (Step(SOLD, emit=(sell,)),),
        # ---
        (SOLD, ReserveStock): (Duplicate(),),
        (SOLD, ReleaseStock): (
            _MORE_THAN_IS_LEFT,
            _RETURN_THE_REST._replace(emit=(take_back,)),
            _RETURN_SOME._replace(emit=(take_back,)),
            Step(RELEASED, released, (take_back,), when=by_a_refund),
            _NOT_UNSOLD,
        ),
        (SOLD, PaymentFailed): (_NOT_UNSOLD,),
        (SOLD, OrderPaid): (Duplicate(),),
        # ---
        (REFUSED, ReserveStock): (Duplicate(),),
        (REFUSED, ReleaseStock): (_NOT_KEPT, Duplicate()),
        (REFUSED, PaymentFailed): (Duplicate(),),
        (REFUSED, OrderPaid): (_NOT_SOLD,),
        # ---
        # Late reservations find the tombstone; so does a payment that its own refund overtook.
        (RELEASED, ReserveStock): (Duplicate(),),
        (RELEASED, ReleaseStock): (_NOT_KEPT, Duplicate()),
        (RELEASED, PaymentFailed): (Duplicate(),),
        (RELEASED, OrderPaid): (Duplicate(when=refunded_before), _NOT_SOLD),
    }
)


class LineStep(NamedTuple):
    """A line after a message, the pieces that move with it, and why a human should look at it."""

    line: ReservedLine
    move: Move | None
    pieces: int
    contradictions: tuple[str, ...]


def step(line: ReservedLine | None, ask: Ask) -> LineStep:
    """Applies the table to one line. Raises Premature when the message is ahead of its cause."""
    before = line or blank(ask)
    try:
        outcome = LINES.advance(line.state if line else NEW, before, ask, ask.event)
    except Premature as error:
        raise Premature(f"{ask.product_id} {error}") from error
    reasons = (outcome.contradiction, _mismatch(before, ask))
    contradictions = tuple(f"{ask.product_id} {reason}" for reason in reasons if reason)
    pieces = before.left if ask.pieces is None else ask.pieces
    return LineStep(outcome.after, next(iter(outcome.emitted), None), pieces, contradictions)


def _mismatch(line: ReservedLine, ask: Ask) -> str | None:
    if ask.quantity is None or line.quantity in {0, ask.quantity}:
        return None
    return f"is {line.quantity} here, and {ask.quantity} in {ask.event.type}"
