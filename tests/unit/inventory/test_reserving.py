"""Requests of several lines: all or partial, by the order or product by product, early, late and unknown."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain import domain
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.shared.contract.decisions import Decision, Premature, Verdict
from services.shared.contract.events import (
    Fulfilment,
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
from services.shared.contract.table import ATTENTION_LIMIT
from tests.unit.memory import NOW, Memory

ORDER = "order_1"
HELD, REFUSED, RELEASED, SOLD = LineState


def inventory(*, auto_compensation: bool = False, **available: int) -> Memory:
    stocks = (Stock(id=name, initial=pieces, available=pieces) for name, pieces in available.items())
    return Memory(domain(auto_compensation=auto_compensation), *stocks)


def reserve(fulfilment: Fulfilment = "all", **pieces: int) -> ReserveStock:
    lines = tuple(Line(name, quantity) for name, quantity in pieces.items())
    return ReserveStock(order_id=ORDER, products=lines, fulfilment=fulfilment)


def reserve_one(name: str, quantity: int) -> ReserveStock:
    """As an older publisher asks."""
    return ReserveStock(order_id=ORDER, products=(Line(name, quantity),), product_id=name)


def release(reason: str = "SAGA_TIMEOUT", product_id: str | None = None) -> ReleaseStock:
    return ReleaseStock(order_id=ORDER, reason=reason, product_id=product_id)


def paid(**pieces: int) -> OrderPaid:
    lines = tuple(SoldLine(name, quantity) for name, quantity in pieces.items())
    return OrderPaid(order_id=ORDER, total_price=Decimal(1), currency="USD", products=lines, email="")


def failed(*, compensation: bool = False) -> PaymentFailed:
    return PaymentFailed(
        order_id=ORDER,
        transaction_id="txn",
        amount=Decimal(1),
        currency="USD",
        reason="declined",
        compensation=compensation,
    )


def states(memory: Memory) -> dict[str, LineState]:
    reservation = memory.get(Reservation, ORDER)
    return {line.product_id: line.state for line in reservation.lines} if reservation else {}


def reserved(memory: Memory) -> dict[str, int]:
    return {stock.id: stock.reserved for stock in memory.all(Stock) if stock.reserved}


def unavailable(decision: Decision) -> StockUnavailable:
    (event,) = decision.events
    assert isinstance(event, StockUnavailable)
    return event


def test_all_lines_that_are_there_are_held() -> None:
    memory = inventory(lamp=5, torch=5)
    decision = memory.handle(reserve(lamp=2, torch=5))
    assert decision.events == (StockReserved(order_id=ORDER, products=(Line("lamp", 2), Line("torch", 5))),)
    assert reserved(memory) == {"lamp": 2, "torch": 5}


def test_one_short_line_refuses_all_and_only_it_is_missing() -> None:
    memory = inventory(lamp=5, torch=0)
    answer = unavailable(memory.handle(reserve(lamp=2, torch=2)))
    assert answer.missing == (Missing("torch", 2, 0),)
    assert answer.reason == "Insufficient stock. Available: 0, Requested: 2"
    assert states(memory) == {"lamp": REFUSED, "torch": REFUSED}
    assert reserved(memory) == {}


def test_a_partial_request_holds_what_is_there_and_lists_the_rest() -> None:
    memory = inventory(lamp=5, torch=1)
    first = memory.handle(reserve("partial", lamp=2, torch=2))
    missing = (Missing("torch", 2, 1),)
    assert first.events == (StockReserved(order_id=ORDER, products=(Line("lamp", 2),), missing=missing),)
    assert states(memory) == {"lamp": HELD, "torch": REFUSED}
    memory.store([memory.one(Stock, "torch").restocked_by(10)])
    assert memory.handle(reserve("partial", lamp=2, torch=2)).events == first.events


def test_a_partial_request_of_which_nothing_is_there_is_refused() -> None:
    memory = inventory(lamp=0, torch=1)
    answer = unavailable(memory.handle(reserve("partial", lamp=2, torch=2)))
    assert answer.missing == (Missing("lamp", 2, 0), Missing("torch", 2, 1))
    assert states(memory) == {"lamp": REFUSED, "torch": REFUSED}


def test_a_refusal_of_one_product_speaks_for_it_alone() -> None:
    memory = inventory(lamp=0, torch=9)
    assert unavailable(memory.handle(reserve_one("lamp", 2))).product_id == "lamp"
    assert memory.handle(reserve_one("torch", 2)).events == (
        StockReserved(order_id=ORDER, products=(Line("torch", 2),)),
    )
    assert states(memory) == {"lamp": REFUSED, "torch": HELD}


def test_an_order_after_one_of_its_products_holds_each_line_once() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve_one("lamp", 2))
    memory.handle(reserve(lamp=2, torch=1))
    assert reserved(memory) == {"lamp": 2, "torch": 1}


def test_a_product_after_its_order_holds_each_line_once() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve(lamp=2, torch=1))
    again = memory.handle(reserve_one("lamp", 2))
    assert again.events == (StockReserved(order_id=ORDER, products=(Line("lamp", 2),)),)
    assert reserved(memory) == {"lamp": 2, "torch": 1}


def test_a_product_of_a_refused_order_is_not_held_alone() -> None:
    memory = inventory(lamp=5, torch=0)
    memory.handle(reserve(lamp=2, torch=1))
    answer = unavailable(memory.handle(reserve_one("lamp", 2)))
    assert (answer.missing, answer.reason) == ((), "Refused with the rest of its order")


def test_a_line_held_before_is_given_back_when_its_whole_order_is_refused() -> None:
    """The order, cancelled by the refusal, does not ask for a release."""
    memory = inventory(lamp=5, torch=0)
    memory.handle(reserve_one("lamp", 2))
    first = memory.handle(reserve(lamp=2, torch=1))
    assert unavailable(first).reason == "Insufficient stock. Available: 0, Requested: 1"
    assert states(memory) == {"lamp": RELEASED, "torch": REFUSED}
    assert reserved(memory) == {}
    assert memory.handle(reserve(lamp=2, torch=1)).events == first.events


def test_an_order_again_after_one_line_was_released_keeps_the_others() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve(lamp=2, torch=1))
    memory.handle(release(product_id="lamp"))
    memory.handle(reserve(lamp=2, torch=1))
    assert states(memory) == {"lamp": RELEASED, "torch": HELD}


def test_a_line_released_before_refuses_the_whole_order_that_comes_late() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(release(product_id="lamp"))
    answer = unavailable(memory.handle(reserve(lamp=2, torch=1)))
    assert answer.reason == "Released before it was reserved"
    assert answer.missing == (Missing("lamp", 2, 0),)
    assert reserved(memory) == {}


def test_a_partial_request_is_served_without_the_line_released_before() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(release(product_id="lamp"))
    decision = memory.handle(reserve("partial", lamp=2, torch=1))
    missing = (Missing("lamp", 2, 0),)
    assert decision.events == (StockReserved(order_id=ORDER, products=(Line("torch", 1),), missing=missing),)


def test_a_release_of_the_order_gives_back_what_is_still_held() -> None:
    memory = inventory(lamp=5, torch=1)
    memory.handle(reserve("partial", lamp=2, torch=2))
    assert memory.handle(release()).events == (StockReleased(order_id=ORDER, products=(Line("lamp", 2),)),)
    assert states(memory) == {"lamp": RELEASED, "torch": REFUSED}


def test_a_release_of_one_line_leaves_the_others() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve(lamp=2, torch=1))
    memory.handle(release(product_id="lamp"))
    assert states(memory) == {"lamp": RELEASED, "torch": HELD}


def test_a_released_order_holds_nothing_that_comes_later_even_of_unknown_products() -> None:
    memory = inventory()
    memory.handle(release())
    assert unavailable(memory.handle(reserve(lamp=2))).reason == "Released before it was reserved"
    assert unavailable(memory.handle(reserve_one("torch", 1))).product_id == "torch"


def test_a_release_of_a_half_sold_order_gives_back_the_rest_and_says_what_is_odd() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve(lamp=2, torch=1))
    memory.handle(paid(lamp=2))
    decision = memory.handle(release())
    assert decision.events == (StockReleased(order_id=ORDER, products=(Line("torch", 1),)),)
    assert decision.verdict is Verdict.ATTENTION
    assert states(memory) == {"lamp": SOLD, "torch": RELEASED}


def test_a_payment_of_which_one_line_is_not_reserved_yet_sells_nothing() -> None:
    memory = inventory(lamp=5, torch=5)
    memory.handle(reserve_one("lamp", 2))
    with pytest.raises(Premature):
        memory.handle(paid(lamp=2, torch=1))
    assert states(memory) == {"lamp": HELD}


def test_another_quantity_sold_than_held_is_odd() -> None:
    memory = inventory(lamp=5)
    memory.handle(reserve(lamp=2))
    assert memory.handle(paid(lamp=3)).verdict is Verdict.ATTENTION
    assert memory.one(Stock, "lamp").sold == 2
    (odd,) = memory.one(Reservation, ORDER).attention
    assert (odd.event, odd.reason) == ("ORDER_PAID", "lamp is 2 here, and 3 in ORDER_PAID")


def test_nonsense_forever_does_not_fill_the_document_and_the_latest_is_kept() -> None:
    memory = inventory(lamp=500)
    memory.handle(reserve(lamp=1))
    for quantity in range(2, ATTENTION_LIMIT + 10):
        memory.handle(reserve(lamp=quantity))
    attention = memory.one(Reservation, ORDER).attention
    assert len(attention) == ATTENTION_LIMIT
    assert attention[-1].reason == f"lamp is 1 here, and {ATTENTION_LIMIT + 9} in INVENTORY_RESERVE_REQUEST"


def test_an_unknown_product_is_waited_for() -> None:
    with pytest.raises(Premature, match="product lamp is not known yet"):
        inventory(torch=5).handle(reserve(torch=1, lamp=1))


def test_an_unknown_product_is_refused_on_the_last_try() -> None:
    memory = inventory(torch=5)
    message = memory.message(reserve(torch=1, lamp=1), last_try=True)
    assert unavailable(memory.decide(message)).missing == (Missing("lamp", 1, 0),)
    assert states(memory) == {"torch": REFUSED, "lamp": REFUSED}


def test_a_discontinued_product_is_sold_out_but_what_is_held_stays() -> None:
    stock = Stock(id="lamp", initial=5, available=5, discontinued=True)
    memory = Memory(domain(auto_compensation=False), stock)
    assert unavailable(memory.handle(reserve(lamp=2))).missing == (Missing("lamp", 2, 0),)


def test_a_failed_payment_releases_nothing_unless_asked_to() -> None:
    memory = inventory(lamp=5)
    memory.handle(reserve(lamp=2))
    assert memory.handle(failed()) == Decision()
    assert states(memory) == {"lamp": HELD}


@pytest.mark.parametrize(("setting", "asked"), [(True, False), (False, True), (True, True)])
def test_auto_compensation_is_a_setting_or_a_wish(*, setting: bool, asked: bool) -> None:
    memory = inventory(lamp=5, auto_compensation=setting)
    memory.handle(reserve(lamp=2))
    given_back = (StockReleased(order_id=ORDER, products=(Line("lamp", 2),)),)
    assert memory.handle(failed(compensation=asked)).events == given_back
    assert memory.handle(release("PAYMENT_FAILED")).events == given_back
    assert memory.one(Stock, "lamp").available == 5


def test_the_first_reason_is_the_one_that_is_kept() -> None:
    memory = inventory(lamp=5)
    memory.handle(reserve(lamp=2))
    memory.handle(release("CUSTOMER_CANCELLED"), at=NOW)
    memory.handle(release("SAGA_TIMEOUT"))
    reservation = memory.one(Reservation, ORDER)
    assert (reservation.tombstone, reservation.lines[0].reason) == ("CUSTOMER_CANCELLED",) * 2
    assert reservation.updated_at == NOW


def test_a_message_of_another_service_is_not_decided() -> None:
    with pytest.raises(KeyError):
        inventory().handle(StockReleased(order_id=ORDER, products=()))


@given(st.permutations([reserve(lamp=2, torch=1), release(), failed(compensation=True)]))
def test_a_cancelled_order_holds_nothing_in_whatever_order_its_messages_come(
    messages: list[ReserveStock | ReleaseStock | PaymentFailed],
) -> None:
    memory = inventory(lamp=5, torch=5)
    for message in messages:
        memory.handle(message)
    assert [(stock.available, stock.reserved) for stock in memory.all(Stock)] == [(5, 0), (5, 0)]
    assert not memory.one(Reservation, ORDER).attention


@given(st.permutations([reserve(lamp=2, torch=1), paid(lamp=2, torch=1), release("REFUND")]))
def test_a_refunded_order_has_nothing_in_whatever_order_its_messages_come(
    messages: list[ReserveStock | ReleaseStock | OrderPaid],
) -> None:
    memory = inventory(lamp=5, torch=5)
    waiting = list(messages)
    while waiting:
        message = waiting.pop(0)
        try:
            memory.handle(message)
        except Premature:
            waiting.append(message)
    assert [(stock.available, stock.sold) for stock in memory.all(Stock)] == [(5, 0), (5, 0)]
    assert not memory.one(Reservation, ORDER).attention
