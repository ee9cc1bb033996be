"""A paid order has one entry, which is announced once."""

from decimal import Decimal

import pytest

from services.fulfilment.domain import DOMAIN, FulfilmentEntry, FulfilmentState
from services.shared.contract.decisions import Premature, Verdict
from services.shared.contract.events import CONSUMES, OrderPaid, SoldLine
from services.shared.contract.events.fulfilment import FULFILMENT, FulfilmentRecorded
from tests.unit.memory import Memory

PAID = OrderPaid(
    order_id="o1",
    total_price=Decimal("299.99"),
    currency="USD",
    products=(SoldLine("p1", 1),),
    email="ada@shop.example",
)
RECORDED = FulfilmentRecorded(order_id="o1")


def test_every_event_of_the_queue_is_decided_on_here() -> None:
    assert set(CONSUMES["fulfilment"][FULFILMENT]) == {type(PAID), type(RECORDED)}


def test_a_paid_order_is_recorded_and_others_are_told() -> None:
    memory = Memory(DOMAIN)
    assert memory.handle(PAID).events == (RECORDED,)
    entry = memory.one(FulfilmentEntry, "o1")
    assert (entry.total_price, entry.currency) == (Decimal("299.99"), "USD")
    assert entry.state is FulfilmentState.RECORDED


def test_an_order_that_is_told_to_be_paid_again_has_the_entry_that_it_has() -> None:
    memory = Memory(DOMAIN)
    memory.handle(PAID)
    again = memory.handle(PAID)
    assert (again.verdict, again.changed, again.events) == (Verdict.DUPLICATE, (), ())


def test_what_went_round_is_announced_once() -> None:
    memory = Memory(DOMAIN)
    memory.handle(PAID)
    assert memory.handle(RECORDED).verdict is Verdict.APPLIED
    assert memory.one(FulfilmentEntry, "o1").state is FulfilmentState.ANNOUNCED
    assert memory.handle(RECORDED).verdict is Verdict.DUPLICATE
    assert memory.handle(PAID).verdict is Verdict.DUPLICATE


def test_an_announcement_that_overtakes_the_entry_waits_for_it() -> None:
    with pytest.raises(Premature, match="order o1 has no entry yet"):
        Memory(DOMAIN).handle(RECORDED)


def test_the_log_tells_the_order_the_state_and_the_amount() -> None:
    memory = Memory(DOMAIN)
    memory.handle(PAID)
    assert memory.one(FulfilmentEntry, "o1").standing == ("o1", "RECORDED", ("299.99 USD",))
