"""Every cell and every row of the saga's table, against what the design says in its own words.

The expectations are written from the design, not from the table: they fail where the two differ.
"""

from typing import Any, NamedTuple

import pytest
from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import Order, RefundLine, Status
from services.order.refunds import named
from services.order.saga import SAGA, advance, create
from services.shared.contract.decisions import Premature, Refused, Verdict
from services.shared.contract.events import CONSUMES, Missing
from services.shared.contract.table import NEW, always, ways
from tests.unit.order import examples as eg


class Step(NamedTuple):
    to: Status
    # Types, a release with its reason.
    publishes: tuple[str, ...] = ()


class Answered(NamedTuple):
    """Nothing changes, and whoever asks is told."""

    publishes: tuple[str, ...]


class Forbidden(NamedTuple):
    says: str


DUPLICATE, PREMATURE, ATTENTION = "duplicate", "premature", "attention"
Expected = Step | Answered | Forbidden | str

PENDING, CONFIRMED, PAID = Status.PENDING, Status.CONFIRMED, Status.PAID
CANCELLED, REFUNDING, REFUNDED = Status.CANCELLED, Status.REFUNDING, Status.REFUNDED


def cancelled(*, release: str | None, refund: bool = False) -> Step:
    first = () if release is None else (f"INVENTORY_RELEASE_REQUEST {release}",)
    last = ("PAYMENT_REFUND",) if refund else ()
    return Step(CANCELLED, (*first, "ORDER_CANCELLED", *last))


ASKED = Step(PAID, ("ORDER_REFUND_REQUEST", "PAYMENT_REFUND"))
RELEASE_REFUNDED = Step(REFUNDING, ("INVENTORY_RELEASE_REQUEST REFUND",))
APPROVED_AGAIN, NOT_SHIPPED = Answered(("SHIPMENT_APPROVED",)), Answered(("SHIPMENT_REFUSED",))
LATE_RESERVATION = Step(CANCELLED, ("INVENTORY_RELEASE_REQUEST LATE_RESERVATION",))

# state, what comes -> what the design says
EXPECTED: list[tuple[Order, Any, Expected]] = [
    # --- PENDING: waits for its stock
    (eg.PENDING, eg.BOTH_RESERVED, Step(CONFIRMED, ("ORDER_CONFIRMED",))),
    (eg.PENDING, eg.LAMP_RESERVED, Step(PENDING)),
    (eg.PENDING_LAMP_HELD, eg.LAMP_RESERVED, DUPLICATE),
    (eg.PENDING_LAMP_HELD, eg.DESK_RESERVED, Step(CONFIRMED, ("ORDER_CONFIRMED",))),
    (eg.PENDING_PARTIAL, eg.LAMP_WITHOUT_DESK, Step(CONFIRMED, ("ORDER_CONFIRMED",))),
    (eg.PENDING, eg.LAMP_WITHOUT_DESK, ATTENTION),  # nobody asked for a part of it
    (eg.PENDING_PARTIAL_LAMP_HELD, eg.reserved(Missing("lamp", 2, 0), desk=1), ATTENTION),
    (eg.PENDING_PARTIAL_LAMP_MISSING, eg.LAMP_RESERVED, ATTENTION),
    (eg.PENDING_PARTIAL_LAMP_MISSING, eg.DESK_RESERVED, Step(CONFIRMED, ("ORDER_CONFIRMED",))),
    (eg.PENDING, eg.STRANGE_RESERVED, ATTENTION),
    (eg.PENDING, eg.WRONG_QUANTITY, ATTENTION),
    (eg.PENDING_PARTIAL, eg.reserved(Missing("desk", 7, 0), lamp=2), ATTENTION),
    (eg.PENDING, eg.UNAVAILABLE, cancelled(release=None)),
    (eg.PENDING_PARTIAL, eg.UNAVAILABLE, cancelled(release=None)),
    (eg.PENDING, eg.DESK_UNAVAILABLE, cancelled(release="LATE_RESERVATION")),
    (eg.PENDING_LAMP_HELD, eg.DESK_UNAVAILABLE, cancelled(release="LATE_RESERVATION")),
    (eg.PENDING_LAMP_HELD, eg.UNAVAILABLE, cancelled(release="LATE_RESERVATION")),
    (eg.PENDING, eg.SOFA_UNAVAILABLE, ATTENTION),  # as a reservation of a sofa is
    (eg.PENDING, structs.replace(eg.UNAVAILABLE, missing=(Missing("sofa", 1, 0),)), ATTENTION),
    (eg.PENDING, eg.BOTH_RELEASED, ATTENTION),
    (eg.PENDING, eg.CAPTURED, PREMATURE),
    (eg.PENDING, eg.DECLINED, PREMATURE),
    (eg.PENDING, eg.PAYMENT_PENDING, PREMATURE),
    (eg.PENDING, eg.MONEY_BACK, PREMATURE),
    (eg.PENDING, eg.CANCEL, cancelled(release="CUSTOMER_CANCELLED")),
    (eg.PENDING_LAMP_HELD, eg.CANCEL, cancelled(release="CUSTOMER_CANCELLED")),
    (eg.PENDING, eg.time_out(PENDING), cancelled(release="SAGA_TIMEOUT")),
    (eg.PENDING, eg.REFUND, Forbidden("cancel it instead")),
    (eg.PENDING, eg.REFUND_LAMP, Forbidden("the whole order is being charged")),
    (eg.PENDING, eg.ALL_FAILED, ATTENTION),
    (eg.PENDING, eg.SETTLE_ALL, Forbidden("that the payment gateway refuses")),
    # --- CONFIRMED: waits for its money
    (eg.CONFIRMED, eg.BOTH_RESERVED, DUPLICATE),
    (eg.CONFIRMED, eg.LAMP_RESERVED, DUPLICATE),
    (eg.CONFIRMED, eg.WRONG_QUANTITY, ATTENTION),
    (eg.CONFIRMED_PARTIAL, eg.LAMP_WITHOUT_DESK, DUPLICATE),
    (eg.CONFIRMED, eg.UNAVAILABLE, ATTENTION),
    (eg.CONFIRMED, eg.DESK_UNAVAILABLE, ATTENTION),
    (eg.CONFIRMED_PARTIAL, eg.DESK_UNAVAILABLE, DUPLICATE),  # it went on without the desk
    (eg.CONFIRMED_PARTIAL, eg.UNAVAILABLE, DUPLICATE),
    (eg.CONFIRMED_GIVEN_BACK, eg.UNAVAILABLE, DUPLICATE),
    (eg.CONFIRMED_PARTIAL, structs.replace(eg.DESK_UNAVAILABLE, product_id="lamp"), ATTENTION),
    (eg.CONFIRMED_PARTIAL, structs.replace(eg.UNAVAILABLE, missing=()), ATTENTION),
    (eg.CONFIRMED, eg.BOTH_RELEASED, Step(CONFIRMED)),
    (eg.CONFIRMED, eg.CAPTURED, Step(PAID, ("ORDER_PAID",))),
    (eg.CONFIRMED_PARTIAL, eg.captured("200.00"), Step(PAID, ("ORDER_PAID",))),
    (eg.CONFIRMED, eg.CAPTURED_ANOTHER_AMOUNT, ATTENTION),
    (eg.CONFIRMED, eg.CAPTURED_ANOTHER_CURRENCY, ATTENTION),
    (eg.CONFIRMED_PARTIAL, eg.CAPTURED, ATTENTION),  # for what was not there
    (eg.CONFIRMED_GIVEN_BACK, eg.CAPTURED, ATTENTION),  # nothing is left to be sold
    (eg.CONFIRMED_CAPTURED, eg.CAPTURED_ANOTHER_AMOUNT, DUPLICATE),
    (eg.CONFIRMED_CAPTURED, structs.replace(eg.CAPTURED_ANOTHER_AMOUNT, transaction_id="txn_2"), ATTENTION),
    (eg.CONFIRMED_CAPTURED, eg.CAPTURED, Step(PAID, ("ORDER_PAID",))),
    (eg.CONFIRMED_CAPTURED, eg.DECLINED, ATTENTION),
    (eg.CONFIRMED, eg.DECLINED, cancelled(release="PAYMENT_FAILED")),
    (eg.CONFIRMED_GIVEN_BACK, eg.DECLINED, cancelled(release="PAYMENT_FAILED")),
    (eg.CONFIRMED, eg.PAYMENT_PENDING, Step(CONFIRMED)),
    (eg.CONFIRMED, eg.TO_BE_AGREED, Step(CONFIRMED)),
    (eg.CONFIRMED_PENDING, eg.PAYMENT_PENDING, DUPLICATE),
    (eg.CONFIRMED_PENDING, eg.TO_BE_AGREED, Step(CONFIRMED)),
    (eg.CONFIRMED_PENDING, eg.CAPTURED, Step(PAID, ("ORDER_PAID",))),
    (eg.CONFIRMED_PENDING, eg.DECLINED, cancelled(release="PAYMENT_FAILED")),
    (eg.CONFIRMED_PENDING, eg.CANCEL, cancelled(release="CUSTOMER_CANCELLED")),
    (eg.CONFIRMED_PENDING, eg.time_out(), cancelled(release="SAGA_TIMEOUT")),
    (eg.CONFIRMED, eg.MONEY_BACK, ATTENTION),
    (eg.CONFIRMED, eg.CANCEL, cancelled(release="CUSTOMER_CANCELLED")),
    (eg.CONFIRMED, eg.time_out(), cancelled(release="SAGA_TIMEOUT")),
    (eg.CONFIRMED_CAPTURED, eg.CANCEL, cancelled(release="CUSTOMER_CANCELLED", refund=True)),
    (eg.CONFIRMED_CAPTURED, eg.time_out(), cancelled(release="SAGA_TIMEOUT", refund=True)),
    (eg.CONFIRMED, eg.REFUND, Forbidden("cancel it instead")),
    (eg.CONFIRMED, eg.REFUND_LAMP, Forbidden("the whole order is being charged")),
    (eg.CONFIRMED, eg.ALL_FAILED, ATTENTION),
    (eg.CONFIRMED, eg.SETTLE_ALL, Forbidden("that the payment gateway refuses")),
    # --- PAID: the end, unless the customer wants it back
    (eg.PAID, eg.BOTH_RESERVED, DUPLICATE),
    (eg.PAID, eg.WRONG_QUANTITY, ATTENTION),
    (eg.PAID, eg.UNAVAILABLE, ATTENTION),
    (eg.PAID_PARTIAL, eg.DESK_UNAVAILABLE, DUPLICATE),
    (eg.PAID, eg.BOTH_RELEASED, ATTENTION),
    (eg.PAID, eg.CAPTURED, DUPLICATE),
    (eg.PAID, eg.CAPTURED_AGAIN, ATTENTION),
    (eg.PAID, eg.DECLINED, ATTENTION),
    (eg.PAID, eg.PAYMENT_PENDING, DUPLICATE),
    (eg.PAID, eg.MONEY_BACK, ATTENTION),
    (eg.PAID, eg.CANCEL, Forbidden("ask for a refund instead")),
    (eg.PAID, eg.time_out(PAID), Forbidden("paid")),
    (eg.PAID, eg.REFUND, Step(REFUNDING, ("ORDER_REFUND_REQUEST", "PAYMENT_REFUND"))),
    # --- PAID, and some of it goes back: side by side, the money first, then the goods
    (eg.PAID, eg.REFUND_LAMP, ASKED),
    (eg.PAID_LAMP_ASKED, eg.REFUND_LAMP, DUPLICATE),
    (eg.PAID_LAMP_ASKED, eg.REFUND_REST, ASKED._replace(to=REFUNDING)),
    (eg.PAID_LAMP_REFUSED, eg.REFUND, ASKED._replace(to=REFUNDING)),
    (eg.PAID_LAMP_DONE, structs.replace(eg.REFUND_LAMP, refund_request_id="second"), ASKED),
    (eg.PAID, eg.REFUND_THREE_LAMPS, Forbidden("more pieces than are left")),
    (eg.PAID, structs.replace(eg.REFUND, lines=(RefundLine("sofa", 1),)), Forbidden("more pieces")),
    (eg.PAID_PARTIAL, structs.replace(eg.REFUND, lines=(RefundLine("desk", 1),)), Forbidden("more pieces")),
    (eg.PAID_HUNDRED, eg.REFUND_LAMP, Forbidden("100 refunds at most")),
    (eg.PAID_LAMP_ASKED, eg.LAMP_MONEY_BACK, Step(PAID, ("INVENTORY_RELEASE_REQUEST REFUND",))),
    (eg.PAID_LAMP_ASKED, eg.money_back(None, "100.00"), Step(PAID, ("INVENTORY_RELEASE_REQUEST REFUND",))),
    (eg.PAID_LAMP_KEPT_ASKED, eg.LAMP_MONEY_BACK, Step(PAID, ("ORDER_PARTIALLY_REFUNDED",))),
    (eg.PAID_LAMP_REFUSED, eg.LAMP_MONEY_BACK, Step(PAID, ("INVENTORY_RELEASE_REQUEST REFUND",))),
    (eg.PAID_LAMP_ASKED, eg.money_back("lamp-back", "99.99"), ATTENTION),
    (eg.PAID_LAMP_ASKED, eg.money_back("strange", "100.00"), ATTENTION),
    (eg.PAID_LAMP_MONEY_BACK, eg.LAMP_MONEY_BACK, DUPLICATE),
    (eg.PAID_LAMP_DONE, eg.LAMP_MONEY_BACK, DUPLICATE),
    (eg.PAID_LAMP_OUTSIDE, eg.LAMP_MONEY_BACK, ATTENTION),  # the customer has it twice
    (eg.PAID_LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK, Step(PAID, ("ORDER_PARTIALLY_REFUNDED",))),
    (eg.PAID_LAMP_MONEY_BACK, eg.goods_back(None, lamp=1), Step(PAID, ("ORDER_PARTIALLY_REFUNDED",))),
    (eg.PAID_LAMP_DONE, eg.LAMP_GOODS_BACK, DUPLICATE),
    (eg.PAID_LAMP_ASKED, eg.LAMP_GOODS_BACK, ATTENTION),
    (eg.PAID_LAMP_MONEY_BACK, eg.goods_back(None, lamp=2), ATTENTION),
    (eg.PAID_LAMP_ASKED, eg.LAMP_FAILED, Step(PAID)),
    (eg.PAID_LAMP_ASKED, eg.refund_failed(None, "100.00"), Step(PAID)),
    (eg.PAID_LAMP_REFUSED, eg.LAMP_FAILED, DUPLICATE),
    (eg.PAID_LAMP_DONE, eg.LAMP_FAILED, ATTENTION),
    (eg.PAID, eg.LAMP_FAILED, ATTENTION),
    (eg.PAID_LAMP_AT_LAST, eg.LAMP_FAILED, DUPLICATE),  # the news come after the money
    (eg.PAID_LAMP_AT_LAST, structs.replace(eg.LAMP_FAILED, attempt=1), ATTENTION),
    (
        eg.PAID_LAMP_REFUSED,
        eg.SETTLE_LAMP,
        Step(PAID, ("PAYMENT_REFUND", "INVENTORY_RELEASE_REQUEST REFUND")),
    ),
    (eg.PAID_LAMP_KEPT_REFUSED, eg.SETTLE_LAMP, Step(PAID, ("PAYMENT_REFUND", "ORDER_PARTIALLY_REFUNDED"))),
    (eg.PAID_LAMP_OUTSIDE, eg.SETTLE_LAMP, DUPLICATE),
    (eg.PAID_LAMP_OUTSIDE, eg.settle("lamp-back", "another transfer"), Forbidden("refuses")),
    (eg.PAID_LAMP_ASKED, eg.SETTLE_LAMP, Forbidden("that the payment gateway refuses")),
    (eg.PAID_LAMP_MONEY_BACK, structs.replace(eg.UNAVAILABLE, missing=(Missing("lamp", 2, 0),)), ATTENTION),
    # --- CANCELLED: gives back whatever still turns up
    (eg.CANCELLED_UNANSWERED, eg.BOTH_RESERVED, LATE_RESERVATION),
    (eg.REFUSED, eg.LAMP_RESERVED, LATE_RESERVATION),
    (eg.REFUSED, eg.WRONG_QUANTITY, LATE_RESERVATION),
    (eg.CANCELLED, eg.BOTH_RESERVED, DUPLICATE),  # released already, present and future
    (eg.CANCELLED_GIVEN_BACK, eg.BOTH_RESERVED, DUPLICATE),
    (eg.CANCELLED_GIVEN_BACK, eg.WRONG_QUANTITY, DUPLICATE),
    (eg.CANCELLED, eg.UNAVAILABLE, DUPLICATE),
    (eg.REFUSED, eg.UNAVAILABLE, DUPLICATE),
    (eg.CANCELLED, eg.BOTH_RELEASED, Step(CANCELLED)),
    (eg.CANCELLED, eg.NOTHING_RELEASED, Step(CANCELLED)),
    (eg.CANCELLED_GIVEN_BACK, eg.BOTH_RELEASED, DUPLICATE),
    (eg.CANCELLED, eg.CAPTURED, Step(CANCELLED, ("PAYMENT_REFUND",))),
    (eg.CANCELLED_GIVEN_BACK, eg.CAPTURED_ANOTHER_AMOUNT, Step(CANCELLED, ("PAYMENT_REFUND",))),
    (eg.CANCELLED_CAPTURED, eg.CAPTURED, DUPLICATE),
    (eg.CANCELLED_MONEY_BACK, eg.CAPTURED, DUPLICATE),
    (eg.CANCELLED_CAPTURED, eg.CAPTURED_AGAIN, ATTENTION),
    (eg.CANCELLED, eg.DECLINED, DUPLICATE),
    (eg.CANCELLED, eg.PAYMENT_PENDING, DUPLICATE),
    (eg.CANCELLED_CAPTURED, eg.MONEY_BACK, Step(CANCELLED)),
    (eg.CANCELLED_MONEY_BACK, eg.MONEY_BACK, DUPLICATE),
    (eg.CANCELLED, eg.MONEY_BACK, ATTENTION),
    (eg.CANCELLED, eg.CANCEL, DUPLICATE),
    (eg.CANCELLED, eg.time_out(), DUPLICATE),
    (eg.CANCELLED, eg.REFUND, Forbidden("comes back by itself")),
    (eg.CANCELLED_CAPTURED, eg.ALL_FAILED, Step(CANCELLED)),
    (eg.CANCELLED_REFUSED, eg.ALL_FAILED, DUPLICATE),
    (eg.CANCELLED_MONEY_BACK, eg.ALL_FAILED, ATTENTION),
    (eg.CANCELLED, eg.ALL_FAILED, ATTENTION),
    (eg.CANCELLED_AT_LAST, eg.ALL_FAILED, DUPLICATE),
    (eg.CANCELLED_REFUSED, eg.MONEY_BACK, Step(CANCELLED)),
    (eg.CANCELLED_REFUSED, eg.SETTLE_ALL, Step(CANCELLED, ("PAYMENT_REFUND",))),
    (eg.CANCELLED_OUTSIDE, eg.SETTLE_ALL, DUPLICATE),
    (eg.CANCELLED_CAPTURED, eg.SETTLE_ALL, Forbidden("refuses")),
    # --- REFUNDING: the money first, then the stock
    (eg.REFUNDING, eg.BOTH_RESERVED, DUPLICATE),
    (eg.REFUNDING, eg.STRANGE_RESERVED, ATTENTION),
    (eg.REFUNDING, eg.UNAVAILABLE, ATTENTION),
    (eg.REFUNDING_PARTIAL, eg.DESK_UNAVAILABLE, DUPLICATE),
    (eg.REFUNDING_MONEY_BACK, eg.UNAVAILABLE, DUPLICATE),  # being released
    (eg.REFUNDING, eg.BOTH_RELEASED, ATTENTION),
    (eg.REFUNDING_MONEY_BACK, eg.BOTH_RELEASED, Step(REFUNDED, ("ORDER_REFUNDED",))),
    (eg.REFUNDING, eg.CAPTURED, DUPLICATE),
    (eg.REFUNDING, eg.CAPTURED_AGAIN, ATTENTION),
    (eg.REFUNDING, eg.DECLINED, ATTENTION),
    (eg.REFUNDING, eg.PAYMENT_PENDING, DUPLICATE),
    (eg.REFUNDING, eg.MONEY_BACK, Step(REFUNDING, ("INVENTORY_RELEASE_REQUEST REFUND",))),
    (eg.REFUNDING_MONEY_BACK, eg.MONEY_BACK, DUPLICATE),
    (eg.REFUNDING, eg.CANCEL, Forbidden("being refunded")),
    (eg.REFUNDING, eg.time_out(REFUNDING), Forbidden("being refunded")),
    (eg.REFUNDING, eg.REFUND, DUPLICATE),
    (eg.REFUNDING, eg.money_back("a name that an older release forgot", "450.00"), RELEASE_REFUNDED),
    (eg.REFUNDING_BOTH_ASKED, eg.REFUND_LAMP, DUPLICATE),
    (eg.REFUNDING, eg.REFUND_LAMP, Forbidden("more pieces")),
    (eg.REFUNDING_REST_ASKED, eg.REST_MONEY_BACK, RELEASE_REFUNDED),
    (eg.REFUNDING_BOTH_ASKED, eg.LAMP_MONEY_BACK, RELEASE_REFUNDED),
    (eg.REFUNDING_REST_KEPT_ASKED, eg.REST_MONEY_BACK, Step(REFUNDED, ("ORDER_REFUNDED",))),
    (eg.REFUNDING_LAMP_KEPT_ASKED, eg.LAMP_MONEY_BACK, Step(REFUNDING, ("ORDER_PARTIALLY_REFUNDED",))),
    (eg.REFUNDING_REST_ASKED, eg.money_back(None, "1.00"), ATTENTION),
    (eg.REFUNDING_OUTSIDE, eg.LAMP_MONEY_BACK, ATTENTION),
    (eg.REFUNDING_REST_MONEY_BACK, eg.REST_GOODS_BACK, Step(REFUNDED, ("ORDER_REFUNDED",))),
    (eg.REFUNDING_BOTH_MONEY_BACK, eg.LAMP_GOODS_BACK, Step(REFUNDING, ("ORDER_PARTIALLY_REFUNDED",))),
    (eg.REFUNDING_REST_MONEY_BACK, eg.LAMP_GOODS_BACK, DUPLICATE),
    (eg.REFUNDING_REST_MONEY_BACK, eg.STRANGE_RELEASED, ATTENTION),
    (eg.REFUNDING_REST_ASKED, eg.REST_FAILED, Step(REFUNDING)),
    (eg.REFUNDING_REST_REFUSED, eg.REST_FAILED, DUPLICATE),
    (eg.REFUNDING_REST_MONEY_BACK, eg.REST_FAILED, ATTENTION),
    (eg.REFUNDING_REST_AT_LAST, eg.REST_FAILED, DUPLICATE),
    (eg.REFUNDING_REST_ASKED, eg.refund_failed("strange", "350.00"), ATTENTION),
    (
        eg.REFUNDING_REST_REFUSED,
        eg.SETTLE_REST,
        Step(REFUNDING, ("PAYMENT_REFUND", "INVENTORY_RELEASE_REQUEST REFUND")),
    ),
    (eg.REFUNDING_REST_KEPT_REFUSED, eg.SETTLE_REST, Step(REFUNDED, ("PAYMENT_REFUND", "ORDER_REFUNDED"))),
    (
        eg.REFUNDING_LAMP_KEPT_REFUSED,
        eg.SETTLE_LAMP,
        Step(REFUNDING, ("PAYMENT_REFUND", "ORDER_PARTIALLY_REFUNDED")),
    ),
    (eg.REFUNDING_OUTSIDE, eg.SETTLE_LAMP, DUPLICATE),
    (eg.REFUNDING_REST_ASKED, eg.SETTLE_REST, Forbidden("refuses")),
    # --- in any state: may its goods be sent?
    (eg.PENDING, eg.MAY_IT_BE_SHIPPED, PREMATURE),
    (eg.CONFIRMED, eg.MAY_IT_BE_SHIPPED, PREMATURE),
    (eg.PAID, eg.MAY_IT_BE_SHIPPED, Step(PAID, ("SHIPMENT_APPROVED",))),
    (eg.PAID_LAMP_ASKED, eg.MAY_IT_BE_SHIPPED, Step(PAID, ("SHIPMENT_APPROVED",))),
    (eg.PAID_SHIPPED, eg.MAY_IT_BE_SHIPPED, APPROVED_AGAIN),
    (eg.PAID_ALL_ASKED, eg.MAY_IT_BE_SHIPPED, NOT_SHIPPED),
    (eg.CANCELLED, eg.MAY_IT_BE_SHIPPED, NOT_SHIPPED),
    (eg.REFUNDING, eg.MAY_IT_BE_SHIPPED, NOT_SHIPPED),
    (eg.REFUNDING_SHIPPED, eg.MAY_IT_BE_SHIPPED, APPROVED_AGAIN),
    (eg.REFUNDED, eg.MAY_IT_BE_SHIPPED, NOT_SHIPPED),
    (eg.REFUNDED_SHIPPED, eg.MAY_IT_BE_SHIPPED, APPROVED_AGAIN),
    # --- REFUNDED: the end
    (eg.REFUNDED, eg.BOTH_RESERVED, DUPLICATE),
    (eg.REFUNDED, eg.WRONG_QUANTITY, ATTENTION),
    (eg.REFUNDED, eg.UNAVAILABLE, DUPLICATE),  # asked for again, what is released is refused
    (eg.REFUNDED, eg.BOTH_RELEASED, DUPLICATE),
    (eg.REFUNDED, eg.CAPTURED, DUPLICATE),
    (eg.REFUNDED, eg.CAPTURED_AGAIN, ATTENTION),
    (eg.REFUNDED, eg.DECLINED, ATTENTION),
    (eg.REFUNDED, eg.PAYMENT_PENDING, DUPLICATE),
    (eg.REFUNDED, eg.MONEY_BACK, DUPLICATE),
    (eg.REFUNDED, eg.CANCEL, Forbidden("refunded")),
    (eg.REFUNDED, eg.time_out(REFUNDED), Forbidden("refunded")),
    (eg.REFUNDED, eg.REFUND, DUPLICATE),
    (eg.REFUNDED_OUTSIDE, eg.REFUND, DUPLICATE),
    (eg.REFUNDED, eg.REFUND_LAMP, Forbidden("more pieces")),
    (eg.REFUNDED, eg.ALL_FAILED, ATTENTION),
    (eg.REFUNDED_AT_LAST, eg.refund_failed("all-back", "450.00"), DUPLICATE),
    (eg.REFUNDED_OUTSIDE, eg.settle("all-back"), DUPLICATE),
    (eg.REFUNDED, eg.SETTLE_ALL, Forbidden("refuses")),
]


def name(row: tuple[Order, Any, Expected]) -> str:
    order, trigger, expected = row
    return f"{order.status}-{trigger.type}-{expected}"


def published(order: Order, trigger: Any) -> tuple[str, ...]:
    decision = advance(order, eg.message(trigger))
    return tuple(
        f"{event.type} {event.reason}" if event.type == "INVENTORY_RELEASE_REQUEST" else event.type  # type: ignore[attr-defined]
        for event in decision.events
    )


@pytest.mark.parametrize(("order", "trigger", "expected"), EXPECTED, ids=map(name, EXPECTED))
def test_an_order_does_what_the_design_says(order: Order, trigger: Any, expected: Expected) -> None:
    message = eg.message(trigger)
    match expected:
        case Step(to, publishes):
            decision = advance(order, message)
            (after,) = decision.changed
            assert isinstance(after, Order)
            assert decision.verdict is Verdict.APPLIED
            assert after.status is to
            assert published(order, trigger) == publishes
        case Answered(publishes):
            decision = advance(order, message)
            assert (decision.changed, decision.reply) == ((), order)
            assert decision.verdict is Verdict.DUPLICATE
            assert published(order, trigger) == publishes
        case Forbidden(says):
            with pytest.raises(Refused, match=says):
                advance(order, message)
        case "premature":
            with pytest.raises(Premature):
                advance(order, message)
        case "duplicate":
            decision = advance(order, message)
            assert (decision.changed, decision.events) == ((), ())
            assert decision.verdict is Verdict.DUPLICATE
            assert decision.reply is order
        case "attention":
            decision = advance(order, message)
            (after,) = decision.changed
            assert isinstance(after, Order)
            assert decision.verdict is Verdict.ATTENTION
            assert (after.status, decision.events) == (order.status, ())
            assert after.attention[-1].event_id == message.id


# --- the table itself -------------------------------------------------------------------------------------

TRIGGERS = {event for consumed in CONSUMES["order"].values() for event in consumed} | {
    CancelOrder,
    RequestRefund,
    SettleOutside,
    TimeOut,
}


def test_every_state_has_an_answer_to_everything_that_may_come() -> None:
    every = {(status, trigger) for status in Status for trigger in TRIGGERS}
    assert set(SAGA.cells) == {(NEW, CreateOrder)} | every


def test_an_order_begins_with_its_row() -> None:
    decision = create(eg.PENDING, eg.message(eg.create()))
    assert [event.type for event in decision.events] == ["INVENTORY_RESERVE_REQUEST"]
    (row,) = SAGA.cells[NEW, CreateOrder]
    assert row.when is always


@pytest.mark.parametrize("cell", SAGA.cells, ids=lambda cell: f"{cell[0]}-{cell[1].type}")
def test_the_last_row_of_a_cell_always_holds_and_no_other_does(cell: tuple[Status, Any]) -> None:
    *others, last = SAGA.cells[cell]
    assert last.when is always
    assert all(row.when is not always for row in others)


def test_the_expectations_leave_no_cell_and_no_row_out() -> None:
    met = {
        (order.status, type(trigger), position)
        for order, trigger, _ in EXPECTED
        for position, row in enumerate(SAGA.cells[order.status, type(trigger)])
        if SAGA.row(order.status, order, named(order, trigger)) is row
    }
    rows = {(*cell, position) for cell, rows in SAGA.cells.items() for position, _ in enumerate(rows)}
    assert met == rows - {(NEW, CreateOrder, 0)}


def test_nothing_leads_out_of_the_ends() -> None:
    assert {(way.from_, way.to) for way in ways(SAGA.cells) if way.to is not way.from_} == {
        (NEW, PENDING),
        (PENDING, CONFIRMED),
        (PENDING, CANCELLED),
        (CONFIRMED, PAID),
        (CONFIRMED, CANCELLED),
        (PAID, REFUNDING),
        (REFUNDING, REFUNDED),
    }
