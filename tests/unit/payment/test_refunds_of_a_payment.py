"""Refunds of parts of a payment: every row of the table about them, and when a refused one is asked again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from services.payment.domain import DOMAIN, intend
from services.payment.gateway import Refunded, RefundRefused
from services.payment.payment import (
    AskAgain,
    Payment,
    PaymentRefund,
    PaymentState,
    RefundOutcome,
    RefundState,
)
from services.payment.refunds import leased, pause
from services.shared.contract.decisions import Verdict
from services.shared.contract.events import PaymentRefunded, PaymentRefundFailed, RefundPayment
from tests.unit.memory import NOW, Memory
from tests.unit.payment.test_payment_table import ORDER, REFUND, payment

CAPTURED, REFUNDING, REFUNDED = PaymentState.CAPTURED, PaymentState.REFUNDING, PaymentState.REFUNDED
SOME = RefundPayment(
    order_id=ORDER,
    amount=Decimal("5.00"),
    currency="USD",
    reason="broken",
    refund_request_id="some",
    transaction_id="txn_1",
)
REST = structs.replace(SOME, refund_request_id="rest", amount=Decimal("15.00"))
ASKED = PaymentRefund(request_id="some", amount=500)
DONE = structs.replace(ASKED, state=RefundState.REFUNDED, refund_id="re_some")
ASK_AGAIN = AskAgain(ORDER, "some", 500, attempt=1)
REFUSED = structs.replace(
    ASKED, state=RefundState.REFUSED, reason="blocked", ask_at=NOW + timedelta(minutes=1)
)
AGAIN = structs.replace(REFUSED, state=RefundState.ASKED, attempt=1)
REST_ASKED = PaymentRefund(request_id="rest", amount=1500)


def with_refunds(state: PaymentState, *refunds: PaymentRefund) -> Payment:
    times = [refund.ask_at for refund in refunds if refund.ask_at is not None]
    return payment(
        state, transaction_id="txn_1", refunds=refunds, ask_at=min(times, default=None), intended_at=NOW
    )


WHOLE = with_refunds(CAPTURED)
SOME_ASKED = with_refunds(REFUNDING, ASKED)
SOME_BACK = with_refunds(CAPTURED, DONE)
SOME_REFUSED = with_refunds(REFUNDING, REFUSED)
SOME_AGAIN = with_refunds(REFUNDING, AGAIN)
BOTH_ASKED = with_refunds(REFUNDING, ASKED, REST_ASKED)
SOME_BACK_REST_ASKED = with_refunds(REFUNDING, DONE, REST_ASKED)


def outcome(event: Any, result: Any, attempt: int = 0) -> RefundOutcome:
    return RefundOutcome(event, result, attempt, NOW)


def money_back(event: RefundPayment, refund_id: str) -> PaymentRefunded:
    return PaymentRefunded(
        order_id=ORDER,
        transaction_id="txn_1",
        refund_id=refund_id,
        amount=event.amount,
        currency="USD",
        refund_request_id=event.refund_request_id,
    )


FAILED = PaymentRefundFailed(
    order_id=ORDER, amount=Decimal("5.00"), currency="USD", reason="blocked", refund_request_id="some"
)


# --- asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "event", "refunds"),
    [
        (WHOLE, SOME, (ASKED,)),
        (WHOLE, structs.replace(SOME, transaction_id=None), (ASKED,)),
        (SOME_BACK, REST, (DONE, REST_ASKED)),
        (SOME_ASKED, REST, (ASKED, REST_ASKED)),
        # They run side by side: one that is refused blocks no other.
        (SOME_REFUSED, REST, (REFUSED, REST_ASKED)),
        # It is being asked for: again, with the same key.
        (SOME_ASKED, SOME, (ASKED,)),
        (SOME_AGAIN, SOME, (AGAIN,)),
        (WHOLE, REFUND, (PaymentRefund(amount=2000),)),
        # An older document, which knows of one refund, without an id: of all there is.
        (with_refunds(REFUNDING), REFUND, ()),
        (with_refunds(REFUNDING), structs.replace(REFUND, refund_request_id="all"), ()),
    ],
)
def test_the_gateway_is_asked_with_the_refund_written_down(
    stored: Payment, event: RefundPayment, refunds: tuple[PaymentRefund, ...]
) -> None:
    intent = intend(stored, Memory(DOMAIN).message(event))
    assert intent is not None
    assert (intent.state, intent.refunds) == (REFUNDING, refunds)


@pytest.mark.parametrize(
    ("stored", "event"),
    [
        (WHOLE, structs.replace(SOME, amount=Decimal("20.01"))),
        (SOME_BACK, structs.replace(REST, amount=Decimal("15.01"))),
        (BOTH_ASKED, structs.replace(SOME, refund_request_id="more", amount=Decimal("0.01"))),
        (SOME_ASKED, structs.replace(SOME, amount=Decimal("4.99"))),
        (SOME_BACK, structs.replace(SOME, amount=Decimal("5.01"))),
        (WHOLE, structs.replace(SOME, currency="EUR")),
        (WHOLE, structs.replace(SOME, transaction_id="txn_2")),
        (WHOLE, structs.replace(SOME, refund_request_id=None)),
        (SOME_BACK, REFUND),
    ],
)
def test_what_was_not_taken_or_was_asked_for_otherwise_is_looked_at(
    stored: Payment, event: RefundPayment
) -> None:
    memory = Memory(DOMAIN, stored)
    assert intend(stored, memory.message(event)) is None
    decision = memory.handle(event)
    assert (decision.events, decision.verdict) == ((), Verdict.ATTENTION)
    assert memory.one(Payment, ORDER).refunds == stored.refunds


@pytest.mark.parametrize(
    ("stored", "event", "answer"),
    [
        (SOME_BACK, SOME, money_back(SOME, "re_some")),
        (SOME_BACK_REST_ASKED, SOME, money_back(SOME, "re_some")),
        (SOME_REFUSED, SOME, FAILED),
        (
            with_refunds(REFUNDED, structs.replace(DONE, request_id="all", amount=2000)),
            REFUND,
            structs.replace(money_back(REFUND, "re_some"), refund_request_id="all"),
        ),
    ],
)
def test_what_is_known_is_answered_as_before(stored: Payment, event: RefundPayment, answer: Any) -> None:
    decision = Memory(DOMAIN, stored).handle(event)
    assert (decision.events, decision.verdict) == ((answer,), Verdict.DUPLICATE)


# --- answered by the gateway ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "event", "becomes"),
    [
        (SOME_ASKED, SOME, CAPTURED),
        (BOTH_ASKED, SOME, REFUNDING),
        (with_refunds(REFUNDING, REFUSED, REST_ASKED), REST, REFUNDING),
        (SOME_BACK_REST_ASKED, REST, REFUNDED),
    ],
)
def test_a_payment_is_refunded_once_all_is_back(
    stored: Payment, event: RefundPayment, becomes: PaymentState
) -> None:
    memory = Memory(DOMAIN, stored)
    decision = memory.handle(outcome(event, Refunded("re_1")))
    assert (decision.events, decision.verdict) == ((money_back(event, "re_1"),), Verdict.APPLIED)
    assert memory.one(Payment, ORDER).state is becomes


def test_a_refund_that_is_refused_stays_open_is_told_and_has_a_time() -> None:
    memory = Memory(DOMAIN, SOME_ASKED)
    decision = memory.handle(outcome(SOME, RefundRefused("blocked")))
    assert (decision.events, decision.verdict) == ((FAILED,), Verdict.APPLIED)
    after = memory.one(Payment, ORDER)
    assert (after.state, after.refunds, after.ask_at) == (REFUNDING, (REFUSED,), REFUSED.ask_at)


@pytest.mark.parametrize(
    ("stored", "result", "attempt", "events", "verdict"),
    [
        (SOME_BACK, Refunded("re_some"), 0, (money_back(SOME, "re_some"),), Verdict.DUPLICATE),
        (SOME_BACK, Refunded("re_other"), 0, (), Verdict.ATTENTION),
        # Both sides are to know: the order holds it for given back.
        (SOME_BACK, RefundRefused("blocked"), 0, (structs.replace(FAILED, reason=""),), Verdict.ATTENTION),
        (SOME_REFUSED, RefundRefused("blocked"), 0, (), Verdict.DUPLICATE),
        # Asked again meanwhile: what it says of the first time is no news.
        (SOME_AGAIN, RefundRefused("blocked"), 0, (), Verdict.DUPLICATE),
        (WHOLE, Refunded("re_some"), 0, (), Verdict.ATTENTION),
        (WHOLE, RefundRefused("blocked"), 0, (), Verdict.ATTENTION),
    ],
)
def test_answers_that_come_again_or_contradict(
    stored: Payment, result: Any, attempt: int, events: Any, verdict: Verdict
) -> None:
    decision = Memory(DOMAIN, stored).handle(outcome(SOME, result, attempt))
    assert (decision.events, decision.verdict) == (events, verdict)


# --- settled by another way -------------------------------------------------------------------------------

SETTLED = structs.replace(SOME, settled_outside="transfer 7")
OUTSIDE = structs.replace(ASKED, state=RefundState.OUTSIDE)


@pytest.mark.parametrize(
    ("stored", "becomes"),
    [
        (SOME_REFUSED, CAPTURED),
        (SOME_AGAIN, CAPTURED),  # being asked for: what the gateway answers is looked at
        (with_refunds(REFUNDING, REFUSED, REST_ASKED), REFUNDING),
        (with_refunds(REFUNDING, REFUSED, structs.replace(DONE, request_id="rest", amount=1500)), REFUNDED),
    ],
)
def test_what_went_back_by_another_way_is_not_asked_for_any_more(
    stored: Payment, becomes: PaymentState
) -> None:
    memory = Memory(DOMAIN, stored)
    assert intend(stored, memory.message(SETTLED)) is None
    assert memory.handle(SETTLED).events == ()
    after = memory.one(Payment, ORDER)
    assert (after.state, after.refunds[0].state, after.ask_at) == (becomes, RefundState.OUTSIDE, None)
    assert memory.handle(SETTLED).verdict is Verdict.DUPLICATE
    assert memory.handle(SOME).verdict is Verdict.DUPLICATE
    assert memory.handle(outcome(ASK_AGAIN, RefundRefused("blocked"), 1)).verdict is Verdict.DUPLICATE


def test_what_went_back_by_both_ways_is_looked_at_on_both_sides() -> None:
    memory = Memory(DOMAIN, with_refunds(CAPTURED, OUTSIDE))
    decision = memory.handle(outcome(ASK_AGAIN, Refunded("re_1"), 1))
    assert (decision.verdict, decision.events) == (Verdict.ATTENTION, (money_back(SOME, "re_1"),))
    (refund,) = memory.one(Payment, ORDER).refunds
    assert (refund.state, refund.refund_id) == (RefundState.OUTSIDE, "re_1")


def test_what_is_back_already_or_was_never_asked_for_is_not_settled() -> None:
    assert Memory(DOMAIN, SOME_BACK).handle(SETTLED).events == (money_back(SOME, "re_some"),)
    assert Memory(DOMAIN, WHOLE).handle(SETTLED).verdict is Verdict.ATTENTION


# --- asked again ------------------------------------------------------------------------------------------


def test_it_is_asked_again_when_its_time_has_come_and_leased_while_it_is() -> None:
    at = NOW + timedelta(minutes=1)
    until = at + timedelta(minutes=2)
    assert leased(SOME_REFUSED, at - timedelta(microseconds=1), until) == (SOME_REFUSED, ())
    after, asks = leased(SOME_REFUSED, at, until)
    assert asks == (ASK_AGAIN,)
    assert after.ask_at == until
    assert leased(after, at, until) == (after, ())


def test_each_time_it_is_asked_under_a_key_of_its_own_written_down_before() -> None:
    intent = intend(SOME_REFUSED, Memory(DOMAIN).message(ASK_AGAIN))
    assert intent is not None
    (refund,) = intent.refunds
    assert (refund.state, refund.attempt) == (RefundState.ASKED, 1)
    assert refund.ask_at == REFUSED.ask_at  # so that somebody asks, whoever dies
    assert intent.refund_key(refund) == "order_1:refund:some:1"
    # Somebody died who asked: the same key again.
    assert intend(intent, Memory(DOMAIN).message(ASK_AGAIN)) is intent


def test_what_is_refused_again_waits_for_longer() -> None:
    memory = Memory(DOMAIN, SOME_AGAIN)
    assert memory.handle(outcome(ASK_AGAIN, RefundRefused("still blocked"), 1)).events == ()  # it is known
    (refund,) = memory.one(Payment, ORDER).refunds
    assert (refund.reason, refund.ask_at) == ("still blocked", NOW + timedelta(minutes=4))


def test_what_goes_through_at_last_has_no_time_any_more() -> None:
    memory = Memory(DOMAIN, SOME_AGAIN)
    decision = memory.handle(outcome(ASK_AGAIN, Refunded("re_1"), 1))
    assert decision.events == (structs.replace(money_back(SOME, "re_1"), attempt=1),)
    after = memory.one(Payment, ORDER)
    assert (after.state, after.ask_at) == (CAPTURED, None)


@pytest.mark.parametrize(
    "stored", [SOME_BACK, WHOLE, payment(PaymentState.VOIDED), payment(PaymentState.CAPTURING)]
)
def test_nobody_asks_again_for_what_is_not_open(stored: Payment) -> None:
    memory = Memory(DOMAIN, stored)
    assert intend(stored, memory.message(ASK_AGAIN)) is None
    assert memory.handle(ASK_AGAIN).verdict is Verdict.DUPLICATE


def test_pauses_grow_and_never_end() -> None:
    minutes = [pause(attempt) / timedelta(minutes=1) for attempt in range(7)]
    assert minutes == [1, 4, 16, 64, 256, 360, 360]
    assert pause(10**6) == timedelta(hours=6)
