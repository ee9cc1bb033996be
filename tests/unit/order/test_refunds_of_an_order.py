"""Parts of an order that go back: how much they are, what is kept of them, and what others are told."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.order import refunds
from services.order.bodies import order_body
from services.order.domain import DOMAIN, Terms, domain
from services.order.model import (
    Capture,
    Line,
    LineState,
    Order,
    Progress,
    RefundLine,
    RefundState,
    Restocking,
    Status,
)
from services.shared.contract import events, money
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import KeyReused, NotFound, Refused, Verdict
from services.shared.http.auth import User
from tests.unit.memory import Memory
from tests.unit.order import examples as eg
from tests.unit.order.test_saga_steps import hear, run

ASKED, REFUSED, BACK, DONE = (
    RefundState.ASKED,
    RefundState.REFUSED,
    RefundState.MONEY_BACK,
    RefundState.DONE,
)
ANN = User(eg.CUSTOMER, "ann@example.com")
LATER = eg.CREATED_AT + timedelta(days=30)
LAMP = structs.replace(eg.REFUND_LAMP, request_hash="a lamp")

# --- how much ---------------------------------------------------------------------------------------------


@given(
    paid=st.integers(0, 10**15), parts=st.lists(st.integers(1, 1000), min_size=1, max_size=20), data=st.data()
)
def test_parts_of_a_line_in_any_order_sum_to_what_was_paid(
    paid: int, parts: list[int], data: st.DataObject
) -> None:
    pieces, asked, given_back = sum(parts), 0, []
    for more in data.draw(st.permutations(parts)):
        given_back.append(refunds.part(paid, pieces, asked, more))
        asked += more
    assert sum(given_back) == paid
    assert min(given_back) >= 0


def test_thirds_of_a_line_differ_by_a_cent_and_sum_to_it() -> None:
    assert [refunds.part(1000, 3, asked, 1) for asked in range(3)] == [333, 333, 334]


@given(price=st.integers(0, 10**9), pieces=st.integers(1, 1000), asked=st.integers(0, 999))
def test_of_pieces_that_all_cost_the_same_each_is_its_price(price: int, pieces: int, asked: int) -> None:
    if asked < pieces:
        assert refunds.part(price * pieces, pieces, asked, 1) == price


# --- one part ---------------------------------------------------------------------------------------------


def test_a_part_is_asked_back_by_its_name_and_the_order_stays_paid() -> None:
    order, published = run(eg.PAID, LAMP)
    assert published == [
        events.RefundRequested(
            order_id=eg.ORDER_ID,
            sequence=len(order.history),
            reason="it flickers",
            refund_request_id="lamp-back",
            products=(events.Line("lamp", 1),),
            amount=Decimal("100.00"),
            currency="USD",
            email="ann@example.com",
        ),
        events.RefundPayment(
            order_id=eg.ORDER_ID,
            amount=Decimal("100.00"),
            currency="USD",
            reason="it flickers",
            refund_request_id="lamp-back",
            transaction_id="txn_1",
        ),
    ]
    assert order.refunds == (eg.lamp_back(ASKED, reason="it flickers", request="a lamp"),)
    assert (order.status, order.refund, order.settled) == (Status.PAID, Progress.PENDING, False)
    assert order.state_since == eg.PAID.state_since  # still since it was paid
    assert (order.history[-1].refund, order.history[-1].reason) == ("lamp-back", "it flickers")


def test_its_goods_come_back_after_its_money_and_the_customer_is_told() -> None:
    order, (released,) = run(eg.PAID_LAMP_ASKED, eg.LAMP_MONEY_BACK)
    assert released == events.ReleaseStock(
        order_id=eg.ORDER_ID,
        reason="REFUND",
        refund_request_id="lamp-back",
        products=(events.Line("lamp", 1),),
    )
    assert (order.refund, order.stock_compensation, order.settled) == (Progress.DONE, Progress.PENDING, False)
    order, (told,) = run(order, eg.LAMP_GOODS_BACK)
    assert told == events.OrderPartiallyRefunded(
        order_id=eg.ORDER_ID,
        sequence=len(order.history),
        refund_request_id="lamp-back",
        products=(events.Line("lamp", 1),),
        amount=Decimal("100.00"),
        refunded_total=Decimal("100.00"),
        currency="USD",
        email="ann@example.com",
    )
    assert (order.status, order.settled, order.refunds[0].state) == (Status.PAID, True, DONE)
    # One of two lamps came back: the line is sold.
    assert [line.state for line in order.lines] == [LineState.SOLD, LineState.SOLD]
    assert refunds.returned(order) == refunds.refunded(order) == {"lamp": 1}


def test_goods_that_are_not_to_come_back_are_nothing_to_inventory() -> None:
    lines = (eg.ONE_LAMP_KEPT, RefundLine("desk", 1))
    order, _ = run(eg.PAID, structs.replace(LAMP, lines=lines))
    order, (released,) = run(order, eg.money_back("lamp-back", "350.00"))
    assert isinstance(released, events.ReleaseStock)
    assert released.products == (events.Line("desk", 1),)
    order, _ = run(order, eg.goods_back("lamp-back", desk=1))
    assert [line.state for line in order.lines] == [LineState.SOLD, LineState.RELEASED]
    assert (refunds.refunded(order), refunds.returned(order)) == ({"lamp": 1, "desk": 1}, {"desk": 1})


def test_all_that_is_left_goes_back_without_being_named() -> None:
    order, (_, asked) = run(eg.PAID_LAMP_REFUSED, eg.REFUND)
    assert isinstance(asked, events.RefundPayment)
    assert (order.status, asked.amount) == (Status.REFUNDING, Decimal("350.00"))
    assert order.refunds[-1].lines == eg.THE_REST


def test_of_a_partial_order_what_was_served_goes_back() -> None:
    order, _ = run(eg.PAID_PARTIAL, eg.REFUND)
    assert order.refunds[-1].lines == (RefundLine("lamp", 2),)
    assert order.refunds[-1].amount == 20000


# --- several, side by side --------------------------------------------------------------------------------


def test_the_last_refund_of_all_ends_the_order_whichever_it_is() -> None:
    order, _ = run(eg.PAID, eg.REFUND_LAMP, eg.REFUND_REST, eg.REST_MONEY_BACK, eg.REST_GOODS_BACK)
    assert (order.status, order.settled) == (Status.REFUNDING, False)
    order, published = run(order, eg.LAMP_FAILED, eg.LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK)
    assert [event.type for event in published] == ["INVENTORY_RELEASE_REQUEST", "ORDER_REFUNDED"]
    assert (order.status, order.settled) == (Status.REFUNDED, True)
    assert [line.state for line in order.lines] == [LineState.RELEASED, LineState.RELEASED]
    assert (order.releases_open, order.refund, order.stock_compensation) == (0, Progress.DONE, Progress.DONE)


def test_answers_without_a_name_are_taken_for_the_open_refund_that_they_fit() -> None:
    second = structs.replace(eg.REFUND_LAMP, refund_request_id="second")
    order, _ = run(eg.PAID_LAMP_DONE, second)
    order, _ = run(order, eg.money_back(None, "100.00"))
    assert [refund.state for refund in order.refunds] == [DONE, BACK]
    order, _ = run(order, eg.goods_back(None, lamp=1))
    assert [refund.state for refund in order.refunds] == [DONE, DONE]
    assert order.history[-1].refund == "second"


# --- refused by the gateway -------------------------------------------------------------------------------


def test_a_refund_that_the_gateway_refuses_stays_visible_and_open() -> None:
    order, published = run(eg.PAID_LAMP_ASKED, eg.LAMP_FAILED)
    assert published == []
    assert order.refunds == (eg.lamp_back(REFUSED, refusal="blocked"),)
    assert (order.refund, order.settled) == (Progress.PENDING, False)
    assert order.history[-1].reason == "blocked"
    assert order.standing.notes[1:] == (
        "some of its money is to be given back",
        "the payment gateway refuses refund lamp-back: blocked",
    )
    order, published = run(order, eg.LAMP_MONEY_BACK)
    assert [event.type for event in published] == ["INVENTORY_RELEASE_REQUEST"]


def test_why_a_refund_was_refused_is_told_until_its_money_is_back() -> None:
    order, _ = run(eg.PAID_LAMP_ASKED, eg.LAMP_FAILED)
    assert [each["refusal"] for each in order_body(order, ANN)["refunds"]] == ["blocked"]
    order, _ = run(order, eg.LAMP_MONEY_BACK)
    assert [each["refusal"] for each in order_body(order, ANN)["refunds"]] == [None]


def test_a_late_payment_whose_refund_is_refused_keeps_the_cancelled_order_open() -> None:
    order, _ = run(eg.CANCELLED_GIVEN_BACK, eg.CAPTURED, eg.ALL_FAILED)
    (refund,) = order.refunds
    assert (refund.id, refund.state, refund.refusal, refund.amount) == (
        eg.ORDER_ID,
        REFUSED,
        "blocked",
        45000,
    )
    assert (order.refund, order.settled) == (Progress.PENDING, False)
    order, _ = run(order, eg.MONEY_BACK)
    assert (order.refund, order.settled, order.refunds[0].state) == (Progress.DONE, True, DONE)


def test_what_the_gateway_never_gives_back_is_settled_by_another_way_and_answered_for() -> None:
    boss = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")
    memory = Memory(DOMAIN, eg.PAID_LAMP_REFUSED)
    decision = memory.handle(eg.SETTLE_LAMP, by=boss)
    told, released = decision.events
    assert isinstance(told, events.RefundPayment)
    assert (told.refund_request_id, told.settled_outside) == ("lamp-back", "transfer 7")
    assert told.amount == Decimal("100.00")
    assert isinstance(released, events.ReleaseStock)
    (refund,) = memory.one(Order, eg.ORDER_ID).refunds
    assert (refund.state, refund.outside, refund.refusal) == (BACK, "transfer 7", "blocked")
    (entry,) = decision.audit
    assert (entry.action, entry.subject) == (Action.REFUND_SETTLED_OUTSIDE, eg.ORDER_ID)
    assert (entry.reason, entry.detail) == ("the card was closed", "refund lamp-back by transfer 7")
    with pytest.raises(NotFound, match="no such refund"):
        memory.handle(eg.settle("strange"), by=boss)


# --- what an older document says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "state", "lines"),
    [
        (eg.REFUNDING, ASKED, (RefundLine("lamp", 2), RefundLine("desk", 1))),
        (eg.REFUNDING_MONEY_BACK, BACK, (RefundLine("lamp", 2), RefundLine("desk", 1))),
        (eg.REFUNDED, DONE, (RefundLine("lamp", 2), RefundLine("desk", 1))),
        (eg.CANCELLED_CAPTURED, ASKED, ()),
        (eg.CANCELLED_MONEY_BACK, DONE, ()),
    ],
)
def test_an_older_document_is_read_as_one_refund_of_all(
    order: Order, state: RefundState, lines: tuple[RefundLine, ...]
) -> None:
    (refund,) = order.given_back
    assert (refund.id, refund.state, refund.lines, refund.amount) == (eg.ORDER_ID, state, lines, eg.TOTAL)


def test_an_older_refund_is_carried_on_in_messages_as_it_was_begun() -> None:
    order, published = run(eg.REFUNDING, eg.MONEY_BACK, eg.BOTH_RELEASED)
    assert published[0] == events.ReleaseStock(order_id=eg.ORDER_ID, reason="REFUND")
    assert (order.status, order.settled) == (Status.REFUNDED, True)


def test_an_order_that_is_paid_and_not_refunded_has_no_refunds() -> None:
    assert (eg.PAID.given_back, refunds.left(eg.PAID)) == ((), {"lamp": 2, "desk": 1})


# --- the shop's terms -------------------------------------------------------------------------------------


def shop(order: Order, **terms: object) -> Memory:
    return Memory(domain(Terms()._replace(**terms)), order)  # type: ignore[arg-type]  # of Terms


def test_a_customer_may_ask_within_the_window_and_the_shop_always() -> None:
    assert shop(eg.PAID).handle(LAMP, at=LATER).changed
    with pytest.raises(Refused, match="30 days after it was paid for: ask the shop"):
        shop(eg.PAID).handle(LAMP, at=LATER + timedelta(microseconds=1))
    by_the_shop = structs.replace(LAMP, customer_id=None)
    assert shop(eg.PAID).handle(by_the_shop, at=LATER + timedelta(days=365)).changed
    with pytest.raises(Refused, match=r"for 0\.5 days"):
        shop(eg.PAID, refund_window=timedelta(hours=12)).handle(LAMP, at=LATER)


def test_what_was_asked_for_in_time_is_answered_whenever_it_is_asked_for_again() -> None:
    memory = shop(eg.PAID)
    memory.handle(LAMP, at=LATER)
    again = memory.handle(LAMP, at=LATER + timedelta(days=99))
    assert (again.verdict, again.events) == (Verdict.DUPLICATE, ())
    assert again.reply == memory.one(Order, eg.ORDER_ID)


def test_a_key_is_for_one_refund() -> None:
    memory = shop(eg.PAID)
    memory.handle(LAMP)
    with pytest.raises(KeyReused):
        memory.handle(structs.replace(LAMP, request_hash="two lamps", lines=(RefundLine("lamp", 2),)))


def test_while_an_older_service_runs_orders_go_back_whole_or_not_at_all() -> None:
    for order, command in ((eg.PAID, LAMP), (eg.PAID_LAMP_DONE, eg.REFUND)):
        with pytest.raises(Refused, match="as a whole for now"):
            shop(order, partial_refunds=False).handle(command)
    memory = shop(eg.PAID, partial_refunds=False)
    assert memory.handle(eg.REFUND).verdict is Verdict.APPLIED
    assert memory.handle(structs.replace(eg.REFUND, refund_request_id="2")).verdict is Verdict.DUPLICATE


def test_nobody_refunds_somebody_elses_order() -> None:
    with pytest.raises(NotFound):
        shop(eg.PAID).handle(structs.replace(LAMP, customer_id="bob"))


def test_goods_that_come_back_twice_come_back_once() -> None:
    order = hear(hear(eg.PAID_LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK, "one"), eg.LAMP_GOODS_BACK, "two")
    assert (order.refunds[0].state, len(order.history)) == (DONE, len(eg.PAID.history) + 1)


def test_a_line_on_its_way_back_may_be_refused_when_it_is_asked_for_again() -> None:
    both_lamps = eg.refund("lamps", 20000, BACK, RefundLine("lamp", 2))
    order = structs.replace(eg.PAID, refunds=(both_lamps,))
    unavailable = structs.replace(eg.UNAVAILABLE, missing=(events.Missing("lamp", 2, 0),))
    assert run(order, unavailable) == (order, [])
    kept = structs.replace(both_lamps, lines=(RefundLine("lamp", 2, Restocking.NONE),))
    order, _ = run(structs.replace(order, refunds=(kept,)), unavailable)
    assert order.attention


# --- any sequence of refunds ------------------------------------------------------------------------------

LINES = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10**6)), min_size=1, max_size=4)
WANTED = st.lists(st.dictionaries(st.integers(0, 4), st.integers(1, 6), min_size=1, max_size=3), max_size=12)


@given(lines=LINES, wanted=WANTED, currency=st.sampled_from(["USD", "JPY", "KWD"]))
def test_whatever_is_asked_back_in_whatever_parts_sums_to_what_was_paid_and_never_to_more(
    lines: list[tuple[int, int]], wanted: list[dict[int, int]], currency: str
) -> None:
    total = sum(quantity * price for quantity, price in lines)
    sold = tuple(
        Line(f"product-{number}", quantity, price, LineState.SOLD)
        for number, (quantity, price) in enumerate(lines)
    )
    memory = Memory(
        DOMAIN,
        structs.replace(
            eg.PAID, lines=sold, currency=currency, total=total, capture=Capture("txn_1", total, currency)
        ),
    )
    asked: list[Decimal] = []

    def ask(id_: str, *some: RefundLine) -> None:
        command = structs.replace(eg.REFUND, refund_request_id=id_, lines=some, request_hash=str(some))
        before = memory.one(Order, eg.ORDER_ID)
        try:
            events_ = memory.handle(command).events
        except Refused:
            there = refunds.left(before)
            assert any(line.quantity > there[line.product_id] for line in some)
            return
        asked.extend(event.amount for event in events_ if isinstance(event, events.RefundPayment))

    for number, parts in enumerate(wanted):
        ask(str(number), *(RefundLine(f"product-{which}", pieces) for which, pieces in parts.items()))
        assert sum(asked) <= money.to_decimal(total, currency)
    ask("the rest")
    order = memory.one(Order, eg.ORDER_ID)
    assert sum(asked) == money.to_decimal(total, currency)
    assert order.status is Status.REFUNDING
    assert refunds.asked(order) == {line.product_id: line.quantity for line in sold}
