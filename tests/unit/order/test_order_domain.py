"""The order service's rules around the saga: creating, whose order it is, operators, unknown orders."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from services.order.domain import DOMAIN, Compensated, Compensation
from services.order.model import Line, LineState, Order, Release, Status
from services.shared.contract import events
from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    KeyReused,
    NotFound,
    Refused,
    Rejected,
    Verdict,
)
from services.shared.contract.idempotency import LIFETIME, IdempotencyKey, Key
from tests.unit.memory import Memory
from tests.unit.order import examples as eg

ONE_MILLISECOND = timedelta(milliseconds=1)


def orders(*stored: Aggregate) -> Memory:
    return Memory(DOMAIN, *stored)


# --- creating ---------------------------------------------------------------------------------------------


def test_a_new_order_is_pending_and_asks_for_its_stock() -> None:
    memory = orders()
    decision = memory.decide(eg.message(eg.create(fulfilment="partial"), id_=eg.ORDER_ID))
    order = memory.one(Order, eg.ORDER_ID)
    assert (order.status, order.total, order.settled) == (Status.PENDING, 45000, False)
    assert {line.state for line in order.lines} == {LineState.REQUESTED}
    assert (order.state_since, order.created_at, order.updated_at) == (eg.AT, eg.AT, eg.AT)
    assert [(each.event, each.from_, each.to) for each in order.history] == [
        ("ORDER_CREATED", None, Status.PENDING)
    ]
    assert decision.events == (
        events.ReserveStock(
            order_id=eg.ORDER_ID,
            products=(events.Line("lamp", 2), events.Line("desk", 1)),
            fulfilment="partial",
        ),
    )
    assert isinstance(decision.reply, Order)


def test_one_order_is_one_request_however_many_lines_it_has() -> None:
    lines = tuple(Line(f"product-{number}", 1, 100) for number in range(50))
    decision = orders().handle(eg.create(lines=lines))
    assert len(decision.events) == 1


def keyed(order_id: str, *, customer: str = eg.CUSTOMER) -> Any:
    return eg.create(order_id=order_id, key=Key(f"{customer}/key-1", "hash"), customer_id=customer)


def test_the_same_key_gives_the_same_order() -> None:
    memory = orders()
    memory.handle(keyed("order-1"), at=eg.AT)
    again = memory.handle(keyed("order-2"), at=eg.AT)
    assert isinstance(again.reply, Order)
    assert again.reply.id == "order-1"
    assert (again.verdict, again.events) == (Verdict.DUPLICATE, ())
    assert memory.get(Order, "order-2") is None


def test_the_same_key_gives_the_order_as_it_is_now() -> None:
    memory = orders()
    memory.handle(keyed("order-1"), at=eg.AT)
    memory.handle(eg.BOTH_RESERVED, at=eg.AT)
    again = memory.handle(keyed("order-2"), at=eg.AT)
    assert isinstance(again.reply, Order)
    assert again.reply.status is Status.CONFIRMED


def test_a_key_for_another_order_is_refused() -> None:
    memory = orders()
    memory.handle(keyed("order-1"), at=eg.AT)
    with pytest.raises(KeyReused):
        memory.handle(eg.create(order_id="order-2", key=Key(f"{eg.CUSTOMER}/key-1", "another")), at=eg.AT)


def test_keys_are_each_customers_own() -> None:
    memory = orders()
    memory.handle(keyed("order-1"), at=eg.AT)
    memory.handle(keyed("order-2", customer="bob"), at=eg.AT)
    assert len(memory.all(Order)) == 2


def test_a_key_is_free_again_after_a_day() -> None:
    memory = orders()
    memory.handle(keyed("order-1"), at=eg.AT)
    memory.handle(keyed("order-2"), at=eg.AT + LIFETIME)
    key = memory.one(IdempotencyKey, f"{eg.CUSTOMER}/key-1")
    assert key.subject == "order-2"
    assert len(memory.all(Order)) == 2


def test_an_order_and_its_key_are_stored_together() -> None:
    decision = orders().handle(keyed("order-1"))
    assert {type(each) for each in decision.changed} == {Order, IdempotencyKey}


# --- whose order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [eg.CANCEL, eg.REFUND])
def test_another_customers_order_does_not_exist_for_you(command: Any) -> None:
    memory = orders(eg.CONFIRMED)
    with pytest.raises(NotFound) as of_another:
        memory.handle(structs.replace(command, customer_id="bob"))
    with pytest.raises(NotFound) as of_nobody:
        memory.handle(structs.replace(command, order_id="nonesuch"))
    assert str(of_another.value) == str(of_nobody.value)


def test_a_customer_cancels_their_own_order() -> None:
    decision = orders(eg.CONFIRMED).handle(eg.CANCEL)
    assert isinstance(decision.reply, Order)
    assert decision.reply.status is Status.CANCELLED


def test_an_administrator_cancels_anybodys_order() -> None:
    decision = orders(eg.CONFIRMED).handle(structs.replace(eg.CANCEL, customer_id=None))
    assert isinstance(decision.reply, Order)
    assert decision.reply.cancellation_reason == "CUSTOMER_CANCELLED"


def test_a_paid_order_cannot_be_cancelled() -> None:
    with pytest.raises(Refused, match="refund"):
        orders(eg.PAID).handle(eg.CANCEL)


# --- operators --------------------------------------------------------------------------------------------


def compensate(order: Order, age: timedelta, **asked: Any) -> Decision:
    return orders(order).handle(eg.time_out(**asked), at=order.state_since + age)


def outcome(decision: Decision) -> Compensation:
    assert isinstance(decision.reply, Compensated)
    return decision.reply.outcome


@pytest.mark.parametrize("order", [eg.PENDING, eg.CONFIRMED], ids=lambda order: order.status)
def test_a_stuck_order_is_compensated(order: Order) -> None:
    decision = compensate(order, timedelta(seconds=300), status=order.status, older_than=300)
    assert outcome(decision) is Compensation.COMPENSATED
    assert [event.type for event in decision.events] == ["INVENTORY_RELEASE_REQUEST", "ORDER_CANCELLED"]
    assert isinstance(decision.reply, Compensated)
    assert decision.reply.order.status is Status.CANCELLED


def test_an_order_that_became_fresh_again_is_left_alone() -> None:
    decision = compensate(eg.CONFIRMED, timedelta(seconds=300) - ONE_MILLISECOND, older_than=300)
    assert outcome(decision) is Compensation.NOT_APPLICABLE
    assert (decision.changed, decision.events) == ((), ())


@pytest.mark.parametrize(
    "order", [eg.PENDING, eg.PAID, eg.REFUNDING, eg.REFUNDED], ids=lambda order: order.status
)
def test_an_order_that_moved_on_is_left_alone(order: Order) -> None:
    decision = compensate(order, timedelta(hours=1), status=Status.CONFIRMED, older_than=300)
    assert outcome(decision) is Compensation.NOT_APPLICABLE
    assert (decision.changed, decision.events) == ((), ())


@pytest.mark.parametrize("order", [eg.PAID, eg.REFUNDING, eg.REFUNDED], ids=lambda order: order.status)
def test_no_order_is_compensated_that_cannot_be_whatever_is_asked(order: Order) -> None:
    decision = compensate(order, timedelta(hours=1), status=order.status)
    assert outcome(decision) is Compensation.NOT_APPLICABLE
    assert (decision.changed, decision.events) == ((), ())


def test_several_operators_compensate_an_order_once() -> None:
    memory = orders(eg.CONFIRMED)
    first, second = (memory.handle(eg.time_out(), at=eg.AT) for _ in range(2))
    assert outcome(first) is Compensation.COMPENSATED
    assert outcome(second) is Compensation.ALREADY
    assert second.events == ()


def test_the_operators_reason_is_kept_as_the_detail() -> None:
    decision = compensate(eg.CONFIRMED, timedelta(hours=1))
    assert isinstance(decision.reply, Compensated)
    order = decision.reply.order
    assert (order.cancellation_reason, order.cancellation_detail) == ("SAGA_TIMEOUT", "stuck for 300 s")


def test_an_operator_cannot_compensate_what_does_not_exist() -> None:
    with pytest.raises(NotFound):
        orders().handle(eg.time_out())


# --- events -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", [eg.BOTH_RESERVED, eg.UNAVAILABLE, eg.BOTH_RELEASED, eg.CAPTURED, eg.DECLINED]
)
def test_an_event_of_an_order_that_is_not_ours_is_rejected(event: events.OrderEvent) -> None:
    with pytest.raises(Rejected, match="unknown order"):
        orders().handle(event)


def test_what_is_nothing_to_an_order_is_rejected() -> None:
    with pytest.raises(Rejected, match="do nothing about"):
        DOMAIN.decide(orders(), eg.message(events.ProductDeleted(product_id="lamp")))


def test_an_event_moves_the_order_it_names() -> None:
    other = structs.replace(eg.PENDING, id="order-2")
    memory = orders(eg.PENDING, other)
    memory.handle(eg.BOTH_RESERVED)
    assert memory.one(Order, eg.ORDER_ID).status is Status.CONFIRMED
    assert memory.one(Order, "order-2").status is Status.PENDING


# --- what an order shows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "settled"),
    [
        (eg.PENDING, False),
        (eg.CONFIRMED, False),
        (eg.PAID, True),
        (eg.REFUSED, True),
        (eg.CANCELLED, False),
        (eg.CANCELLED_GIVEN_BACK, True),
        (eg.CANCELLED_CAPTURED, False),
        (eg.CANCELLED_MONEY_BACK, True),
        (structs.replace(eg.CANCELLED_MONEY_BACK, releases=(Release("late"),)), False),
        (eg.REFUNDING, False),
        (eg.REFUNDING_MONEY_BACK, False),
        (eg.REFUNDED, True),
    ],
)
def test_an_order_is_settled_when_nothing_more_will_happen_by_itself(order: Order, settled: bool) -> None:  # noqa: FBT001  # an expected value
    assert order.settled is settled
