"""By the marks that events leave: what this table publishes is what was published, or it is told."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import pytest
from msgspec import structs

from dev.simulate.shop import Shop
from sagactl.oncall.explain.explanation import Explanation
from sagactl.oncall.replay.judging import ARRIVES_WITHIN, Evidence, judge
from services.notification.domain import Notification
from services.order import refunds, saga, steps
from services.order.commands import RequestRefund
from services.order.model import Order, Status
from services.order.saga import SAGA
from services.order.steps import Trigger
from services.shared.contract import events
from services.shared.contract.events import Event
from services.shared.contract.table import Cells, Emit, Step, Table
from tests.unit.explain.desk import NOW, Desk
from tests.unit.explain.losing import NOTHING, Losing, Snapshot, run

LATER: Final = ARRIVES_WITHIN + timedelta(seconds=1)


def evidence(desk: Desk) -> Evidence:
    told = frozenset(each.id for each in desk.stored.values() if isinstance(each, Notification))
    return Evidence(desk.one(Order), told, desk.now + LATER)


@pytest.mark.parametrize(
    "made",
    [Desk, Desk().paid, Desk().refunded, Desk(declines=True).declined],
    ids=["placed", "paid", "refunded", "declined"],
)
def test_what_was_decided_by_this_table_is_decided_so_again(made: Callable[[], Desk]) -> None:
    assert judge(evidence(made())) is None


def test_so_is_every_order_of_a_shop_that_fails_all_the_time() -> None:
    """At every time, and long after the last one, by when everything has arrived."""
    looks = 0

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        nonlocal looks
        snapshot = Snapshot(shop, Losing(NOTHING, nothing))
        for id_ in explained:
            marks = snapshot.marks(id_)
            assert marks.case.order is not None
            told = frozenset(each.id for each in marks.case.notifications)
            assert judge(Evidence(marks.case.order, told, marks.at + at_the_end * LATER)) is None
            looks += 1

    run("replay", 60, Losing(NOTHING, nothing), look, calm=False)
    assert looks > 60


def nothing(_: str, __: str, ___: str) -> bool:
    return False


# --- another table ----------------------------------------------------------------------------------------


def publishing(state: Status, kind: type, emit: tuple[Emit, ...]) -> Table[Order, Trigger, Event]:
    """The table, where steps of one cell publish something else."""
    cell = tuple(row._replace(emit=emit) if isinstance(row, Step) else row for row in SAGA.cells[state, kind])
    cells: Cells = {**SAGA.cells, (state, kind): cell}
    return Table(cells, state="status")


CAPTURED, ASKED, BACK = events.PaymentSucceeded, RequestRefund, events.StockReleased
CHANGED: Final = {
    "what was told is no longer published": (
        publishing(Status.CONFIRMED, CAPTURED, ()),
        3,
        "CONFIRMED -> PAID, publishes ORDER_PAID as d94815f8-b6b7-5c92-9050-9ee57d524db3",
        "publishes nothing, not that id",
    ),
    "what was never told is published": (
        publishing(Status.CONFIRMED, CAPTURED, (steps.order_paid, refunds.order_refunded)),
        3,
        "CONFIRMED -> PAID; the customer was told of no ORDER_REFUNDED",
        "publishes ORDER_REFUNDED",
    ),
    "another order of events, so that they have other ids": (
        publishing(Status.PAID, ASKED, (refunds.refund_payment, refunds.refund_requested)),
        4,
        "PAID -> REFUNDING, publishes ORDER_REFUND_REQUEST as 358cc0e2-5407-533c-9fec-0ff2ce80a095",
        "publishes PAYMENT_REFUND, ORDER_REFUND_REQUEST, not that id",
    ),
    "what was answered is no longer published": (
        publishing(Status.REFUNDING, events.PaymentRefunded, ()),
        5,
        "REFUNDING -> REFUNDING, publishes INVENTORY_RELEASE_REQUEST",
        "REFUNDING -> REFUNDING",
    ),
    "what was answered has another id": (
        publishing(Status.PENDING, events.StockReserved, (steps.order_paid, steps.order_confirmed)),
        2,
        "PENDING -> CONFIRMED, publishes ORDER_CONFIRMED as d256fddc-2055-51be-b50d-ce0823c369ab",
        "publishes ORDER_PAID, ORDER_CONFIRMED, not that id",
    ),
}


@pytest.mark.parametrize(("table", "step", "recorded", "decided"), CHANGED.values(), ids=CHANGED)
def test_a_step_that_would_publish_something_else_is_told(
    monkeypatch: pytest.MonkeyPatch,
    table: Table[Order, Trigger, Event],
    step: int,
    recorded: str,
    decided: str,
) -> None:
    told = evidence(Desk().refunded())
    monkeypatch.setattr(saga, "SAGA", table)
    found = judge(told)
    assert found is not None
    assert found.step == step
    assert found.recorded.startswith(recorded)
    assert found.decided == decided


def test_what_may_still_arrive_is_not_missed() -> None:
    desk = Desk().heard("inventory", "orders", "STOCK_RESERVED", "order-events", "inventory-events")
    seen = evidence(desk)
    assert judge(seen._replace(at=desk.now + timedelta(seconds=5))) is None
    found = judge(seen)
    assert found is not None
    assert "was told of no ORDER_PAID" in found.recorded


def test_what_came_from_other_systems_is_no_difference() -> None:
    """Their ids are not made of ours: of an answer, whose effects then have others, and of what was told."""
    order = Desk().heard("inventory", "orders").one(Order)
    theirs = structs.replace(order.history[-1], event_id="ab" * 32)
    seen = Evidence(structs.replace(order, history=(*order.history[:-1], theirs)), frozenset({"theirs"}), NOW)
    assert judge(seen) is None
