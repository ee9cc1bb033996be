"""Every state of a line against every message: what becomes of it, what moves, what is answered."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from services.inventory.domain import domain
from services.inventory.reservation import LineState, Reservation, ReservedLine, Return
from services.inventory.stock import Stock
from services.inventory.table import LINES
from services.shared.contract.decisions import Premature, Verdict
from services.shared.contract.events import (
    Event,
    Line,
    Missing,
    OrderPaid,
    PaymentFailed,
    ReleaseStock,
    ReserveStock,
    SoldLine,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from services.shared.contract.table import NEW
from tests.unit.memory import Memory

ORDER, LAMP = "order_1", "lamp"
LINE = Line(LAMP, 2)
NONE = Stock(id=LAMP, initial=10, available=10)
HOLDING = Stock(id=LAMP, initial=10, available=8, reserved=2)
SOLD_OUT_OF = Stock(id=LAMP, initial=10, available=8, sold=2)
HOLDING_ONE = Stock(id=LAMP, initial=10, available=9, reserved=1)
SOLD_ONE = Stock(id=LAMP, initial=10, available=9, sold=1)


def line(state: LineState, reason: str | None = None, *, returned: int = 0) -> Reservation:
    available = 1 if state is LineState.REFUSED else 0
    one = ReservedLine(
        product_id=LAMP, state=state, quantity=2, reason=reason, available=available, returned=returned
    )
    returns = (Return("refund-0", (Line(LAMP, returned),)),) if returned else ()
    return Reservation(id=ORDER, lines=(one,), returns=returns)


def back(id_: str, pieces: int) -> ReleaseStock:
    """A refund of some pieces of the line."""
    lines = (Line(LAMP, pieces),)
    return ReleaseStock(order_id=ORDER, reason="REFUND", refund_request_id=id_, products=lines)


STATES: dict[str, tuple[Reservation | None, Stock]] = {
    "none": (None, NONE),
    "held": (line(LineState.HELD), HOLDING),
    "refused": (line(LineState.REFUSED), NONE),
    "released": (line(LineState.RELEASED, "SAGA_TIMEOUT"), NONE),
    "refunded": (line(LineState.RELEASED, "REFUND"), NONE),
    "sold": (line(LineState.SOLD), SOLD_OUT_OF),
    "held, one back": (line(LineState.HELD, returned=1), HOLDING_ONE),
    "sold, one back": (line(LineState.SOLD, returned=1), SOLD_ONE),
    "tombstone": (Reservation(id=ORDER, tombstone="SAGA_TIMEOUT"), NONE),
    "refund tombstone": (Reservation(id=ORDER, tombstone="REFUND"), NONE),
}
MESSAGES: dict[str, Event] = {
    "reserve": ReserveStock(order_id=ORDER, products=(LINE,)),
    "reserve too many": ReserveStock(order_id=ORDER, products=(Line(LAMP, 11),)),
    "release": ReleaseStock(order_id=ORDER, reason="SAGA_TIMEOUT"),
    "release the line": ReleaseStock(order_id=ORDER, reason="SAGA_TIMEOUT", product_id=LAMP),
    "release refunded": ReleaseStock(order_id=ORDER, reason="REFUND"),
    "return one": back("refund-1", 1),
    "return both": back("refund-1", 2),
    "return the first again": back("refund-0", 1),
    "payment failed": PaymentFailed(
        order_id=ORDER, transaction_id="txn", amount=Decimal(1), currency="USD", reason="declined"
    ),
    "paid": OrderPaid(
        order_id=ORDER, total_price=Decimal(1), currency="USD", products=(SoldLine(LAMP, 2),), email=""
    ),
}


HELD, REFUSED, RELEASED, SOLD = LineState
APPLIED, DUPLICATE, ATTENTION = Verdict
PREMATURE = "premature"
SILENT: tuple[Event, ...] = ()
RESERVED = (StockReserved(order_id=ORDER, products=(LINE,)),)
GIVEN_BACK = (StockReleased(order_id=ORDER, products=(LINE,)),)


def came_back(id_: str, pieces: int) -> tuple[Event, ...]:
    return (StockReleased(order_id=ORDER, products=(Line(LAMP, pieces),), refund_request_id=id_),)


ONE_BACK, BOTH_BACK, FIRST_BACK = came_back("refund-1", 1), came_back("refund-1", 2), came_back("refund-0", 1)
NOTHING_BACK = (StockReleased(order_id=ORDER, products=()),)


def short(available: int, requested: int) -> tuple[Event, ...]:
    reason = f"Insufficient stock. Available: {available}, Requested: {requested}"
    return (StockUnavailable(order_id=ORDER, missing=(Missing(LAMP, requested, available),), reason=reason),)


def too_late(requested: int = 2) -> tuple[Event, ...]:
    reason = "Released before it was reserved"
    return (StockUnavailable(order_id=ORDER, missing=(Missing(LAMP, requested, 0),), reason=reason),)


EXPECTED: dict[tuple[str, str], tuple[LineState | str | None, Any, Verdict | None]] = {
    ("none", "reserve"): (HELD, RESERVED, APPLIED),
    ("none", "reserve too many"): (REFUSED, short(10, 11), APPLIED),
    ("none", "release"): (None, NOTHING_BACK, APPLIED),
    ("none", "release the line"): (RELEASED, NOTHING_BACK, APPLIED),
    ("none", "release refunded"): (None, NOTHING_BACK, APPLIED),
    ("none", "payment failed"): (None, NOTHING_BACK, APPLIED),
    ("none", "paid"): (None, PREMATURE, None),
    ("held", "reserve"): (HELD, RESERVED, DUPLICATE),
    ("held", "reserve too many"): (HELD, RESERVED, ATTENTION),
    ("held", "release"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held", "release the line"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held", "payment failed"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held", "paid"): (SOLD, SILENT, APPLIED),
    ("refused", "reserve"): (REFUSED, short(1, 2), DUPLICATE),
    ("refused", "reserve too many"): (REFUSED, short(1, 2), ATTENTION),
    ("refused", "release"): (REFUSED, NOTHING_BACK, APPLIED),
    ("refused", "release the line"): (REFUSED, NOTHING_BACK, DUPLICATE),
    ("refused", "release refunded"): (REFUSED, NOTHING_BACK, APPLIED),
    ("refused", "payment failed"): (REFUSED, NOTHING_BACK, APPLIED),
    ("refused", "paid"): (REFUSED, SILENT, ATTENTION),
    ("released", "reserve"): (RELEASED, too_late(), DUPLICATE),
    ("released", "reserve too many"): (RELEASED, too_late(), ATTENTION),
    ("released", "release"): (RELEASED, GIVEN_BACK, APPLIED),
    ("released", "release the line"): (RELEASED, GIVEN_BACK, DUPLICATE),
    ("released", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("released", "payment failed"): (RELEASED, GIVEN_BACK, APPLIED),
    ("released", "paid"): (RELEASED, SILENT, ATTENTION),
    ("refunded", "reserve"): (RELEASED, too_late(), DUPLICATE),
    ("refunded", "reserve too many"): (RELEASED, too_late(), ATTENTION),
    ("refunded", "release"): (RELEASED, GIVEN_BACK, APPLIED),
    ("refunded", "release the line"): (RELEASED, GIVEN_BACK, DUPLICATE),
    ("refunded", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("refunded", "payment failed"): (RELEASED, GIVEN_BACK, APPLIED),
    ("refunded", "paid"): (RELEASED, SILENT, DUPLICATE),
    ("sold", "reserve"): (SOLD, RESERVED, DUPLICATE),
    ("sold", "reserve too many"): (SOLD, RESERVED, ATTENTION),
    ("sold", "release"): (SOLD, SILENT, ATTENTION),
    ("sold", "release the line"): (SOLD, SILENT, ATTENTION),
    ("sold", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("sold", "payment failed"): (SOLD, SILENT, ATTENTION),
    ("sold", "paid"): (SOLD, SILENT, DUPLICATE),
    ("tombstone", "reserve"): (RELEASED, too_late(), APPLIED),
    ("tombstone", "reserve too many"): (RELEASED, too_late(11), APPLIED),
    ("tombstone", "release"): (None, NOTHING_BACK, DUPLICATE),
    ("tombstone", "release the line"): (RELEASED, NOTHING_BACK, APPLIED),
    ("tombstone", "release refunded"): (None, NOTHING_BACK, DUPLICATE),
    ("tombstone", "payment failed"): (None, NOTHING_BACK, DUPLICATE),
    ("tombstone", "paid"): (RELEASED, SILENT, ATTENTION),
    ("refund tombstone", "reserve"): (RELEASED, too_late(), APPLIED),
    ("refund tombstone", "reserve too many"): (RELEASED, too_late(11), APPLIED),
    ("refund tombstone", "release"): (None, NOTHING_BACK, DUPLICATE),
    ("refund tombstone", "release the line"): (RELEASED, NOTHING_BACK, APPLIED),
    ("refund tombstone", "release refunded"): (None, NOTHING_BACK, DUPLICATE),
    ("refund tombstone", "payment failed"): (None, NOTHING_BACK, DUPLICATE),
    ("refund tombstone", "paid"): (RELEASED, SILENT, APPLIED),
}
RETURNS = ("return one", "return both", "return the first again")
for _state in ("refused", "released", "refunded"):
    for _message in RETURNS:
        EXPECTED[_state, _message] = (
            LineState(_state.replace("refunded", "released").upper()),
            SILENT,
            ATTENTION,
        )
for _state in ("tombstone", "refund tombstone"):
    for _message in RETURNS:
        EXPECTED[_state, _message] = (None, SILENT, ATTENTION)
EXPECTED |= {
    ("none", "return one"): (None, PREMATURE, None),
    ("none", "return both"): (None, PREMATURE, None),
    ("none", "return the first again"): (None, PREMATURE, None),
    # It overtook the payment: what is held is given back, and the rest is sold later.
    ("held", "return one"): ("held, one back", ONE_BACK, APPLIED),
    ("held", "return both"): (RELEASED, BOTH_BACK, APPLIED),
    ("held", "return the first again"): ("held, one back", FIRST_BACK, APPLIED),
    ("sold", "return one"): ("sold, one back", ONE_BACK, APPLIED),
    ("sold", "return both"): (RELEASED, BOTH_BACK, APPLIED),
    ("sold", "return the first again"): ("sold, one back", FIRST_BACK, APPLIED),
    ("held, one back", "reserve"): ("held, one back", RESERVED, DUPLICATE),
    ("held, one back", "reserve too many"): ("held, one back", RESERVED, ATTENTION),
    ("held, one back", "release"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held, one back", "release the line"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held, one back", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held, one back", "payment failed"): (RELEASED, GIVEN_BACK, APPLIED),
    ("held, one back", "paid"): ("sold, one back", SILENT, APPLIED),
    ("held, one back", "return one"): (RELEASED, ONE_BACK, APPLIED),
    ("held, one back", "return both"): ("held, one back", SILENT, ATTENTION),
    ("held, one back", "return the first again"): ("held, one back", FIRST_BACK, DUPLICATE),
    ("sold, one back", "reserve"): ("sold, one back", RESERVED, DUPLICATE),
    ("sold, one back", "reserve too many"): ("sold, one back", RESERVED, ATTENTION),
    ("sold, one back", "release"): ("sold, one back", SILENT, ATTENTION),
    ("sold, one back", "release the line"): ("sold, one back", SILENT, ATTENTION),
    ("sold, one back", "release refunded"): (RELEASED, GIVEN_BACK, APPLIED),
    ("sold, one back", "payment failed"): ("sold, one back", SILENT, ATTENTION),
    ("sold, one back", "paid"): ("sold, one back", SILENT, DUPLICATE),
    ("sold, one back", "return one"): (RELEASED, ONE_BACK, APPLIED),
    ("sold, one back", "return both"): ("sold, one back", SILENT, ATTENTION),
    ("sold, one back", "return the first again"): ("sold, one back", FIRST_BACK, DUPLICATE),
}
STOCK_AFTER: dict[object, Stock] = {
    HELD: HOLDING,
    SOLD: SOLD_OUT_OF,
    REFUSED: NONE,
    RELEASED: NONE,
    None: NONE,
}
STOCK_AFTER |= {"held, one back": HOLDING_ONE, "sold, one back": SOLD_ONE}


def inventory(state: str) -> Memory:
    reservation, stock = STATES[state]
    stored = (stock,) if reservation is None else (reservation, stock)
    return Memory(domain(auto_compensation=True), *stored)


def state_of(memory: Memory) -> LineState | str | None:
    """The line's, with what came back of it while some of it is kept."""
    reservation = memory.get(Reservation, ORDER)
    if reservation is None or not reservation.lines:
        return None
    (one,) = reservation.lines
    return f"{one.state.lower()}, one back" if one.returned == 1 and one.is_kept else one.state


def counters(stock: Stock) -> tuple[int, int, int]:
    return stock.available, stock.reserved, stock.sold


def test_every_pair_is_expected_to_do_something() -> None:
    assert set(EXPECTED) == set(product(STATES, MESSAGES))


def test_the_table_knows_every_pair() -> None:
    assert set(LINES.cells) == set(product([NEW, *LineState], {type(each) for each in MESSAGES.values()}))


@pytest.mark.parametrize(("state", "message"), EXPECTED)
def test_a_line_becomes_what_the_table_says(state: str, message: str) -> None:
    becomes, answer, verdict = EXPECTED[state, message]
    memory = inventory(state)
    if answer == PREMATURE:
        with pytest.raises(Premature, match=r"lamp is (paid|returned) before it is reserved"):
            memory.handle(MESSAGES[message])
        assert memory.get(Reservation, ORDER) is None
        return
    decision = memory.handle(MESSAGES[message])
    assert (state_of(memory), decision.events, decision.verdict) == (becomes, answer, verdict)
    assert counters(memory.one(Stock, LAMP)) == counters(STOCK_AFTER[becomes])


@pytest.mark.parametrize(
    ("state", "message"), [pair for pair, row in EXPECTED.items() if row[1] != PREMATURE]
)
def test_the_same_again_gets_the_same_answer_and_does_nothing(state: str, message: str) -> None:
    memory = inventory(state)
    first = memory.handle(MESSAGES[message])
    stock = memory.one(Stock, LAMP)
    lines = memory.one(Reservation, ORDER).lines
    again = memory.handle(MESSAGES[message])
    assert again.events == first.events
    assert again.verdict in {first.verdict, DUPLICATE}
    assert memory.one(Stock, LAMP) == stock
    assert memory.one(Reservation, ORDER).lines == lines


@pytest.mark.parametrize(
    ("state", "message"), [pair for pair, row in EXPECTED.items() if row[2] is ATTENTION]
)
def test_a_contradiction_is_recorded_on_the_reservation_once(state: str, message: str) -> None:
    memory = inventory(state)
    odd = memory.message(MESSAGES[message])
    memory.decide(odd)
    assert memory.decide(odd).verdict is DUPLICATE
    (contradiction,) = memory.one(Reservation, ORDER).attention
    assert (contradiction.event, contradiction.event_id) == (MESSAGES[message].type, odd.id)
    assert contradiction.reason.startswith(LAMP)


def test_a_return_that_is_too_much_of_one_line_moves_nothing_of_any() -> None:
    desk = ReservedLine(product_id="desk", state=LineState.SOLD, quantity=1)
    both = Reservation(id=ORDER, lines=(*line(LineState.SOLD).lines, desk))
    memory = Memory(domain(auto_compensation=False), both, SOLD_OUT_OF, Stock(id="desk", initial=1, sold=1))
    lines = (Line(LAMP, 1), Line("desk", 2))
    decision = memory.handle(
        ReleaseStock(order_id=ORDER, reason="REFUND", refund_request_id="refund-1", products=lines)
    )
    assert (decision.events, decision.verdict) == ((), ATTENTION)
    after = memory.one(Reservation, ORDER)
    assert (after.lines, after.returns) == (both.lines, ())
    assert counters(memory.one(Stock, LAMP)) == counters(SOLD_OUT_OF)
    (contradiction,) = after.attention
    assert contradiction.reason == "desk was to be returned, but less of it is left"


def test_pieces_come_back_by_a_refund_that_has_a_name() -> None:
    with pytest.raises(ValueError, match="refundRequestId"):
        ReleaseStock(order_id=ORDER, reason="REFUND", products=(LINE,))
