"""A plan is the fewest messages and commands that make an order's books sound, and no more than that."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import structs

from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.invariants import Held, tally
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain
from sagactl.oncall.repair.planning import plan
from services.fulfilment.shipment import Goods, Shipment, ShipmentState
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.order.commands import CancelOrder, RequestRefund
from services.order.model import Order
from services.payment.payment import Payment
from services.shared.contract import wire
from services.shared.contract.decisions import Ref
from services.shared.contract.events import OrderPaid, PaymentFailed
from tests.unit.explain.desk import NOW, ORDER, Desk

LATER: Final = timedelta(minutes=1)


def planned(desk: Desk, **more: Any) -> Plan:
    marks = desk.marks(after=LATER, **more)
    return plan(marks, held(marks))


def held(marks: Marks) -> Held:
    """Nobody else has any of it."""
    found = Held(Counter(), Counter())
    tally([marks.case.reservation] if marks.case.reservation else [], found)
    return found


def heard(*queues: str) -> Desk:
    desk = Desk()
    for queue in queues:
        desk.hear(queue)
    return desk


def test_an_order_that_was_touched_a_moment_ago_is_left_alone() -> None:
    """A slow charge is in no queue that the broker has counted yet."""
    marks = heard("inventory", "orders").marks(after=timedelta(seconds=29))
    found = plan(marks, held(marks))
    assert (found.ends, found.steps) == (Ends.MOVING, ())
    assert planned(heard("inventory", "orders")).ends is Ends.MENDED


def steps(found: Plan) -> list[tuple[type, str]]:
    return [(type(step), getattr(step, "type", "")) for step in found.steps]


def test_an_order_that_ended_well_needs_nothing() -> None:
    found = planned(Desk().paid())
    assert (found.ends, found.steps, found.findings) == (Ends.SOUND, (), ())


def test_what_is_under_way_is_left_alone() -> None:
    assert planned(Desk(), waiting={"inventory": 1}).ends is Ends.MOVING
    assert planned(Desk().paid(), moving=True).ends is Ends.MOVING


def test_a_lost_message_is_sent_again_under_its_own_id() -> None:
    desk = heard("inventory", "orders", "STOCK_RESERVED", "order-events", "notifications")
    found = planned(desk)
    (step,) = found.steps
    assert isinstance(step, SendAgain)
    lost = next(event for event in desk.published if event.type == "ORDER_PAID")
    assert (step.queue, step.id) == ("inventory-events", lost.id)
    assert wire.decode(step.queue, step.body.encode()) == wire.decode(step.queue, lost.body.encode())
    assert found.says == "the order stays PAID, and all books agree"


def test_the_first_message_of_a_chain_brings_all_others() -> None:
    found = planned(Desk())
    assert steps(found) == [(SendAgain, "INVENTORY_RESERVE_REQUEST")]
    assert found.says == "PENDING -> PAID, and all books agree"


def test_a_lost_charge_is_never_asked_for_without_its_card_and_so_the_order_is_cancelled() -> None:
    desk = heard("inventory", "orders")
    found = planned(desk)
    assert steps(found) == [(Compensate, "")]
    assert found.says == "CONFIRMED -> CANCELLED, and all books agree"
    (step,) = found.steps
    assert isinstance(step, Compensate)
    assert (step.status, step.older_than) == ("CONFIRMED", 60)


def test_a_charge_that_the_gateway_knows_is_learnt_of_again() -> None:
    """Our payment is gone: the gateway, asked with the same key, answers what it did, and takes nothing."""
    desk = Desk().paid()
    del desk.stored[next(ref for ref in desk.stored if ref.kind is Payment)]
    assert steps(planned(desk)) == [(SendAgain, "ORDER_CONFIRMED")]


def test_a_dead_letter_is_redriven() -> None:
    desk = heard("inventory", "orders")
    found = planned(desk, letters=(desk.letter("STOCK_RESERVED"),))
    assert steps(found) == [(Redrive, "ORDER_CONFIRMED")]
    assert found.says == "CONFIRMED -> PAID, and all books agree"


def test_a_dead_letter_that_nobody_can_read_is_not_redriven() -> None:
    desk = Desk().paid()
    letter = desk.letter("orders")._replace(id="theirs", body=b"nonsense")
    assert planned(desk, letters=(letter,)).steps == ()


@pytest.mark.parametrize(
    ("command", "queues", "lost"),
    [
        (
            CancelOrder(order_id=ORDER, customer_id=None),
            ("inventory", "orders"),
            ["INVENTORY_RELEASE_REQUEST", "ORDER_CANCELLED"],
        ),
        (
            RequestRefund(order_id=ORDER, customer_id=None, reason="", refund_request_id="all"),
            ("inventory", "orders", "STOCK_RESERVED", "order-events", "inventory-events", "notifications"),
            ["ORDER_REFUND_REQUEST", "PAYMENT_REFUND"],
        ),
    ],
)
def test_a_compensation_that_was_lost_is_brought_to_its_end(
    command: object, queues: tuple[str, ...], lost: list[str]
) -> None:
    """And who is to be told of it is told."""
    desk = heard(*queues)
    desk.command(command)
    found = planned(desk)
    assert steps(found) == [(SendAgain, each) for each in lost]
    assert found.ends is Ends.MENDED


def test_what_nobody_was_told_is_told() -> None:
    desk = heard("inventory", "orders", "STOCK_RESERVED", "order-events", "inventory-events")
    (step,) = planned(desk).steps
    assert isinstance(step, SendAgain)
    assert step.queue == "notifications"
    assert isinstance(wire.decode(step.queue, step.body.encode()), OrderPaid)


def test_a_dead_letter_that_contradicts_what_happened_is_not_redriven() -> None:
    desk = Desk().paid()
    declined = PaymentFailed(
        order_id=ORDER, transaction_id="txn-2", amount=Decimal(20), currency="USD", reason="no money"
    )
    letter = desk.letter("order-events")._replace(id="theirs", body=wire.encode(declined))
    found = planned(desk, letters=(letter,))
    assert (found.ends, found.steps) == (Ends.BY_HAND, ())


def test_nothing_is_done_about_an_order_whose_product_does_not_add_up() -> None:
    """What is sent again would move pieces that nobody can account for."""
    desk = heard("inventory", "orders", "STOCK_RESERVED", "order-events", "notifications")
    assert planned(desk).ends is Ends.MENDED
    desk.stored[Ref(Stock, "lamp")] = Stock(id="lamp", available=7, reserved=2, initial=10)
    assert planned(desk).ends is Ends.BY_HAND


def test_a_lost_question_whether_goods_may_go_is_asked_again_under_its_own_id() -> None:
    desk = Desk().asked_to_ship()
    (asked,) = (event for event in desk.published if event.type == "SHIPMENT_REQUEST")
    found = planned(desk)
    assert (found.ends, found.says) == (Ends.MENDED, "the order stays PAID, and all books agree")
    assert found.steps == (SendAgain("order-events", asked.id, asked.type, asked.body),)
    assert any("still to say whether its goods may go" in each for each in found.findings)


@pytest.mark.parametrize(
    ("heard", "lost"),
    [
        (("order-events",), "SHIPMENT_APPROVED"),
        (("order-events", "fulfilment"), "ORDER_SHIPPED"),
    ],
)
def test_a_message_of_a_shipment_that_was_lost_is_sent_again_as_it_was(
    heard: tuple[str, ...], lost: str
) -> None:
    desk = Desk().asked_to_ship().heard(*heard)
    (event,) = (event for event in desk.published if event.type == lost)
    found = planned(desk)
    (step,) = found.steps
    assert isinstance(step, SendAgain)
    assert (step.id, step.body, found.ends) == (event.id, event.body, Ends.MENDED)


def test_of_an_order_that_fulfilment_never_heard_of_it_hears_where_it_runs() -> None:
    desk = Desk().paid()
    assert planned(desk).ends is Ends.SOUND
    found = planned(desk, ships_since=NOW)
    assert steps(found) == [(SendAgain, "ORDER_PAID")]
    assert (found.steps[0].queue, found.ends) == ("fulfilment", Ends.MENDED)  # type: ignore[union-attr]  # sent again


def test_a_shipment_that_is_gone_is_made_again_of_what_was_paid_for() -> None:
    desk = Desk().paid().heard("fulfilment")
    del desk.stored[Ref(Shipment, ORDER)]
    found = planned(desk, ships_since=NOW)
    assert steps(found) == [(SendAgain, "ORDER_PAID")]
    assert "knows nothing of it" in found.findings[0]
    assert planned(desk).ends is Ends.SOUND


def test_that_an_order_is_refunded_fulfilment_is_told_again() -> None:
    """Whether it knows the shipment, and would send it, or knows nothing at all."""
    for desk in (Desk().paid().heard("fulfilment"), Desk().paid()):
        desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="", refund_request_id="all"))
        desk.heard("notifications", "payment-events", "order-events", "inventory", "orders", "notifications")
        found = planned(desk, ships_since=NOW)
        assert steps(found) == [(SendAgain, "ORDER_REFUNDED")]
        assert (found.steps[0].queue, found.ends) == ("fulfilment", Ends.MENDED)  # type: ignore[union-attr]  # sent again


def called_off(desk: Desk) -> None:
    desk.change(Shipment, state=ShipmentState.CANCELLED)


def too_many(desk: Desk) -> None:
    desk.change(Shipment, products=(Goods("lamp", 3),))


def unpaid(desk: Desk) -> None:
    desk.command(CancelOrder(order_id=ORDER, customer_id=None))
    shipment = Desk().paid().heard("fulfilment").one(Shipment)
    desk.stored[Ref(Shipment, ORDER)] = shipment


@pytest.mark.parametrize(
    ("desk", "change", "what"),
    [
        (Desk().paid().heard("fulfilment"), called_off, "its shipment is CANCELLED"),
        (Desk().paid().heard("fulfilment"), too_many, "to be sent: 3 of lamp"),
        (heard("inventory", "orders"), unpaid, "of an order that is CANCELLED"),
    ],
)
def test_what_no_message_cures_of_a_shipment_is_left_to_people(
    desk: Desk, change: Callable[[Desk], None], what: str
) -> None:
    change(desk)
    found = planned(desk, ships_since=NOW)
    assert any(what in each for each in found.findings)
    assert (found.ends, found.steps) in {(Ends.BY_HAND, ()), (Ends.MOVING, ())}, found


def test_a_shipment_that_was_touched_a_moment_ago_is_left_alone() -> None:
    desk = Desk().asked_to_ship()
    desk.change(Shipment, updated_at=NOW + LATER - timedelta(seconds=29))
    assert planned(desk).ends is Ends.MOVING


def test_a_dead_question_whether_goods_may_go_is_asked_again() -> None:
    """The order approves, the shipment is sent, and the customer told."""
    desk = Desk().asked_to_ship()
    found = planned(desk, letters=(desk.letter("order-events"),))
    assert steps(found) == [(Redrive, "SHIPMENT_REQUEST")]
    assert (found.ends, found.says) == (Ends.MENDED, "the order stays PAID, and all books agree")


def test_a_dead_question_of_an_order_that_is_refunded_meanwhile_is_refused() -> None:
    desk = Desk().asked_to_ship()
    letter = desk.letter("order-events")
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="", refund_request_id="all"))
    desk.heard("notifications", "payment-events", "order-events", "inventory", "orders", "notifications")
    found = planned(desk, letters=(letter,))
    assert steps(found) == [(Redrive, "SHIPMENT_REQUEST")]
    assert found.says == "the order stays REFUNDED, and all books agree"


def test_a_dead_answer_whether_goods_may_go_is_given_again() -> None:
    desk = Desk().asked_to_ship().heard("order-events")
    found = planned(desk, letters=(desk.letter("fulfilment"),))
    assert steps(found) == [(Redrive, "SHIPMENT_APPROVED")]
    assert found.ends is Ends.MENDED


def test_of_an_order_that_fulfilment_could_not_take_it_hears_again() -> None:
    desk = Desk().paid()
    found = planned(desk, letters=(desk.letter("fulfilment"),))
    assert steps(found) == [(Redrive, "ORDER_PAID")]
    assert found.ends is Ends.MENDED


def gone(desk: Desk) -> None:
    del desk.stored[next(ref for ref in desk.stored if ref.kind is Reservation)]


def unsold(desk: Desk) -> None:
    line = structs.replace(desk.one(Reservation).lines[0], state=LineState.HELD)
    desk.change(Reservation, lines=(line,))


def dearer(desk: Desk) -> None:
    desk.change(Order, total=1)


def taken_twice(desk: Desk) -> None:
    desk.ledger.append(structs.replace(desk.ledger[0], id="again"))


@pytest.mark.parametrize("broken", [gone, unsold, dearer, taken_twice])
def test_what_no_message_cures_is_left_to_people(broken: Callable[[Desk], None]) -> None:
    """Sent again, the request for a reservation that is gone would take its pieces a second time."""
    desk = Desk().paid()
    broken(desk)
    found = planned(desk)
    assert (found.ends, found.steps) == (Ends.BY_HAND, ())
    assert found.findings
