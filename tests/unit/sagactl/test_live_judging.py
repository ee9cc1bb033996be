"""What of a shop at work is judged, what is waited for, and what is named."""

from datetime import timedelta
from typing import Any, Final

import pytest
from msgspec import structs

from sagactl.oncall.explain.marks import Unsent
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.live.judging import (
    OVERDUE,
    STILL,
    Terms,
    check_transaction,
    is_suspect,
    judge,
    touched_at,
)
from services.fulfilment.shipment import Shipment, ShipmentState
from services.inventory.reservation import Reservation
from services.order.commands import RequestRefund
from services.order.model import Order, RefundLine
from services.payment.gateway import Kind, Status, Transaction
from services.payment.payment import Payment, PaymentRefund, PaymentState, RefundState
from services.shared.contract.table import Contradiction
from tests.unit.explain.desk import NOW, ORDER, Desk

WHILE: Final = STILL + timedelta(seconds=1)
LONG: Final = OVERDUE + timedelta(seconds=1)


def named(desk: Desk, after: timedelta = WHILE, **marks: Any) -> list[tuple[Invariant, bool]]:
    """What is named so long after everything was touched for the last time, and whether it only waits."""
    terms = Terms.at(NOW + after, ships_since=marks.get("ships_since"))
    seen = desk.marks(after=after, **marks)
    found = list(judge(seen, terms))
    assert {finding.subject for finding in found} <= {ORDER}
    assert not found or is_suspect(seen.case, terms)
    return [(finding.invariant, finding.waiting) for finding in found]


def paid_and_never_sold() -> Desk:
    """ORDER_PAID never reached inventory."""
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED", "order-events", "notifications"):
        desk.hear(queue)
    return desk


def test_an_order_that_ended_well_is_no_suspect() -> None:
    desk = Desk().paid()
    assert not is_suspect(desk.marks().case, Terms.at(NOW + LONG))
    assert named(desk) == []


def test_what_anybody_touched_a_moment_ago_is_not_judged() -> None:
    desk = paid_and_never_sold()
    assert touched_at(desk.marks().case) == NOW
    assert named(desk, STILL) == []
    assert named(desk) == [(Invariant.STOCK_OWNED, False)]


def test_what_moved_while_it_was_looked_at_is_not_judged() -> None:
    assert named(paid_and_never_sold(), moving=True) == []
    desk = Desk().paid()
    desk.change(Order, history=())
    assert named(desk, moving=True) == []
    assert named(desk) == [(Invariant.SAGA_ENDED, False)]


def test_what_a_message_on_its_way_may_cure_is_not_named_before_it_is_overdue() -> None:
    desk = paid_and_never_sold()
    assert named(desk, waiting={"inventory-events": 1}) == []
    assert named(desk, waiting={"inventory-events.retry.3": 1}) == []
    paid = next(event for event in desk.published if event.type == "ORDER_PAID")
    assert named(desk, unsent=(Unsent(paid.id, paid.type, "order", NOW),)) == []
    assert named(desk, LONG, waiting={"inventory-events": 1}) == [(Invariant.STOCK_OWNED, True)]


def test_a_message_that_is_nowhere_is_named_by_its_id() -> None:
    desk = paid_and_never_sold()
    (finding,) = judge(desk.marks(after=WHILE), Terms.at(NOW + WHILE))
    assert "ORDER_PAID was never handled by inventory, and is nowhere" in finding.what


def test_an_order_that_is_open_has_its_time() -> None:
    assert named(Desk()) == []
    assert not is_suspect(Desk().marks().case, Terms.at(NOW + WHILE))
    assert named(Desk(), LONG, waiting={"inventory": 1}) == [(Invariant.SAGA_ENDED, True)]
    assert named(Desk(), LONG) == [(Invariant.SAGA_ENDED, False)]


def test_a_refund_has_its_time_however_long_ago_its_order_was_paid() -> None:
    desk = Desk().paid()
    desk.now += timedelta(days=3)
    lines = (RefundLine("lamp", 1),)
    desk.command(
        RequestRefund(order_id=ORDER, customer_id=None, reason="", refund_request_id="some", lines=lines)
    )
    later = desk.now + WHILE
    seen = desk.marks(after=WHILE, waiting={"payment-events": 1})
    assert not is_suspect(seen.case, Terms.at(later))
    assert list(judge(seen, Terms.at(later))) == []


def test_what_no_message_cures_is_named_of_open_orders_too() -> None:
    desk = Desk()
    desk.change(Order, history=())
    assert (Invariant.SAGA_ENDED, False) in named(desk, waiting={"inventory": 1})


def test_what_the_payment_gateway_is_being_asked_is_not_missing() -> None:
    desk = Desk().paid()
    desk.change(Payment, state=PaymentState.CAPTURING)
    assert named(desk) == []
    assert named(desk, LONG) == [(Invariant.MONEY_AGREES, True)]


def test_a_contradiction_is_named_whatever_moves() -> None:
    desk = Desk().paid()
    desk.change(Reservation, attention=(Contradiction(NOW, "ORDER_PAID", "e", "odd"),))
    assert named(desk, timedelta(), moving=True) == [(Invariant.EXPLAINED, False)]


def test_a_paid_order_that_fulfilment_does_not_know_is_named_once_no_message_is_on_its_way() -> None:
    desk = Desk().paid()
    paid = next(event for event in desk.published if event.type == "ORDER_PAID")
    heard: dict[str, Any] = {"ships_since": NOW}
    assert named(desk, STILL, **heard) == []
    assert named(desk, waiting={"fulfilment": 1}, **heard) == []
    assert named(desk, unsent=(Unsent(paid.id, paid.type, "order", NOW),), **heard) == []
    assert named(desk, **heard) == [(Invariant.STOCK_OWNED, False)]
    assert named(desk, LONG, waiting={"fulfilment": 1}, **heard) == [(Invariant.STOCK_OWNED, True)]
    (finding,) = judge(desk.marks(after=WHILE, **heard), Terms.at(NOW + WHILE, ships_since=NOW))
    assert "ORDER_PAID was never handled by fulfilment, and is nowhere" in finding.what
    assert named(desk.heard("fulfilment"), **heard) == []


def test_where_fulfilment_does_not_run_nobody_misses_a_shipment() -> None:
    desk = Desk().paid()
    assert named(desk, LONG) == []
    assert named(desk, LONG, ships_since=NOW + STILL) == []


def test_a_shipment_that_contradicts_its_order_is_named_once_it_stands_still() -> None:
    desk = Desk().paid().heard("fulfilment")
    desk.change(Shipment, state=ShipmentState.CANCELLED)
    assert named(desk, STILL) == []
    assert named(desk) == [(Invariant.STOCK_OWNED, False)]


# --- the payment gateway ----------------------------------------------------------------------------------

CAPTURED: Final = Transaction(
    key="order-1:capture",
    order_id=ORDER,
    kind=Kind.CAPTURE,
    amount=2000,
    currency="USD",
    status=Status.CAPTURED,
    id="txn-1",
    at=NOW,
)
REFUNDED: Final = structs.replace(CAPTURED, kind=Kind.REFUND, status=Status.REFUNDED, id="re-1")
PAYMENT: Final = Payment(
    id=ORDER,
    state=PaymentState.REFUNDED,
    transaction_id="txn-1",
    refund_id="re-1",
    created_at=NOW,
    updated_at=NOW,
)
PARTS: Final = structs.replace(
    PAYMENT,
    state=PaymentState.CAPTURED,
    refunds=tuple(
        PaymentRefund(request_id=id_, amount=500, state=RefundState.REFUNDED, refund_id=id_)
        for id_ in ("re-1", "re-2")
    ),
)
AGREES: Final[list[bool]] = []


@pytest.mark.parametrize(
    ("transaction", "payment", "waits"),
    [
        (CAPTURED, PAYMENT, AGREES),
        (REFUNDED, PAYMENT, AGREES),
        (structs.replace(CAPTURED, status=Status.DECLINED), None, AGREES),
        (CAPTURED, None, [False]),
        (structs.replace(CAPTURED, id="again"), PAYMENT, [False]),
        (REFUNDED, structs.replace(PAYMENT, refund_id="another"), [False]),
        (REFUNDED, structs.replace(PAYMENT, state=PaymentState.CAPTURED, refund_id=""), [False]),
        # Some of it, beside other parts, and once in vain.
        (structs.replace(REFUNDED, id="re-2"), PARTS, AGREES),
        (structs.replace(REFUNDED, id="re-3", status=Status.REFUSED), PARTS, AGREES),
        (structs.replace(REFUNDED, id="re-4"), PARTS, [False]),
        # It has answered, and we have not written it down yet.
        (REFUNDED, structs.replace(PAYMENT, state=PaymentState.REFUNDING, refund_id=""), [True]),
        (CAPTURED, structs.replace(PAYMENT, state=PaymentState.CAPTURING, transaction_id=""), [True]),
        (CAPTURED, structs.replace(PAYMENT, state=PaymentState.PENDING), [True]),
        (CAPTURED, structs.replace(PAYMENT, state=PaymentState.VOIDING), [True]),
        (CAPTURED, structs.replace(PAYMENT, state=PaymentState.VOIDED), [False]),
        *(
            (structs.replace(CAPTURED, status=status), structs.replace(PAYMENT, state=state), AGREES)
            for status, state in (
                (Status.PENDING, PaymentState.PENDING),
                (Status.AUTHORIZED, PaymentState.AUTHORIZED),
                (Status.VOIDED, PaymentState.VOIDED),
            )
        ),
    ],
)
def test_what_the_gateway_has_done_is_what_our_payment_says(
    transaction: Transaction, payment: Payment | None, waits: list[bool]
) -> None:
    found = list(check_transaction(transaction, payment))
    assert [finding.waiting for finding in found] == waits
    assert all(transaction.id in finding.what for finding in found)
