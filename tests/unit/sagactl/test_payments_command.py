"""`sagactl payments`: calls of the gateway as the payment service has them, beside what it says."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from sagactl.oncall.payments import PaymentFacts, calls_of, lines, under_way, words
from services.payment.gateway import (
    Answer,
    Authorized,
    Captured,
    Declined,
    Pending,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import Payment, PaymentRefund, PaymentState, RefundState

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
PAYMENT = Payment(
    id="order-1", state=PaymentState.CAPTURED, amount=45000, currency="USD", created_at=NOON, updated_at=NOON
)
REFUSED = PaymentRefund(
    request_id="one",
    amount=10000,
    state=RefundState.REFUSED,
    attempt=2,
    reason="the card is closed",
    ask_at=NOON + timedelta(minutes=4),
)
DONE = PaymentRefund(request_id="two", amount=5000, state=RefundState.REFUNDED, refund_id="re_2")
REFUNDING = structs.replace(
    PAYMENT, state=PaymentState.REFUNDING, refunds=(REFUSED, DONE), intended_at=NOON - timedelta(hours=1)
)


def test_each_call_has_the_key_that_the_gateway_is_asked_by() -> None:
    capture, refused, done = calls_of(REFUNDING)
    assert (capture.kind, capture.state, capture.amount, capture.key) == (
        "capture",
        "CAPTURED",
        "450.00",
        "order-1:capture",
    )
    assert (refused.key, refused.refusals, refused.asked_again_at) == (
        "order-1:refund:one:2",
        2,
        REFUSED.ask_at,
    )
    assert (done.key, done.state, done.asked_again_at) == ("order-1:refund:two", "REFUNDED", None)


@pytest.mark.parametrize("state", [PaymentState.DECLINED, PaymentState.VOIDED, PaymentState.CAPTURING])
def test_what_was_never_captured_is_not_said_to_be(state: PaymentState) -> None:
    (capture,) = calls_of(structs.replace(PAYMENT, state=state))
    assert capture.state == state


def test_what_is_decided_later_says_when_it_is_asked_again() -> None:
    waiting = structs.replace(PAYMENT, state=PaymentState.PENDING, ask_at=NOON)
    (capture,) = calls_of(waiting)
    assert (capture.state, capture.asked_again_at) == ("PENDING", NOON)


def test_where_nobody_asked_for_any_money_there_is_no_currency() -> None:
    (capture,) = calls_of(structs.replace(PAYMENT, state=PaymentState.VOIDED, amount=0, currency=""))
    assert capture.amount == "0"


def test_under_way_is_what_is_not_back() -> None:
    (found,) = under_way([REFUNDING, PAYMENT])
    assert (found.order, found.call.refund, found.since) == ("order-1", "one", REFUNDING.intended_at)


def test_an_older_document_says_by_its_state_that_all_goes_back() -> None:
    (found,) = under_way([structs.replace(PAYMENT, state=PaymentState.REFUNDING)])
    assert (found.call.amount, found.call.state, found.call.key) == ("450.00", "ASKED", "order-1:refund")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Pending("txn_1"), "pending txn_1: it decides later"),
        (Authorized("txn_1"), "authorised txn_1: it holds the money"),
        (Voided("txn_1"), "called off txn_1"),
        (Voided(), "called off"),
        (RefundPending(), "pending: it decides later"),
        (Captured("txn_1"), "captured txn_1"),
        (Declined("txn_1", "no money"), "declined txn_1: no money"),
        (Refunded("re_1"), "refunded re_1"),
        (RefundRefused("closed"), "refused: closed"),
    ],
)
def test_what_the_gateway_says_is_in_words(answer: Answer, said: str) -> None:
    assert words(answer) == said


def test_the_screen_shows_each_call_beside_what_the_gateway_says() -> None:
    capture, refused, _ = calls_of(REFUNDING)
    calls = (structs.replace(capture, says="captured txn_1"), structs.replace(refused, says=None))
    facts = PaymentFacts(order="order-1", state="REFUNDING", currency="USD", calls=calls)
    assert [*lines(facts)] == [
        "[bold]order[/]    order-1  payment REFUNDING",
        "[bold]capture [/] 450.00 USD: CAPTURED",
        "[bold]gateway[/]  order-1:capture: captured txn_1",
        "[bold]refund  [/] 100.00 USD one: REFUSED (the card is closed), asked again at 2026-11-26T12:04:00Z",
        "[bold]gateway[/]  order-1:refund:one:2: it knows nothing about it",
    ]
