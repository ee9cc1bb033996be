"""Crashes, lost answers, repeats, overtaking: the bank and the payment agree, and nobody pays for nothing."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.payment import effects
from services.payment.domain import DOMAIN, intend
from services.payment.gateway import Captured
from services.payment.payment import PAID, AskAgain, Payment, PaymentState, RefundState
from services.payment.refunds import leased
from services.shared.contract import money
from services.shared.contract.decisions import Deferred, Message, Premature
from services.shared.contract.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
    PricedLine,
    RefundPayment,
)
from tests.unit.memory import NOW, Memory
from tests.unit.payment.bank import Bank

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

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(DOMAIN)
        self.bank = Bank()
        self.loop = asyncio.Runner()
        self.queue: list[Message] = []
        self.in_flight: list[InFlight] = []
        self.performed: list[Message] = []
        self.handled: list[Message] = []
        self.confirmed: dict[str, bool] = {}
        self.cancelled: set[str] = set()
        self.succeeded: set[str] = set()
        self.failed: set[str] = set()
        # By order: what was asked back under which id, in cents; what is back; what was refused once.
        self.asked_back: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.money_back: defaultdict[str, set[str]] = defaultdict(set)
        self.refused: defaultdict[str, set[str]] = defaultdict(set)

    # --- the order service ---

    @rule(order_id=ORDERS, declined=st.booleans())
    def order_is_confirmed(self, order_id: str, *, declined: bool) -> None:
        if order_id in self.confirmed:
            return
        self.confirmed[order_id] = declined
        self._publish(
            OrderConfirmed(
                order_id=order_id,
                total_price=AMOUNT,
                currency="USD",
                products=(PricedLine("lamp", 1, AMOUNT),),
                payment_token="no" if declined else None,
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
        if intent is None:
            self.performed.append(message)
        else:
            self.in_flight.append(InFlight(message, intent))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), lose_request=st.booleans(), lose_answer=st.booleans())
    def gateway_is_asked(self, data: st.DataObject, *, lose_request: bool, lose_answer: bool) -> None:
        self.bank.lose_request, self.bank.lose_answer = lose_request, lose_answer
        self._ask(data.draw(st.integers(0, len(self.in_flight) - 1)))

    def _ask(self, index: int) -> None:
        message, intent = self.in_flight.pop(index)
        effect = effects.charge if isinstance(message.body, OrderConfirmed) else effects.refund
        assert intent is not None
        try:
            body: object = self.loop.run(effect(self.bank, intent, message))
        except Deferred:
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
            case PaymentRefunded(order_id=order_id, refund_request_id=id_, amount=amount):
                assert money.to_minor(amount, "USD") == self.asked_back[order_id][id_ or ALL_OF_IT]
                self.money_back[order_id].add(id_ or ALL_OF_IT)
            case PaymentRefundFailed(order_id=order_id, refund_request_id=id_, reason=reason):
                assert reason == "blocked"
                self.refused[order_id].add(id_ or ALL_OF_IT)

    @rule()
    def time_passes(self) -> None:
        """What was refused is asked for again, and so is what somebody who died was asking for."""
        for payment in self.memory.all(Payment):
            after, asks = leased(payment, FAR, FAR)
            if asks:
                self.memory.store([after])
                self.queue += [self.memory.message(ask) for ask in asks]

    @rule()
    def process_is_killed(self) -> None:
        """What was not decided comes again; what the gateway did, it did."""
        self.queue = [message for message in self.queue if isinstance(message.body, OrderEvent)]
        flying = [each.message for each in self.in_flight]
        self.queue += [message for message in flying if isinstance(message.body, OrderEvent)]
        self.queue += [message for message in self.performed if isinstance(message.body, OrderEvent)]
        outcomes = [message for message in self.performed if not isinstance(message.body, OrderEvent)]
        causes = [message.body.event for message in outcomes if not isinstance(message.body, AskAgain)]  # type: ignore[attr-defined]  # a ChargeOutcome or RefundOutcome
        self.queue += [self.memory.message(event) for event in causes if isinstance(event, OrderEvent)]
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
            assert given_back <= (2000 if payment.capture_key in self.bank.done else 0)
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
            assert payment.ask_at == min(times, default=None)

    @invariant()
    def what_was_voided_is_not_charged(self) -> None:
        for payment in self.memory.all(Payment):
            if payment.state is PaymentState.VOIDED:
                assert payment.capture_key not in self.bank.done

    def teardown(self) -> None:
        """The gateway is back: everything ends, and the bank agrees."""
        self.bank.lose_request = self.bank.lose_answer = False
        for _ in range(1000):
            if not (self.performed or self.in_flight or self.queue):
                self.time_passes()
            if self.performed:
                self._decide(0)
            elif self.in_flight:
                self._ask(0)
            elif self.queue:
                self._look(0)
        self.loop.close()
        assert not self.queue
        assert not self.performed
        for order_id, declined in self.confirmed.items():
            self._check(self.memory.one(Payment, order_id), declined=declined)

    def _check(self, payment: Payment, *, declined: bool) -> None:
        captured = isinstance(self.bank.done.get(payment.capture_key), Captured)
        asked = self.asked_back[payment.id]
        assert captured == (payment.state in PAID)
        assert payment.state is not PaymentState.REFUNDING
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
            assert captured is not declined


Payments.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # how fast it is depends on what else the machine does
)
TestPayments = Payments.TestCase
