"""Every state of a payment against every message and every answer of the gateway."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from msgspec import structs

from services.payment.domain import DOMAIN, intend
from services.payment.gateway import Captured, Declined, Refunded, RefundRefused
from services.payment.payment import AskAgain, ChargeOutcome, Payment, PaymentState, RefundOutcome
from services.payment.table import PAYMENTS
from services.shared.contract import wire
from services.shared.contract.decisions import Premature, Verdict
from services.shared.contract.events import (
    Event,
    OrderCancelled,
    OrderConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentSucceeded,
    PricedLine,
    RefundPayment,
)
from services.shared.contract.table import ATTENTION_LIMIT, NEW
from tests.unit.memory import NOW, Memory

ORDER = "order_1"
CAPTURING, CAPTURED, DECLINED, VOIDED, REFUNDING, REFUNDED = PaymentState
APPLIED, DUPLICATE, ATTENTION = Verdict
CONFIRMED = OrderConfirmed(
    order_id=ORDER,
    total_price=Decimal("20.00"),
    currency="USD",
    products=(PricedLine("lamp", 2, Decimal("10.00")),),
    customer_id="alice",
)
REFUND = RefundPayment(order_id=ORDER, amount=Decimal("20.00"), currency="USD", reason="LATE_PAYMENT")
MESSAGES: dict[str, Any] = {
    "confirmed": CONFIRMED,
    "confirmed for more": structs.replace(CONFIRMED, total_price=Decimal("20.01")),
    "confirmed in euros": structs.replace(CONFIRMED, currency="EUR"),
    "cancelled": OrderCancelled(order_id=ORDER, reason="SAGA_TIMEOUT", email=""),
    "refund": REFUND,
    "refund of less": structs.replace(REFUND, amount=Decimal("19.99")),
    "captured": ChargeOutcome(CONFIRMED, Captured("txn_1")),
    "captured otherwise": ChargeOutcome(CONFIRMED, Captured("txn_2")),
    "declined": ChargeOutcome(CONFIRMED, Declined("txn_1", "no money")),
    "refunded": RefundOutcome(REFUND, Refunded("re_1")),
    "refunded otherwise": RefundOutcome(REFUND, Refunded("re_2")),
}


def payment(state: PaymentState, **more: Any) -> Payment:
    known = {"amount": 2000, "currency": "USD", "customer_id": "alice"}
    return Payment(id=ORDER, state=state, created_at=NOW, updated_at=NOW, **{**known, **more})


STATES: dict[str, Payment | None] = {
    "none": None,
    "capturing": payment(CAPTURING),
    "cancelled while capturing": payment(CAPTURING, cancel_requested=True),
    "captured": payment(CAPTURED, transaction_id="txn_1"),
    "declined": payment(DECLINED, transaction_id="txn_1", reason="no money"),
    "voided": payment(VOIDED, amount=0, currency="", customer_id=None),
    "voided, then confirmed": payment(VOIDED),
    "refunding": payment(REFUNDING, transaction_id="txn_1"),
    "refunded": payment(REFUNDED, transaction_id="txn_1", refund_id="re_1"),
}
SILENT: tuple[Event, ...] = ()
SUCCEEDED = (
    PaymentSucceeded(order_id=ORDER, transaction_id="txn_1", amount=Decimal("20.00"), currency="USD"),
)
SUCCEEDED_OTHERWISE = (structs.replace(SUCCEEDED[0], transaction_id="txn_2"),)
FAILED = (
    PaymentFailed(
        order_id=ORDER, transaction_id="txn_1", amount=Decimal("20.00"), currency="USD", reason="no money"
    ),
)
MONEY_BACK = (
    PaymentRefunded(
        order_id=ORDER, transaction_id="txn_1", refund_id="re_1", amount=Decimal("20.00"), currency="USD"
    ),
)
MONEY_BACK_OTHERWISE = (structs.replace(MONEY_BACK[0], refund_id="re_2"),)

ASK = "the gateway is asked, with this state stored before"
TOO_EARLY = "it comes again later"
ODD = (SILENT, ATTENTION)
KNOWN = (SILENT, DUPLICATE)

# (payment, message) -> state afterwards, and what else.
EXPECTED: dict[tuple[str, str], tuple[PaymentState | None, Any]] = {
    ("none", "confirmed"): (CAPTURING, ASK),
    ("none", "confirmed for more"): (CAPTURING, ASK),
    ("none", "confirmed in euros"): (CAPTURING, ASK),
    ("none", "cancelled"): (VOIDED, (SILENT, APPLIED)),
    ("none", "refund"): (None, TOO_EARLY),
    ("none", "refund of less"): (None, TOO_EARLY),
    ("none", "captured"): (None, TOO_EARLY),
    ("none", "captured otherwise"): (None, TOO_EARLY),
    ("none", "declined"): (None, TOO_EARLY),
    ("none", "refunded"): (None, TOO_EARLY),
    ("none", "refunded otherwise"): (None, TOO_EARLY),
    ("capturing", "confirmed"): (CAPTURING, ASK),
    ("capturing", "confirmed for more"): (CAPTURING, ODD),
    ("capturing", "confirmed in euros"): (CAPTURING, ODD),
    ("capturing", "cancelled"): (CAPTURING, (SILENT, APPLIED)),
    ("capturing", "refund"): (CAPTURING, TOO_EARLY),
    ("capturing", "refund of less"): (CAPTURING, TOO_EARLY),
    ("capturing", "captured"): (CAPTURED, (SUCCEEDED, APPLIED)),
    ("capturing", "captured otherwise"): (CAPTURED, (SUCCEEDED_OTHERWISE, APPLIED)),
    ("capturing", "declined"): (DECLINED, (FAILED, APPLIED)),
    ("capturing", "refunded"): (CAPTURING, ODD),
    ("capturing", "refunded otherwise"): (CAPTURING, ODD),
    ("cancelled while capturing", "confirmed"): (CAPTURING, ASK),
    ("cancelled while capturing", "confirmed for more"): (CAPTURING, ODD),
    ("cancelled while capturing", "confirmed in euros"): (CAPTURING, ODD),
    ("cancelled while capturing", "cancelled"): (CAPTURING, KNOWN),
    ("cancelled while capturing", "refund"): (CAPTURING, TOO_EARLY),
    ("cancelled while capturing", "refund of less"): (CAPTURING, TOO_EARLY),
    ("cancelled while capturing", "captured"): (CAPTURED, (SUCCEEDED, APPLIED)),
    ("cancelled while capturing", "captured otherwise"): (CAPTURED, (SUCCEEDED_OTHERWISE, APPLIED)),
    ("cancelled while capturing", "declined"): (DECLINED, (FAILED, APPLIED)),
    ("cancelled while capturing", "refunded"): (CAPTURING, ODD),
    ("cancelled while capturing", "refunded otherwise"): (CAPTURING, ODD),
    ("captured", "confirmed"): (CAPTURED, (SUCCEEDED, DUPLICATE)),
    ("captured", "confirmed for more"): (CAPTURED, ODD),
    ("captured", "confirmed in euros"): (CAPTURED, ODD),
    ("captured", "cancelled"): (CAPTURED, KNOWN),
    ("captured", "refund"): (REFUNDING, ASK),
    ("captured", "refund of less"): (CAPTURED, ODD),
    ("captured", "captured"): (CAPTURED, (SUCCEEDED, DUPLICATE)),
    ("captured", "captured otherwise"): (CAPTURED, ODD),
    ("captured", "declined"): (CAPTURED, ODD),
    ("captured", "refunded"): (CAPTURED, ODD),
    ("captured", "refunded otherwise"): (CAPTURED, ODD),
    ("declined", "confirmed"): (DECLINED, (FAILED, DUPLICATE)),
    ("declined", "confirmed for more"): (DECLINED, ODD),
    ("declined", "confirmed in euros"): (DECLINED, ODD),
    ("declined", "cancelled"): (DECLINED, KNOWN),
    ("declined", "refund"): (DECLINED, ODD),
    ("declined", "refund of less"): (DECLINED, ODD),
    ("declined", "captured"): (DECLINED, ODD),
    ("declined", "captured otherwise"): (DECLINED, ODD),
    ("declined", "declined"): (DECLINED, (FAILED, DUPLICATE)),
    ("declined", "refunded"): (DECLINED, ODD),
    ("declined", "refunded otherwise"): (DECLINED, ODD),
    ("voided", "confirmed"): (VOIDED, (SILENT, APPLIED)),
    ("voided", "confirmed for more"): (VOIDED, (SILENT, APPLIED)),
    ("voided", "confirmed in euros"): (VOIDED, (SILENT, APPLIED)),
    ("voided", "cancelled"): (VOIDED, KNOWN),
    ("voided", "refund"): (VOIDED, ODD),
    ("voided", "refund of less"): (VOIDED, ODD),
    ("voided", "captured"): (VOIDED, ODD),
    ("voided", "captured otherwise"): (VOIDED, ODD),
    ("voided", "declined"): (VOIDED, KNOWN),
    ("voided", "refunded"): (VOIDED, ODD),
    ("voided", "refunded otherwise"): (VOIDED, ODD),
    ("voided, then confirmed", "confirmed"): (VOIDED, KNOWN),
    ("voided, then confirmed", "confirmed for more"): (VOIDED, (SILENT, APPLIED)),
    ("voided, then confirmed", "confirmed in euros"): (VOIDED, (SILENT, APPLIED)),
    ("voided, then confirmed", "cancelled"): (VOIDED, KNOWN),
    ("voided, then confirmed", "refund"): (VOIDED, ODD),
    ("voided, then confirmed", "refund of less"): (VOIDED, ODD),
    ("voided, then confirmed", "captured"): (VOIDED, ODD),
    ("voided, then confirmed", "captured otherwise"): (VOIDED, ODD),
    ("voided, then confirmed", "declined"): (VOIDED, KNOWN),
    ("voided, then confirmed", "refunded"): (VOIDED, ODD),
    ("voided, then confirmed", "refunded otherwise"): (VOIDED, ODD),
    ("refunding", "confirmed"): (REFUNDING, KNOWN),
    ("refunding", "confirmed for more"): (REFUNDING, ODD),
    ("refunding", "confirmed in euros"): (REFUNDING, ODD),
    ("refunding", "cancelled"): (REFUNDING, KNOWN),
    ("refunding", "refund"): (REFUNDING, ASK),
    ("refunding", "refund of less"): (REFUNDING, ODD),
    ("refunding", "captured"): (REFUNDING, KNOWN),
    ("refunding", "captured otherwise"): (REFUNDING, ODD),
    ("refunding", "declined"): (REFUNDING, ODD),
    ("refunding", "refunded"): (REFUNDED, (MONEY_BACK, APPLIED)),
    ("refunding", "refunded otherwise"): (REFUNDED, (MONEY_BACK_OTHERWISE, APPLIED)),
    ("refunded", "confirmed"): (REFUNDED, KNOWN),
    ("refunded", "confirmed for more"): (REFUNDED, ODD),
    ("refunded", "confirmed in euros"): (REFUNDED, ODD),
    ("refunded", "cancelled"): (REFUNDED, KNOWN),
    ("refunded", "refund"): (REFUNDED, (MONEY_BACK, DUPLICATE)),
    ("refunded", "refund of less"): (REFUNDED, ODD),
    ("refunded", "captured"): (REFUNDED, KNOWN),
    ("refunded", "captured otherwise"): (REFUNDED, ODD),
    ("refunded", "declined"): (REFUNDED, ODD),
    ("refunded", "refunded"): (REFUNDED, (MONEY_BACK, DUPLICATE)),
    ("refunded", "refunded otherwise"): (REFUNDED, ODD),
}


def service(state: str) -> Memory:
    stored = STATES[state]
    return Memory(DOMAIN, *([] if stored is None else [stored]))


def state_of(memory: Memory) -> PaymentState | None:
    stored = memory.get(Payment, ORDER)
    return stored.state if stored else None


def pairs(*outcomes: Any) -> list[tuple[str, str]]:
    return [pair for pair, (_, outcome) in EXPECTED.items() if outcome in outcomes]


def test_every_pair_is_expected_to_do_something() -> None:
    assert set(EXPECTED) == set(product(STATES, MESSAGES))


def test_the_table_knows_every_pair() -> None:
    kinds = (
        OrderConfirmed,
        OrderCancelled,
        RefundPayment,
        AskAgain,
        Captured,
        Declined,
        Refunded,
        RefundRefused,
    )
    assert set(PAYMENTS.cells) == set(product([NEW, *PaymentState], kinds))


@pytest.mark.parametrize(("state", "message"), EXPECTED)
def test_a_payment_becomes_what_the_table_says(state: str, message: str) -> None:
    becomes, outcome = EXPECTED[state, message]
    memory = service(state)
    before = memory.get(Payment, ORDER)
    if outcome in {ASK, TOO_EARLY}:
        with pytest.raises(Premature):
            memory.handle(MESSAGES[message])
        assert memory.get(Payment, ORDER) == before
        return
    decision = memory.handle(MESSAGES[message])
    assert (state_of(memory), decision.events, decision.verdict) == (becomes, *outcome)


@pytest.mark.parametrize(("state", "message"), EXPECTED)
def test_the_gateway_is_asked_where_the_table_says_and_nowhere_else(state: str, message: str) -> None:
    becomes, outcome = EXPECTED[state, message]
    memory = service(state)
    before = memory.get(Payment, ORDER)
    intent = intend(before, memory.message(MESSAGES[message]))
    if outcome != ASK:
        assert intent is None
    else:
        assert intent is not None
        assert intent.state is becomes


@pytest.mark.parametrize(("state", "message"), pairs(ODD))
def test_a_contradiction_is_recorded_on_the_payment_once(state: str, message: str) -> None:
    memory = service(state)
    odd = memory.message(MESSAGES[message])
    memory.decide(odd)
    assert memory.decide(odd).verdict is DUPLICATE
    (contradiction,) = memory.one(Payment, ORDER).attention
    assert (contradiction.event_id, contradiction.at) == (odd.id, NOW)
    assert contradiction.reason


def test_nonsense_forever_does_not_fill_the_document_and_the_latest_is_kept() -> None:
    memory = service("captured")
    for _ in range(ATTENTION_LIMIT + 5):
        latest = memory.message(MESSAGES["declined"])
        memory.decide(latest)
    attention = memory.one(Payment, ORDER).attention
    assert (len(attention), attention[-1].event_id) == (ATTENTION_LIMIT, latest.id)
    assert attention[-1].event == "GATEWAY_DECLINED"


def test_a_long_reason_of_the_gateway_is_cut_to_what_an_event_can_say() -> None:
    memory = service("capturing")
    (event,) = memory.handle(ChargeOutcome(CONFIRMED, Declined("txn_1", "no" * 1000))).events
    heard = wire.decode("order-events", wire.encode(event))
    assert heard == event
    assert memory.one(Payment, ORDER).reason == "no" * 256
