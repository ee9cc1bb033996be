"""Crashes, lost answers, repeats, overtaking, answers that come later, by themselves or not at all: the bank
and the payment agree, and nobody pays for nothing.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.payment import effects
from services.payment.asking import leased
from services.payment.domain import DOMAIN, intend
from services.payment.gateway import About, Captured, Heard, Pending
from services.payment.payment import (
    PAID,
    UNDECIDED,
    ChargeOutcome,
    Payment,
    PaymentState,
    RefundOutcome,
    RefundState,
)
from services.shared.contract import money
from services.shared.contract.decisions import Deferred, Message, Premature, Refused
from services.shared.contract.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
    PricedLine,
    RefundPayment,
)
from tests.unit.memory import NOW, Memory
from tests.unit.payment.bank import ACTION, LATER, LATER_NO, NO, Bank

ORDERS = st.sampled_from(["order_1", "order_2"])
AMOUNT = Decimal("20.00")
# A refund of all that was captured, of an order that is cancelled, has no id.
ALL_OF_IT = ""
FAR = NOW + timedelta(days=365)


class InFlight(NamedTuple):
    """A message whose intent is stored, and whose effect is not yet performed."""

    message: Message
    intent: Payment | None


class Payments(RuleBasedStateMachine):
    """The effect stage, the engine and the order service in little, without an inbox."""

    manual = False

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(DOMAIN)
        self.bank = Bank()
        self.loop = asyncio.Runner()
        self.queue: list[Message] = []
        self.in_flight: list[InFlight] = []
        self.performed: list[Message] = []
        self.handled: list[Message] = []
        # The card that each is paid with.
        self.confirmed: dict[str, str | None] = {}
        self.cancelled: set[str] = set()
        # Called off before anything had reached the bank.
        self.never_to_be_charged: set[str] = set()
        self.asked_to_act: set[str] = set()
        self.effects = effects.Asked(self.bank, manual=self.manual)
        self.succeeded: set[str] = set()
        self.failed: set[str] = set()
        # By order: what was asked back under which id, in cents; what is back; what was refused once.
        self.asked_back: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.money_back: defaultdict[str, set[str]] = defaultdict(set)
        self.refused: defaultdict[str, set[str]] = defaultdict(set)

    # --- the order service ---

    @rule(order_id=ORDERS, card=st.sampled_from([None, NO, LATER, LATER_NO]))
    def order_is_confirmed(self, order_id: str, card: str | None) -> None:
        if order_id in self.confirmed:
            return
        self.confirmed[order_id] = card
        self._publish(
            OrderConfirmed(
                order_id=order_id,
                total_price=AMOUNT,
                currency="USD",
                products=(PricedLine("lamp", 1, AMOUNT),),
                payment_token=card,
            )
        )

    @rule(order_id=ORDERS)
    def order_is_cancelled(self, order_id: str) -> None:
        if order_id not in self.cancelled | self.succeeded:
            self.cancelled.add(order_id)
            self._publish(OrderCancelled(order_id=order_id, reason="SAGA_TIMEOUT", email=""))

    @rule(order_id=ORDERS, id_=st.sampled_from(["one", "two", "three", "four"]), cents=st.integers(0, 2000))
    def customer_wants_some_money_back(self, order_id: str, id_: str, cents: int) -> None:
        """Again under the same id, it is the same; the order allows no more than was taken."""
        if order_id not in self.succeeded or order_id in self.cancelled:
            return
        asked = self.asked_back[order_id]
        cents = asked.get(id_, min(cents, 2000 - sum(asked.values())))
        asked[id_] = cents
        self._refund(order_id, id_, cents)

    @rule(refusals=st.integers(0, 3))
    def gateway_will_refuse_refunds(self, refusals: int) -> None:
        self.bank.refusals = refusals

    @rule(later=st.booleans())
    def gateway_will_decide_on_refunds_later(self, *, later: bool) -> None:
        self.bank.refunds_later = later

    @rule()
    def gateway_decides(self) -> None:
        self.bank.decide()

    @rule(order_id=ORDERS, about=st.sampled_from([About.CHARGE, About.REFUND]))
    def gateway_says_something(self, order_id: str, about: About) -> None:
        """Early, twice, late, or about nothing: whoever hears it believes none of it."""
        try:
            self.memory.handle(Heard("evt", order_id, about))
        except Refused:
            assert self.memory.get(Payment, order_id) is None

    def _refund(self, order_id: str, id_: str, cents: int) -> None:
        amount = money.to_decimal(cents, "USD")
        self._publish(
            RefundPayment(
                order_id=order_id, amount=amount, currency="USD", reason="", refund_request_id=id_ or None
            )
        )

    def _publish(self, event: OrderEvent) -> None:
        self.queue.append(self.memory.message(event))

    # --- the effect stage and the engine ---

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def message_is_looked_at(self, data: st.DataObject) -> None:
        self._look(data.draw(st.integers(0, len(self.queue) - 1)))

    def _look(self, index: int) -> None:
        message = self.queue.pop(index)
        before = self.memory.get(Payment, message.body.order_id)  # type: ignore[attr-defined]  # an OrderEvent
        intent = intend(before, message)
        if intent is not None and intent is not before:
            self.memory.store([intent])
            self._note(before, intent)
        if intent is None:
            self.performed.append(message)
        else:
            self.in_flight.append(InFlight(message, intent))

    def _note(self, before: Payment | None, intent: Payment) -> None:
        """Whether it is called off while the bank knows nothing, and nothing is on its way there."""
        if intent.state is not PaymentState.VOIDING or before is None or before.state is intent.state:
            return
        on_its_way = any(each.intent is not None and each.intent.id == intent.id for each in self.in_flight)
        if not on_its_way and intent.capture_key not in self.bank.done:
            self.never_to_be_charged.add(intent.id)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), lose_request=st.booleans(), lose_answer=st.booleans())
    def gateway_is_asked(self, data: st.DataObject, *, lose_request: bool, lose_answer: bool) -> None:
        self.bank.lose_request, self.bank.lose_answer = lose_request, lose_answer
        self._ask(data.draw(st.integers(0, len(self.in_flight) - 1)))

    def _ask(self, index: int) -> None:
        message, intent = self.in_flight.pop(index)
        assert intent is not None
        try:
            body: object = self.loop.run(self.effects.perform(intent, message))
        except Deferred:
            if isinstance(message.body, OrderEvent):  # the clock brings up the others
                self.queue.append(message)
            return
        self.handled.append(message)
        self.performed.append(self.memory.message(body))

    @precondition(lambda self: self.performed)
    @rule(data=st.data())
    def message_is_decided(self, data: st.DataObject) -> None:
        self._decide(data.draw(st.integers(0, len(self.performed) - 1)))

    def _decide(self, index: int) -> None:
        message = self.performed.pop(index)
        try:
            decision = self.memory.decide(message)
        except Premature:
            self.queue.append(message)
            return
        if isinstance(message.body, OrderEvent):
            self.handled.append(message)
        for event in decision.events:
            self._on(event)

    def _on(self, event: object) -> None:
        match event:
            case PaymentSucceeded(order_id=order_id):
                late = order_id in self.cancelled and order_id not in self.succeeded
                self.succeeded.add(order_id)
                if late:
                    self.asked_back[order_id][ALL_OF_IT] = 2000
                    self._refund(order_id, ALL_OF_IT, 2000)
            case PaymentFailed(order_id=order_id):
                self.failed.add(order_id)
            case PaymentPending(order_id=order_id, next_action=action):
                assert action == ACTION
                self.asked_to_act.add(order_id)
            case PaymentRefunded(order_id=order_id, refund_request_id=id_, amount=amount):
                assert money.to_minor(amount, "USD") == self.asked_back[order_id][id_ or ALL_OF_IT]
                self.money_back[order_id].add(id_ or ALL_OF_IT)
            case PaymentRefundFailed(order_id=order_id, refund_request_id=id_, reason=reason):
                assert reason == "blocked"
                self.refused[order_id].add(id_ or ALL_OF_IT)

    @rule()
    def time_passes(self) -> None:
        """Whatever has a time is asked, also what somebody who died was asking for."""
        for payment in self.memory.all(Payment):
            after, asks = leased(payment, FAR, FAR)
            if asks:
                self.memory.store([after])
                self.queue += [self.memory.message(ask) for ask in asks]

    @rule()
    def process_is_killed(self) -> None:
        """What was not decided comes again; what the gateway did, it did."""
        known = [*self.queue, *(each.message for each in self.in_flight), *self.performed]
        bodies = [
            message.body.event if isinstance(message.body, ChargeOutcome | RefundOutcome) else message.body
            for message in known
        ]
        self.queue = [self.memory.message(body) for body in bodies if isinstance(body, OrderEvent)]
        self.in_flight, self.performed = [], []

    @precondition(lambda self: self.handled)
    @rule(data=st.data())
    def message_comes_again(self, data: st.DataObject) -> None:
        self.queue.append(data.draw(st.sampled_from(self.handled)))

    # --- what must hold ---

    @invariant()
    def nothing_is_odd(self) -> None:
        for payment in self.memory.all(Payment):
            assert not payment.attention

    @invariant()
    def nothing_is_done_that_was_not_written_down_before(self) -> None:
        for key in self.bank.done:
            assert self.memory.get(Payment, key.partition(":")[0]) is not None

    @invariant()
    def no_more_is_given_back_than_was_taken(self) -> None:
        for payment in self.memory.all(Payment):
            given_back = self._given_back(payment)
            taken = isinstance(self.bank.done.get(payment.capture_key), Captured)
            assert given_back <= (2000 if taken else 0)
            assert sum(refund.amount for refund in payment.refunds) <= 2000

    def _given_back(self, payment: Payment) -> int:
        of_order = f"{payment.id}:"
        return sum(cents for key, cents in self.bank.given_back.items() if key.startswith(of_order))

    @invariant()
    def what_is_refused_has_its_time(self) -> None:
        for payment in self.memory.all(Payment):
            assert all(
                refund.ask_at is not None for refund in payment.refunds if refund.state is RefundState.REFUSED
            )
            times = [refund.ask_at for refund in payment.refunds if refund.ask_at is not None]
            if payment.state in PAID:
                assert payment.ask_at == min(times, default=None)

    @invariant()
    def what_waits_for_an_answer_has_its_time(self) -> None:
        for payment in self.memory.all(Payment):
            if payment.state in {PaymentState.PENDING, PaymentState.AUTHORIZED}:
                assert payment.ask_at is not None

    @invariant()
    def what_was_voided_is_not_charged(self) -> None:
        for payment in self.memory.all(Payment):
            if payment.state in {PaymentState.VOIDED, PaymentState.DECLINED}:
                assert not isinstance(self.bank.done.get(payment.capture_key), Captured | Pending)

    @invariant()
    def what_was_called_off_before_the_bank_heard_of_it_never_is(self) -> None:
        for order_id in self.never_to_be_charged:
            assert not isinstance(self.bank.done.get(f"{order_id}:capture"), Captured)

    def teardown(self) -> None:
        """The gateway is back, and decides: everything ends, and the bank agrees."""
        self.bank.lose_request = self.bank.lose_answer = self.bank.refunds_later = False
        for _ in range(1000):
            if not (self.performed or self.in_flight or self.queue):
                self.bank.decide()
                self.time_passes()
            if self.performed:
                self._decide(0)
            elif self.in_flight:
                self._ask(0)
            elif self.queue:
                self._look(0)
            else:
                break
        self.loop.close()
        assert not self.queue
        assert not self.performed
        for order_id, card in self.confirmed.items():
            self._check(self.memory.one(Payment, order_id), card)

    def _check(self, payment: Payment, card: str | None) -> None:
        captured = isinstance(self.bank.done.get(payment.capture_key), Captured)
        asked = self.asked_back[payment.id]
        assert captured == (payment.state in PAID)
        assert payment.state not in {*UNDECIDED, PaymentState.REFUNDING}
        assert payment.ask_at is None
        assert self._given_back(payment) == sum(asked.values())
        assert {each.request_id: each.amount for each in payment.refunds} == asked
        assert self.money_back[payment.id] == set(asked)
        assert (payment.state is PaymentState.REFUNDED) == (captured and sum(asked.values()) == 2000)
        assert captured == (payment.id in self.succeeded)
        assert (payment.state is PaymentState.DECLINED) == (payment.id in self.failed)
        if payment.id in self.cancelled:
            assert payment.state is not PaymentState.CAPTURED  # no money is kept
        else:
            assert payment.state is not PaymentState.VOIDED
            assert captured is (card not in {NO, LATER_NO})
        if payment.id in self.asked_to_act:
            assert card in {LATER, LATER_NO}


class PaymentsByHand(Payments):
    """Money is held before it is taken."""

    manual = True


Payments.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # how fast it is depends on what else the machine does
)
PaymentsByHand.TestCase.settings = Payments.TestCase.settings
TestPayments = Payments.TestCase
TestPaymentsByHand = PaymentsByHand.TestCase
