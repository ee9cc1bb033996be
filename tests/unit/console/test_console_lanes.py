"""The drawing of an order's messages."""

from datetime import timedelta

import pytest

from console.explained import commands
from console.lanes import LANES, STEP, Drawing, draw
from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.marks import Marks
from services.order.commands import RequestRefund
from tests.unit.explain.desk import ORDER, Desk

LONG = timedelta(minutes=5)


def drawn(marks: Marks) -> Drawing:
    return draw(explain(marks), commands(marks.case))


def numbered(drawing: Drawing) -> dict[int, tuple[float, float]]:
    return {mark.number: (mark.x, mark.y) for mark in drawing.marks if mark.number}


@pytest.mark.parametrize(
    "desk",
    [Desk().paid(), Desk().refunded(), Desk(declines=True).declined(), Desk().delivered()],
    ids=["paid", "refunded", "declined", "delivered"],
)
def test_every_message_has_its_number_and_arrives_in_its_consumers_lane(desk: Desk) -> None:
    marks = desk.marks(after=LONG)
    told, drawing = explain(marks), drawn(marks)
    heights = {lane.name: lane.y for lane in drawing.lanes}
    assert [*heights] == list(LANES if marks.case.shipment else LANES[:-1])
    arrived = numbered(drawing)
    assert {number: y for number, (_, y) in arrived.items()} == {
        number: heights[hop.consumer] for number, hop in enumerate(told.hops, start=1)
    }


def test_no_message_is_drawn_before_its_cause() -> None:
    drawing = drawn(Desk().refunded().marks(after=LONG))
    assert all(arrow.x1 <= arrow.x2 for arrow in drawing.arrows)


def test_no_two_marks_are_on_top_of_each_other() -> None:
    drawing = drawn(Desk().refunded().marks(after=LONG))
    places = [(mark.x, mark.y) for mark in drawing.marks]
    assert len(places) == len(set(places))


def test_a_long_wait_is_drawn_longer_and_still_fits_the_page() -> None:
    quick = drawn(Desk().heard("inventory", "orders").marks(waiting={"STOCK_RESERVED": 1}))
    slow = drawn(Desk().heard("inventory", "orders").marks(waiting={"STOCK_RESERVED": 1}, after=LONG))
    (early, _), (late, _) = quick.lines, slow.lines
    assert early.x < late.x < early.x + 4 * STEP


def test_an_order_that_goes_on_shows_now_and_what_is_expected_right_of_it() -> None:
    drawing = drawn(Desk().heard("inventory", "orders").marks(waiting={"STOCK_RESERVED": 1}, after=LONG / 2))
    (now, deadline) = drawing.lines
    assert (now.kind, deadline.kind) == ("now", "deadline")
    assert deadline.label == "sweep in 2 min 30 s"
    expected = [mark for mark in drawing.marks if mark.state == "expected"]
    awaited = {"PAYMENT_SUCCEEDED", "PAYMENT_FAILED", "PAYMENT_PENDING"}
    assert {mark.label for mark in expected} == awaited
    assert all(now.x < mark.x < deadline.x for mark in expected)
    assert all(mark.x < now.x for mark in drawing.marks if mark not in expected)


def test_a_settled_order_has_no_now() -> None:
    assert drawn(Desk().paid().marks(after=LONG)).lines == ()


def test_a_lost_message_is_drawn_where_it_should_have_arrived() -> None:
    drawing = drawn(Desk().heard("inventory").marks(after=LONG))
    assert [mark.label for mark in drawing.marks if mark.state == "missing"] == ["INVENTORY_RESERVED"]
    assert [arrow.state for arrow in drawing.arrows].count("missing") == 1


def test_what_asked_for_a_step_comes_from_outside() -> None:
    drawing = drawn(Desk().refunded().marks(after=LONG))
    begun = [mark.label for mark in drawing.marks if mark.state == "begun"]
    assert begun == ["ORDER_CREATED", "REFUND_REQUESTED"]


def test_whoever_sends_the_goods_tells_fulfilment_from_outside() -> None:
    drawing = drawn(Desk().delivered().marks(after=LONG))
    (fulfilment,) = [lane.y for lane in drawing.lanes if lane.name == "fulfilment"]
    begun = [(mark.label, mark.y == fulfilment) for mark in drawing.marks if mark.state == "begun"]
    assert begun == [("ORDER_CREATED", False), ("SHIP", True), ("DELIVER", True)]
    assert fulfilment < drawing.height


def test_a_refund_that_the_clock_brought_up_again_is_drawn_in_the_lane_of_payment() -> None:
    desk = Desk().paid()
    desk.command(RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all"))
    desk.hear("notifications")
    desk.refuses = True
    desk.heard("payment-events", "order-events")
    desk.refuses = False
    desk.ask_again()
    drawing = drawn(desk.marks(after=LONG))
    (payment,) = [lane.y for lane in drawing.lanes if lane.name == "payment"]
    (lost,) = [arrow for arrow in drawing.arrows if arrow.state == "missing"]
    assert lost.y1 == payment
