"""What a step of the saga records on the order, and what exactly it publishes."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from services.order.model import Capture, LineChange, LineState, Order, Progress, Release, Status
from services.order.saga import advance
from services.shared.contract import events
from services.shared.contract.decisions import Verdict
from services.shared.contract.events import Event, Missing
from services.shared.contract.table import ATTENTION_LIMIT
from tests.unit.order import examples as eg

HELD, REFUSED, REQUESTED = LineState.HELD, LineState.REFUSED, LineState.REQUESTED
SOLD, RELEASED = LineState.SOLD, LineState.RELEASED


def run(order: Order, *triggers: Any) -> tuple[Order, list[Event]]:
    """The order after all of them, and all that was published on the way."""
    published: list[Event] = []
    for number, trigger in enumerate(triggers):
        decision = advance(order, eg.message(trigger, id_=f"event-{number}"))
        published += decision.events
        for changed in decision.changed:
            assert isinstance(changed, Order)
            order = changed
    return order, published


def hear(order: Order, trigger: Any, id_: str) -> Order:
    """The order after a message of this id."""
    for changed in advance(order, eg.message(trigger, id_=id_)).changed:
        assert isinstance(changed, Order)
        order = changed
    return order


def states(order: Order) -> list[LineState]:
    return [line.state for line in order.lines]


# --- stock ------------------------------------------------------------------------------------------------


def test_a_confirmed_order_asks_for_its_total_and_names_its_prices() -> None:
    order, published = run(eg.PENDING, eg.BOTH_RESERVED)
    assert states(order) == [HELD, HELD]
    assert published == [
        events.OrderConfirmed(
            order_id=eg.ORDER_ID,
            total_price=Decimal("450.00"),
            currency="USD",
            products=(
                events.PricedLine("lamp", 2, Decimal("100.00")),
                events.PricedLine("desk", 1, Decimal("250.00")),
            ),
            payment_token="tok_success",
            customer_id=eg.CUSTOMER,
        )
    ]


@pytest.mark.parametrize(
    "answers", [(eg.LAMP_RESERVED, eg.DESK_RESERVED), (eg.DESK_RESERVED, eg.LAMP_RESERVED)]
)
def test_an_order_answered_product_by_product_is_confirmed_by_the_last_answer(answers: Any) -> None:
    order, published = run(eg.PENDING, *answers)
    assert (order.status, states(order)) == (Status.CONFIRMED, [HELD, HELD])
    assert [event.type for event in published] == ["ORDER_CONFIRMED"]


def test_an_answer_that_comes_twice_does_not_count_for_another_line() -> None:
    order, published = run(eg.PENDING, eg.LAMP_RESERVED, eg.LAMP_RESERVED)
    assert (order.status, states(order), published) == (Status.PENDING, [HELD, REQUESTED], [])


@pytest.mark.parametrize(
    ("before", "trigger", "told"),
    [
        (eg.CONFIRMED, eg.captured("450.00"), events.OrderPaid),
        (eg.CONFIRMED, eg.DECLINED, events.OrderCancelled),
        (eg.PAID, eg.REFUND, events.RefundRequested),
    ],
)
def test_what_customers_are_told_of_says_whom_and_in_which_language(
    before: Order, trigger: Any, told: type[Event]
) -> None:
    _, published = run(structs.replace(before, locale="de-AT"), trigger)
    (event,) = (each for each in published if isinstance(each, told))
    assert (getattr(event, "email", None), getattr(event, "locale", None)) == ("ann@example.com", "de-AT")


def test_what_those_outside_are_told_says_how_many_steps_the_order_had_taken() -> None:
    order, published = run(eg.PENDING, eg.BOTH_RESERVED, eg.captured("450.00"), eg.REFUND)
    told = [(each.type, each.sequence) for each in published if isinstance(each, events.OrderNews)]
    # After ORDER_CREATED and INVENTORY_RESERVED.
    assert told == [("ORDER_PAID", 3), ("ORDER_REFUND_REQUEST", 4)]
    assert len(order.history) == 4


def test_partial_fulfilment_charges_only_what_is_there() -> None:
    order, (confirmed,) = run(eg.PENDING_PARTIAL, eg.LAMP_WITHOUT_DESK)
    assert isinstance(confirmed, events.OrderConfirmed)
    assert states(order) == [HELD, REFUSED]
    assert order.total == 20000
    assert confirmed.total_price == Decimal("200.00")
    assert [line.product_id for line in confirmed.products] == ["lamp"]


def test_partial_fulfilment_sells_only_what_is_there() -> None:
    order, (_, paid) = run(eg.PENDING_PARTIAL, eg.LAMP_WITHOUT_DESK, eg.captured("200.00"))
    assert isinstance(paid, events.OrderPaid)
    assert (order.status, states(order)) == (Status.PAID, [SOLD, REFUSED])
    assert paid == events.OrderPaid(
        order_id=eg.ORDER_ID,
        sequence=len(order.history),
        total_price=Decimal("200.00"),
        currency="USD",
        products=(events.SoldLine("lamp", 2, "A lamp", price=Decimal("100.00")),),
        email="ann@example.com",
    )


def test_a_partial_order_may_have_all_it_asked_for() -> None:
    order, _ = run(eg.PENDING_PARTIAL, eg.BOTH_RESERVED)
    assert (order.status, order.total) == (Status.CONFIRMED, eg.TOTAL)


def test_an_order_refused_as_a_whole_has_nothing_to_compensate() -> None:
    order, (cancelled,) = run(eg.PENDING, eg.UNAVAILABLE)
    assert states(order) == [REFUSED, REFUSED]
    assert order.cancellation_reason == "OUT_OF_STOCK"
    assert order.cancellation_detail == "Insufficient stock. Available: 0, Requested: 1"
    assert (order.stock_compensation, order.settled) == (Progress.NONE, True)
    assert cancelled == events.OrderCancelled(
        order_id=eg.ORDER_ID, sequence=len(order.history), reason="OUT_OF_STOCK", email="ann@example.com"
    )


@pytest.mark.parametrize(
    "answers",
    [
        (eg.LAMP_RESERVED, eg.DESK_UNAVAILABLE, eg.released(lamp=2)),
        (eg.DESK_UNAVAILABLE, eg.LAMP_RESERVED, eg.released(lamp=2), eg.NOTHING_RELEASED),
        (eg.DESK_UNAVAILABLE, eg.NOTHING_RELEASED, eg.LAMP_RESERVED, eg.released(lamp=2)),
    ],
    ids=["held, then refused", "refused, then held", "refused, released, then held"],
)
def test_one_refused_product_gives_the_others_back_in_whatever_order_they_come(answers: Any) -> None:
    order, published = run(eg.PENDING, *answers)
    assert (order.status, states(order)) == (Status.CANCELLED, [RELEASED, REFUSED])
    assert order.settled
    types = [event.type for event in published]
    assert types.count("ORDER_CANCELLED") == 1
    assert types[0] == "INVENTORY_RELEASE_REQUEST"


# --- compensation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "reason", "detail"),
    [
        (eg.DECLINED, "PAYMENT_FAILED", "Mock gateway declined the payment"),
        (eg.CANCEL, "CUSTOMER_CANCELLED", None),
        (eg.time_out(), "SAGA_TIMEOUT", "stuck for 300 s"),
    ],
)
def test_a_cancelled_order_says_why_and_is_settled_once_its_stock_is_back(
    trigger: Any, reason: str, detail: str | None
) -> None:
    order, (release, cancelled) = run(eg.CONFIRMED, trigger)
    assert release == events.ReleaseStock(order_id=eg.ORDER_ID, reason=reason)
    assert isinstance(cancelled, events.OrderCancelled)
    assert (order.cancellation_reason, order.cancellation_detail) == (reason, detail)
    assert (order.stock_compensation, order.settled) == (Progress.PENDING, False)
    order, _ = run(order, eg.BOTH_RELEASED)
    assert (order.stock_compensation, order.settled) == (Progress.DONE, True)
    assert states(order) == [RELEASED, RELEASED]


def test_auto_compensation_ahead_of_the_payments_message_is_harmless() -> None:
    order, published = run(eg.CONFIRMED, eg.BOTH_RELEASED, eg.DECLINED, eg.BOTH_RELEASED)
    assert (order.status, order.settled) == (Status.CANCELLED, True)
    assert [event.type for event in published] == ["INVENTORY_RELEASE_REQUEST", "ORDER_CANCELLED"]


def test_a_release_asked_for_twice_is_settled_by_the_second_answer() -> None:
    order, _ = run(eg.CANCELLED_UNANSWERED, eg.BOTH_RESERVED)
    assert order.releases_open == 2
    order = hear(order, eg.NOTHING_RELEASED, "answer-1")
    assert (order.stock_compensation, order.settled) == (Progress.PENDING, False)
    order = hear(order, eg.NOTHING_RELEASED, "answer-1")
    assert (order.stock_compensation, order.settled) == (Progress.PENDING, False)
    order = hear(order, eg.BOTH_RELEASED, "answer-2")
    assert (order.stock_compensation, order.settled) == (Progress.DONE, True)


def test_what_asks_for_a_release_again_asks_once() -> None:
    """Inventory, which remembers the release, answers it once: more would be waited for forever."""
    order = hear(eg.REFUSED, eg.WRONG_QUANTITY, "late")
    order = hear(order, eg.WRONG_QUANTITY, "late")
    assert order.releases == (Release("late"),)
    order = hear(order, eg.NOTHING_RELEASED, "answer")
    assert order.settled


def test_an_answer_more_than_asked_for_is_not_a_credit() -> None:
    order, _ = run(eg.CANCELLED_UNANSWERED, eg.NOTHING_RELEASED, eg.NOTHING_RELEASED, eg.NOTHING_RELEASED)
    assert order.settled
    order = hear(order, eg.BOTH_RESERVED, "late")
    assert (order.releases_open, order.settled) == (1, False)
    order = hear(order, eg.BOTH_RELEASED, "answer to the late one")
    assert (order.releases_open, order.settled) == (0, True)


def test_what_teaches_nothing_leaves_no_trace_however_often_it_comes() -> None:
    for order, trigger in (
        (eg.PENDING, eg.LAMP_RESERVED),
        (eg.CONFIRMED, eg.BOTH_RELEASED),
        (eg.CANCELLED_UNANSWERED, eg.BOTH_RESERVED),
        (eg.REFUSED, eg.WRONG_QUANTITY),
        (eg.CANCELLED, eg.BOTH_RELEASED),
    ):
        once, _ = run(order, trigger)
        again, published = run(once, *[trigger] * 5)
        assert (again, published) == (once, [])


def test_a_late_reservation_that_is_not_ours_is_given_back_without_being_believed() -> None:
    order, (release,) = run(eg.REFUSED, eg.WRONG_QUANTITY)
    assert states(order) == [REFUSED, REFUSED]
    assert release == events.ReleaseStock(order_id=eg.ORDER_ID, reason="LATE_RESERVATION")


# --- money ------------------------------------------------------------------------------------------------


def test_a_paid_order_remembers_its_transaction_and_is_settled() -> None:
    order, _ = run(eg.CONFIRMED, eg.CAPTURED)
    assert (order.capture, order.settled) == (Capture("txn_1", eg.TOTAL, "USD"), True)


def test_an_order_paid_with_another_amount_is_not_paid() -> None:
    order, published = run(eg.CONFIRMED, eg.CAPTURED_ANOTHER_AMOUNT)
    assert (order.status, published, len(order.attention)) == (Status.CONFIRMED, [], 1)
    assert order.capture == Capture("txn_1", 44999, "USD")
    assert order.history == eg.CONFIRMED.history


@pytest.mark.parametrize("ends", [eg.CANCEL, eg.time_out()], ids=lambda command: command.type)
@pytest.mark.parametrize(
    ("order", "capture"),
    [
        (eg.CONFIRMED, eg.CAPTURED_ANOTHER_AMOUNT),
        (eg.CONFIRMED, eg.CAPTURED_ANOTHER_CURRENCY),
        (eg.CONFIRMED_GIVEN_BACK, eg.CAPTURED),
    ],
    ids=["another amount", "another currency", "for lines given back"],
)
def test_money_that_was_taken_for_nothing_is_given_back_when_the_order_ends(
    order: Order, capture: events.PaymentSucceeded, ends: Any
) -> None:
    order, (_, _, refund) = run(order, capture, ends)
    assert order.cancellation_reason is not None
    assert refund == events.RefundPayment(
        order_id=eg.ORDER_ID,
        amount=capture.amount,
        currency=capture.currency,
        reason=order.cancellation_reason,
    )
    order = hear(order, eg.BOTH_RELEASED, "stock is back")
    assert (order.status, order.refund, order.settled) == (Status.CANCELLED, Progress.PENDING, False)
    order = hear(order, eg.MONEY_BACK, "money is back")
    assert (order.refund, order.settled) == (Progress.DONE, True)


def test_a_capture_that_is_odd_and_comes_again_is_taken_once() -> None:
    order, _ = run(eg.CONFIRMED, eg.CAPTURED_ANOTHER_AMOUNT, eg.CAPTURED_ANOTHER_AMOUNT, eg.CAPTURED_AGAIN)
    assert order.status is Status.PAID
    assert order.capture == Capture("txn_2", eg.TOTAL, "USD")


def test_an_amount_with_trailing_zeros_is_the_same_amount() -> None:
    order, _ = run(eg.CONFIRMED, eg.captured("450.000"))
    assert order.status is Status.PAID


def test_a_late_payment_is_refunded_exactly_once() -> None:
    order, published = run(eg.CANCELLED_GIVEN_BACK, eg.CAPTURED, eg.CAPTURED, eg.CAPTURED)
    assert published == [
        events.RefundPayment(
            order_id=eg.ORDER_ID, amount=Decimal("450.00"), currency="USD", reason="LATE_PAYMENT"
        )
    ]
    assert (order.refund, order.settled) == (Progress.PENDING, False)
    order, published = run(order, eg.MONEY_BACK, eg.CAPTURED, eg.MONEY_BACK)
    assert (order.refund, order.settled, published) == (Progress.DONE, True, [])


def test_a_late_payment_of_another_amount_is_given_back_as_it_came() -> None:
    _, (refund,) = run(eg.CANCELLED, eg.CAPTURED_ANOTHER_CURRENCY)
    assert refund == events.RefundPayment(
        order_id=eg.ORDER_ID, amount=Decimal("450.00"), currency="EUR", reason="LATE_PAYMENT"
    )


def test_a_refund_gives_the_money_back_and_then_the_stock() -> None:
    order, published = run(eg.PAID, eg.REFUND)
    assert published == [
        events.RefundRequested(
            order_id=eg.ORDER_ID,
            sequence=len(order.history),
            reason="it flickers",
            refund_request_id="all-back",
            products=(events.Line("lamp", 2), events.Line("desk", 1)),
            amount=Decimal("450.00"),
            currency="USD",
            email="ann@example.com",
        ),
        events.RefundPayment(
            order_id=eg.ORDER_ID,
            amount=Decimal("450.00"),
            currency="USD",
            reason="it flickers",
            refund_request_id="all-back",
            transaction_id="txn_1",
        ),
    ]
    assert (order.refund, order.settled) == (Progress.PENDING, False)
    order, published = run(order, eg.MONEY_BACK)
    assert published == [
        events.ReleaseStock(
            order_id=eg.ORDER_ID,
            reason="REFUND",
            refund_request_id="all-back",
            products=(events.Line("lamp", 2), events.Line("desk", 1)),
        )
    ]
    assert (order.refund, order.stock_compensation) == (Progress.DONE, Progress.PENDING)
    assert not order.settled
    order, published = run(order, eg.BOTH_RELEASED)
    assert published == [
        events.OrderRefunded(
            order_id=eg.ORDER_ID,
            sequence=len(order.history),
            total_price=Decimal("450.00"),
            currency="USD",
            email="ann@example.com",
        )
    ]
    assert (order.status, order.settled, states(order)) == (Status.REFUNDED, True, [RELEASED, RELEASED])


# --- time, history, attention -----------------------------------------------------------------------------


def test_only_a_change_of_state_restarts_the_clock_of_staleness() -> None:
    order, _ = run(eg.PENDING, eg.LAMP_RESERVED)
    assert order.state_since == eg.CREATED_AT
    assert order.updated_at == eg.AT
    order, _ = run(order, eg.DESK_RESERVED)
    assert order.state_since == eg.AT


def test_a_contradiction_does_not_keep_an_order_fresh() -> None:
    order, _ = run(eg.CONFIRMED, eg.UNAVAILABLE)
    assert order.state_since == eg.CREATED_AT


def test_the_history_tells_each_step_with_its_event_and_trace() -> None:
    order, _ = run(eg.PENDING, eg.BOTH_RESERVED, eg.CAPTURED)
    assert [(step.event, step.from_, step.to, step.event_id) for step in order.history] == [
        ("ORDER_CREATED", None, Status.PENDING, eg.ORDER_ID),
        ("INVENTORY_RESERVED", Status.PENDING, Status.CONFIRMED, "event-0"),
        ("PAYMENT_SUCCEEDED", Status.CONFIRMED, Status.PAID, "event-1"),
    ]
    assert order.history[-1].trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert order.history[-1].at == eg.AT


def test_the_history_tells_why_in_the_words_of_whoever_caused_it() -> None:
    declined, _ = run(eg.CONFIRMED, eg.DECLINED)
    assert declined.history[-1].reason == declined.cancellation_detail == eg.DECLINED.reason
    refunded, _ = run(eg.PAID, eg.REFUND)
    assert refunded.history[-1].reason == refunded.refund_reason == "it flickers"
    cancelled, _ = run(eg.PENDING, eg.CANCEL)
    assert cancelled.history[-1].reason is None


def test_the_history_names_the_lines_that_fared_differently_and_no_others() -> None:
    partial, _ = run(eg.PENDING_PARTIAL, eg.LAMP_WITHOUT_DESK, eg.captured("200.00"))
    assert [step.lines for step in partial.history[1:]] == [
        (LineChange("lamp", HELD), LineChange("desk", REFUSED)),
        (LineChange("lamp", SOLD),),
    ]
    one_by_one, _ = run(eg.PENDING, eg.DESK_RESERVED, eg.LAMP_RESERVED)
    assert [step.lines for step in one_by_one.history[1:]] == [
        (LineChange("desk", HELD),),
        (LineChange("lamp", HELD),),
    ]
    whole, _ = run(eg.PENDING, eg.BOTH_RESERVED, eg.CAPTURED)
    assert [step.lines for step in whole.history] == [(), (), ()]


def test_a_contradiction_is_kept_with_what_it_was_for_a_human_to_look_at() -> None:
    order, _ = run(eg.CONFIRMED, eg.UNAVAILABLE)
    (seen,) = order.attention
    assert (seen.event, seen.event_id, seen.at) == ("INVENTORY_RESERVE_FAILED", "event-0", eg.AT)
    assert seen.reason == "refused after it was reserved"
    assert order.history == eg.CONFIRMED.history


def test_the_same_contradiction_again_is_not_recorded_again() -> None:
    order, _ = run(eg.CONFIRMED, eg.UNAVAILABLE)
    again = advance(order, eg.message(eg.UNAVAILABLE, id_="event-0"))
    assert (again.changed, again.verdict) == ((), Verdict.DUPLICATE)


def test_nonsense_without_end_does_not_fill_the_order() -> None:
    order, _ = run(eg.CONFIRMED, *[eg.UNAVAILABLE] * (ATTENTION_LIMIT + 5))
    assert len(order.attention) == ATTENTION_LIMIT
    assert order.attention[-1].event_id == f"event-{ATTENTION_LIMIT + 4}"


def test_currencies_without_cents_are_charged_in_whole_units() -> None:
    yen = structs.replace(eg.PENDING, currency="JPY")
    order, (confirmed,) = run(yen, eg.BOTH_RESERVED)
    assert isinstance(confirmed, events.OrderConfirmed)
    assert str(confirmed.total_price) == "45000"
    order, _ = run(order, eg.captured("45000", "JPY"))
    assert order.status is Status.PAID


def test_a_line_missing_from_a_partial_answer_is_not_held_by_it() -> None:
    order, _ = run(eg.PENDING_PARTIAL, eg.reserved(Missing("lamp", 2, 1), desk=1))
    assert (states(order), order.total) == ([REFUSED, HELD], 25000)
