"""Every state of a payment against every message and every answer of the gateway."""

from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from msgspec import structs

from services.payment.asking import leased
from services.payment.domain import DOMAIN, intend
from services.payment.gateway import (
    About,
    Authorized,
    Captured,
    ChargeAnswer,
    Declined,
    Heard,
    Pending,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import (
    AskAgain,
    ChargeOutcome,
    LookAgain,
    Payment,
    PaymentState,
    RefundOutcome,
)
from services.payment.table import PAYMENTS
from services.shared.contract import wire
from services.shared.contract.decisions import RIGHT_AWAY, Premature, Refused, Verdict
from services.shared.contract.events import (
    Event,
    NextAction,
    OrderCancelled,
    OrderConfirmed,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentSucceeded,
    PricedLine,
    RefundPayment,
)
from services.shared.contract.table import ATTENTION_LIMIT, NEW
from tests.unit.memory import NOW, Memory

ORDER = "order_1"
FAR = NOW + timedelta(days=1)
(
    CAPTURING,
    PENDING,
    AUTHORIZED,
    CAPTURED,
    DECLINED,
    VOIDING,
    VOIDED,
    REFUNDING,
    REFUNDED,
) = PaymentState
APPLIED, DUPLICATE, ATTENTION = Verdict
CONFIRMED = OrderConfirmed(
    order_id=ORDER,
    total_price=Decimal("20.00"),
    currency="USD",
    products=(PricedLine("lamp", 2, Decimal("10.00")),),
    customer_id="alice",
)
REFUND = RefundPayment(order_id=ORDER, amount=Decimal("20.00"), currency="USD", reason="LATE_PAYMENT")
ACTION = NextAction("redirect", "https://bank.example/agree")


def answered(answer: ChargeAnswer) -> ChargeOutcome:
    return ChargeOutcome(CONFIRMED, answer, NOW)


MESSAGES: dict[str, Any] = {
    "confirmed": CONFIRMED,
    "confirmed for more": structs.replace(CONFIRMED, total_price=Decimal("20.01")),
    "confirmed in euros": structs.replace(CONFIRMED, currency="EUR"),
    "cancelled": OrderCancelled(order_id=ORDER, reason="SAGA_TIMEOUT", email=""),
    "refund": REFUND,
    "refund of less": structs.replace(REFUND, amount=Decimal("19.99")),
    "captured": answered(Captured("txn_1")),
    "captured otherwise": answered(Captured("txn_2")),
    "declined": answered(Declined("txn_1", "no money")),
    "pending": answered(Pending("txn_1")),
    "to be acted on": answered(Pending("txn_1", ACTION)),
    "authorized": answered(Authorized("txn_1")),
    "called off there": answered(Voided("txn_1")),
    "time to look": LookAgain(ORDER, 0),
    "an old time to look": LookAgain(ORDER, -1),
    "heard of the charge": Heard("evt_1", ORDER, About.CHARGE),
    "heard of a refund": Heard("evt_1", ORDER, About.REFUND),
    "heard of a dispute": Heard("evt_1", ORDER, About.DISPUTE),
    "refund later": RefundOutcome(REFUND, RefundPending(), at=NOW),
    "refunded": RefundOutcome(REFUND, Refunded("re_1")),
    "refunded otherwise": RefundOutcome(REFUND, Refunded("re_2")),
}


def payment(state: PaymentState, **more: Any) -> Payment:
    known = {"amount": 2000, "currency": "USD", "customer_id": "alice"}
    return Payment(id=ORDER, state=state, created_at=NOW, updated_at=NOW, **{**known, **more})


STATES: dict[str, Payment | None] = {
    "none": None,
    "capturing": payment(CAPTURING),
    "pending": payment(PENDING, transaction_id="txn_1", ask_at=NOW),
    "authorized": payment(AUTHORIZED, transaction_id="txn_1", ask_at=NOW),
    "voiding": payment(VOIDING),
    # As older releases write it.
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
WAITING = (PaymentPending(order_id=ORDER, transaction_id="txn_1", amount=Decimal("20.00"), currency="USD"),)
WAITING_FOR_THE_CUSTOMER = (structs.replace(WAITING[0], next_action=ACTION),)
FAILED = (
    PaymentFailed(
        order_id=ORDER, transaction_id="txn_1", amount=Decimal("20.00"), currency="USD", reason="no money"
    ),
)
LAPSED = (structs.replace(FAILED[0], reason="The payment was called off at the gateway, or has lapsed"),)
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
NOTED = (SILENT, APPLIED)
FORBIDDEN = "refused"

# Of a charge: by payment, what comes -> state afterwards, and what else.
Becomes = dict[str, tuple[PaymentState | None, Any]]
NO_REFUND_YET: dict[str, Any] = {
    "refunded": ODD,
    "refunded otherwise": ODD,
    "refund later": ODD,
    "heard of a refund": KNOWN,
    "heard of a dispute": ODD,
}


def stays(state: PaymentState | None, outcomes: dict[str, Any]) -> Becomes:
    return {message: (state, outcome) for message, outcome in outcomes.items()}


def undecided(state: PaymentState) -> Becomes:
    """What all states have in common in which money may yet be taken."""
    return {
        **stays(state, NO_REFUND_YET),
        **stays(
            state,
            {
                "confirmed for more": ODD,
                "confirmed in euros": ODD,
                "refund": TOO_EARLY,
                "refund of less": TOO_EARLY,
                "time to look": ASK,
                "an old time to look": KNOWN,
                "heard of the charge": NOTED,
            },
        ),
        "captured": (CAPTURED, (SUCCEEDED, APPLIED)),
        "captured otherwise": (CAPTURED, (SUCCEEDED_OTHERWISE, APPLIED)),
        "cancelled": (VOIDING, ASK),
        "authorized": (AUTHORIZED, NOTED),
        "declined": (DECLINED, (FAILED, APPLIED)),
        "called off there": (DECLINED, (LAPSED, APPLIED)),
    }


def called_off(state: PaymentState) -> Becomes:
    return {
        **undecided(state),
        "confirmed": (state, KNOWN),
        "pending": (state, NOTED),
        "to be acted on": (state, NOTED),
        "authorized": (state, NOTED),
        "declined": (VOIDED, NOTED),
        "called off there": (VOIDED, NOTED),
    }


def over(state: PaymentState) -> Becomes:
    """What the states have in common in which no money was taken."""
    return {
        **stays(state, NO_REFUND_YET),
        **stays(
            state,
            {
                "cancelled": KNOWN,
                "refund": ODD,
                "refund of less": ODD,
                "time to look": ASK,
                "an old time to look": KNOWN,
                "heard of the charge": NOTED,
                "pending": KNOWN,
                "to be acted on": KNOWN,
                "authorized": KNOWN,
                "called off there": KNOWN,
            },
        ),
        "captured": (CAPTURED, (SUCCEEDED, ATTENTION)),
        "captured otherwise": (CAPTURED, (SUCCEEDED_OTHERWISE, ATTENTION)),
    }


def paid(state: PaymentState) -> Becomes:
    """What the states have in common in which money was taken."""
    return stays(
        state,
        {
            "confirmed": KNOWN,
            "confirmed for more": ODD,
            "confirmed in euros": ODD,
            "cancelled": KNOWN,
            "refund of less": ODD,
            "captured": KNOWN,
            "captured otherwise": ODD,
            "declined": ODD,
            "pending": KNOWN,
            "to be acted on": KNOWN,
            "authorized": KNOWN,
            "called off there": ODD,
            "time to look": KNOWN,
            "an old time to look": KNOWN,
            "heard of the charge": KNOWN,
            "heard of a refund": KNOWN,
            "heard of a dispute": ODD,
            "refund later": ODD,
            "refunded": ODD,
            "refunded otherwise": ODD,
        },
    )


CONFIRMATIONS = ("confirmed", "confirmed for more", "confirmed in euros")
VOIDED_CONFIRMED = stays(VOIDED, dict.fromkeys(CONFIRMATIONS, NOTED))
ROWS: dict[str, Becomes] = {
    "none": {
        **stays(None, dict.fromkeys(MESSAGES, TOO_EARLY)),
        **stays(CAPTURING, dict.fromkeys(CONFIRMATIONS, ASK)),
        **stays(None, dict.fromkeys([name for name in MESSAGES if name.startswith("heard")], FORBIDDEN)),
        "time to look": (None, FORBIDDEN),
        "an old time to look": (None, FORBIDDEN),
        "cancelled": (VOIDED, NOTED),
    },
    "capturing": {
        **undecided(CAPTURING),
        "confirmed": (CAPTURING, ASK),
        "pending": (PENDING, (WAITING, APPLIED)),
        "to be acted on": (PENDING, (WAITING_FOR_THE_CUSTOMER, APPLIED)),
    },
    "pending": {
        **undecided(PENDING),
        "confirmed": (PENDING, (WAITING, DUPLICATE)),
        "pending": (PENDING, NOTED),
        "to be acted on": (PENDING, (WAITING_FOR_THE_CUSTOMER, APPLIED)),
    },
    "authorized": {
        **undecided(AUTHORIZED),
        "confirmed": (AUTHORIZED, KNOWN),
        "pending": (AUTHORIZED, NOTED),
        "to be acted on": (AUTHORIZED, NOTED),
    },
    "voiding": called_off(VOIDING),
    "cancelled while capturing": {
        # Its state is written with the next intent.
        **{
            message: (CAPTURING if becomes is VOIDING and outcome != ASK else becomes, outcome)
            for message, (becomes, outcome) in called_off(VOIDING).items()
        },
        "confirmed": (VOIDING, ASK),
    },
    "declined": {
        **over(DECLINED),
        "confirmed": (DECLINED, (FAILED, DUPLICATE)),
        "confirmed for more": (DECLINED, ODD),
        "confirmed in euros": (DECLINED, ODD),
        # The order asks for it, and others were told before.
        **stays(
            DECLINED,
            dict.fromkeys(
                ("declined", "called off there", "pending", "to be acted on", "authorized"),
                (FAILED, DUPLICATE),
            ),
        ),
    },
    "voided": {
        **over(VOIDED),
        **VOIDED_CONFIRMED,
        "declined": (VOIDED, KNOWN),
        # It is not known how much.
        "captured": (VOIDED, ODD),
        "captured otherwise": (VOIDED, ODD),
    },
    "voided, then confirmed": {
        **over(VOIDED),
        **VOIDED_CONFIRMED,
        "confirmed": (VOIDED, KNOWN),
        "declined": (VOIDED, KNOWN),
    },
    "captured": {
        **paid(CAPTURED),
        "confirmed": (CAPTURED, (SUCCEEDED, DUPLICATE)),
        **stays(
            CAPTURED,
            dict.fromkeys(("captured", "pending", "to be acted on", "authorized"), (SUCCEEDED, DUPLICATE)),
        ),
        "refund": (REFUNDING, ASK),
    },
    "refunding": {
        **paid(REFUNDING),
        "refund": (REFUNDING, ASK),
        "refund later": (REFUNDING, NOTED),
        "refunded": (REFUNDED, (MONEY_BACK, APPLIED)),
        "refunded otherwise": (REFUNDED, (MONEY_BACK_OTHERWISE, APPLIED)),
    },
    "refunded": {
        **paid(REFUNDED),
        "refund": (REFUNDED, (MONEY_BACK, DUPLICATE)),
        "refund later": (REFUNDED, KNOWN),
        "refunded": (REFUNDED, (MONEY_BACK, DUPLICATE)),
    },
}
EXPECTED = {(state, message): becomes for state, row in ROWS.items() for message, becomes in row.items()}


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
        LookAgain,
        AskAgain,
        Heard,
        Pending,
        Authorized,
        Captured,
        Declined,
        Voided,
        Refunded,
        RefundPending,
        RefundRefused,
    )
    assert set(PAYMENTS.cells) == set(product([NEW, *PaymentState], kinds))


@pytest.mark.parametrize(("state", "message"), EXPECTED)
def test_a_payment_becomes_what_the_table_says(state: str, message: str) -> None:
    becomes, outcome = EXPECTED[state, message]
    memory = service(state)
    before = memory.get(Payment, ORDER)
    if outcome in {ASK, TOO_EARLY, FORBIDDEN}:
        with pytest.raises(Refused if outcome == FORBIDDEN else Premature):
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
    (event,) = memory.handle(answered(Declined("txn_1", "no" * 1000))).events
    heard = wire.decode("order-events", wire.encode(event))
    assert heard == event
    assert memory.one(Payment, ORDER).reason == "no" * 256


# --- when it is asked again -------------------------------------------------------------------------------


def test_what_is_decided_later_is_looked_up_ever_more_slowly() -> None:
    memory = service("capturing")
    waits = []
    for number in range(7):
        memory.handle(MESSAGES["pending"])
        stored = memory.one(Payment, ORDER)
        assert stored.ask_at is not None
        waits.append((stored.ask_at - NOW).total_seconds())
        assert leased(stored, stored.ask_at, FAR)[1] == (LookAgain(ORDER, number + 1),)
    assert waits == [5, 15, 45, 135, 300, 300, 300]


def test_what_cannot_be_called_off_at_once_is_tried_every_hour_in_the_end() -> None:
    memory = service("voiding")
    for _ in range(12):
        memory.handle(MESSAGES["authorized"])
    assert memory.one(Payment, ORDER).ask_at == NOW + timedelta(hours=1)


def test_what_is_held_is_taken_right_away_and_then_ever_more_slowly() -> None:
    memory = service("pending")
    memory.handle(MESSAGES["authorized"])
    assert memory.one(Payment, ORDER).ask_at == NOW
    memory.handle(MESSAGES["authorized"])
    assert memory.one(Payment, ORDER).ask_at == NOW + timedelta(seconds=5)


def test_who_asks_keeps_others_from_it_for_a_while() -> None:
    stored = service("pending").one(Payment, ORDER)
    assert leased(stored, NOW - timedelta(microseconds=1), FAR) == (stored, ())
    after, asks = leased(stored, NOW, FAR)
    assert asks == (LookAgain(ORDER, 0),)
    assert leased(after, NOW, FAR) == (after, ())


@pytest.mark.parametrize("state", ["capturing", "pending", "authorized", "voiding", "voided", "declined"])
def test_what_a_gateway_says_by_itself_has_it_asked_right_away_and_under_a_new_id(state: str) -> None:
    """An answer to a question of before may be on its way, and would be taken for this one's."""
    memory = service(state)
    memory.handle(MESSAGES["heard of the charge"])
    after = memory.one(Payment, ORDER)
    assert (after.ask_at, after.asked) == (RIGHT_AWAY, 1)
    assert intend(after, memory.message(MESSAGES["time to look"])) is None
    assert intend(after, memory.message(LookAgain(ORDER, 1))) == after


@pytest.mark.parametrize("answer", ["captured", "declined", "called off there"])
@pytest.mark.parametrize("state", ["pending", "authorized", "voiding", "voided", "declined"])
def test_once_it_is_over_nobody_asks_any_more(state: str, answer: str) -> None:
    memory = service(state)
    memory.handle(MESSAGES["heard of the charge"])
    memory.handle(MESSAGES[answer])
    after = memory.one(Payment, ORDER)
    assert (after.ask_at, after.next_action) == (None, None)


# --- what was told of it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "body", "told"),
    [
        # What goes without saying.
        ("capturing", MESSAGES["captured"], []),
        ("capturing", MESSAGES["declined"], []),
        ("captured", MESSAGES["confirmed"], []),
        ("capturing", MESSAGES["pending"], ["PAYMENT_PENDING"]),
        ("pending", MESSAGES["confirmed"], ["PAYMENT_PENDING"]),
        ("capturing", MESSAGES["authorized"], [""]),
        ("voiding", MESSAGES["pending"], [""]),
        ("pending", ChargeOutcome(LookAgain(ORDER, 0), Captured("txn_1"), NOW), ["PAYMENT_SUCCEEDED"]),
        ("pending", ChargeOutcome(LookAgain(ORDER, 0), Declined("txn_1", "no"), NOW), ["PAYMENT_FAILED"]),
        ("pending", ChargeOutcome(LookAgain(ORDER, 0), Pending("txn_1"), NOW), []),
        ("captured", ChargeOutcome(LookAgain(ORDER, 0), Captured("txn_1"), NOW), []),
        ("voiding", ChargeOutcome(MESSAGES["cancelled"], Captured("txn_1"), NOW), ["PAYMENT_SUCCEEDED"]),
    ],
)
def test_what_is_published_about_a_charge_is_noted_unless_it_goes_without_saying(
    state: str, body: object, told: list[str]
) -> None:
    memory = service(state)
    message = memory.message(body)
    memory.decide(message)
    stored = memory.one(Payment, ORDER).told
    assert [each.type for each in stored] == told
    assert {each.cause for each in stored} <= {f"test/{message.id}"}


# --- what costs nothing -----------------------------------------------------------------------------------


def test_what_costs_nothing_is_paid_without_a_gateway_and_so_is_its_refund() -> None:
    free = structs.replace(CONFIRMED, total_price=Decimal("0.00"))
    memory = service("none")
    assert intend(None, memory.message(free)) is None
    succeeded = structs.replace(SUCCEEDED[0], transaction_id="free", amount=Decimal("0.00"))
    assert memory.handle(free).events == (succeeded,)
    assert memory.handle(free).events == (succeeded,)
    for number in range(2):
        back = structs.replace(REFUND, amount=Decimal("0.00"), refund_request_id=f"some-{number}")
        assert intend(memory.one(Payment, ORDER), memory.message(back)) is None
        refunded = PaymentRefunded(
            order_id=ORDER,
            transaction_id="free",
            refund_id="free",
            amount=Decimal("0.00"),
            currency="USD",
            refund_request_id=back.refund_request_id,
        )
        assert memory.handle(back).events == (refunded,)
        assert memory.handle(back).verdict is DUPLICATE
    assert memory.one(Payment, ORDER).state is REFUNDED


@pytest.mark.parametrize("state", ["captured", "refunding"])
def test_pieces_that_cost_nothing_go_back_beside_those_that_did(state: str) -> None:
    memory = service(state)
    gift = structs.replace(REFUND, amount=Decimal("0.00"), refund_request_id="gift")
    assert [event.type for event in memory.handle(gift).events] == ["PAYMENT_REFUNDED"]
    assert memory.one(Payment, ORDER).state == service(state).one(Payment, ORDER).state
