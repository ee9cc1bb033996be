"""Every state of a line against every message: what becomes of it, what moves, what is answered."""

from decimal import Decimal
from itertools import product

import pytest

from services.inventory.domain import domain
from services.inventory.reservation import LineState, Reservation, ReservedLine
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


def line(state: LineState, reason: str | None = None) -> Reservation:
    available = 1 if state is LineState.REFUSED else 0
    one = ReservedLine(product_id=LAMP, state=state, quantity=2, reason=reason, available=available)
    return Reservation(id=ORDER, lines=(one,))


STATES: dict[str, tuple[Reservation | None, Stock]] = {
    "none": (None, NONE),
    "held": (line(LineState.HELD), HOLDING),
    "refused": (line(LineState.REFUSED), NONE),
    "released": (line(LineState.RELEASED, "SAGA_TIMEOUT"), NONE),
    "refunded": (line(LineState.RELEASED, "REFUND"), NONE),
    "sold": (line(LineState.SOLD), SOLD_OUT_OF),
    "tombstone": (Reservation(id=ORDER, tombstone="SAGA_TIMEOUT"), NONE),
    "refund tombstone": (Reservation(id=ORDER, tombstone="REFUND"), NONE),
}
MESSAGES: dict[str, Event] = {
    "reserve": ReserveStock(order_id=ORDER, products=(LINE,)),
    "reserve too many": ReserveStock(order_id=ORDER, products=(Line(LAMP, 11),)),
    "release": ReleaseStock(order_id=ORDER, reason="SAGA_TIMEOUT"),
    "release the line": ReleaseStock(order_id=ORDER, reason="SAGA_TIMEOUT", product_id=LAMP),
    "release refunded": ReleaseStock(order_id=ORDER, reason="REFUND"),
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
NOTHING_BACK = (StockReleased(order_id=ORDER, products=()),)


def short(available: int, requested: int) -> tuple[Event, ...]:
    reason = f"Insufficient stock. Available: {available}, Requested: {requested}"
    return (StockUnavailable(order_id=ORDER, missing=(Missing(LAMP, requested, available),), reason=reason),)


def too_late(requested: int = 2) -> tuple[Event, ...]:
    reason = "Released before it was reserved"
    return (StockUnavailable(order_id=ORDER, missing=(Missing(LAMP, requested, 0),), reason=reason),)


EXPECTED = {
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
STOCK_AFTER = {HELD: HOLDING, SOLD: SOLD_OUT_OF, REFUSED: NONE, RELEASED: NONE, None: NONE}


def inventory(state: str) -> Memory:
    reservation, stock = STATES[state]
    stored = (stock,) if reservation is None else (reservation, stock)
    return Memory(domain(auto_compensation=True), *stored)


def state_of(memory: Memory) -> LineState | None:
    reservation = memory.get(Reservation, ORDER)
    return reservation.lines[0].state if reservation and reservation.lines else None


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
        with pytest.raises(Premature, match="lamp is paid before it is reserved"):
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
