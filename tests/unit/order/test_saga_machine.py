"""Anything may come at any time, and what must never happen never does."""

from typing import Any, Final

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from services.order.domain import DOMAIN
from services.order.histories import again
from services.order.model import LineState, Order, Progress, RefundState, Status
from services.order.refunds import asked as asked_back
from services.order.refunds import progress, refunded, returned
from services.order.saga import replay
from services.shared.contract import events, money
from services.shared.contract.decisions import Premature, Refused, Verdict
from services.shared.contract.events import Event
from tests.unit.memory import Memory
from tests.unit.order import examples as eg

# Where an order can get from where; anything else is a bug, whatever came.
WAYS = {
    Status.PENDING: {Status.PENDING, Status.CONFIRMED, Status.CANCELLED},
    Status.CONFIRMED: {Status.CONFIRMED, Status.PAID, Status.CANCELLED},
    Status.PAID: {Status.PAID, Status.REFUNDING},
    Status.REFUNDING: {Status.REFUNDING, Status.REFUNDED},
    Status.REFUNDED: {Status.REFUNDED},
    Status.CANCELLED: {Status.CANCELLED},
}
# The likely and the absurd, side by side.
WHATEVER_COMES: Final = (
    eg.BOTH_RESERVED,
    eg.LAMP_RESERVED,
    eg.DESK_RESERVED,
    eg.LAMP_WITHOUT_DESK,
    eg.WRONG_QUANTITY,
    eg.UNAVAILABLE,
    eg.DESK_UNAVAILABLE,
    eg.SOFA_UNAVAILABLE,
    eg.BOTH_RELEASED,
    eg.NOTHING_RELEASED,
    eg.CAPTURED,
    eg.CAPTURED_AGAIN,
    eg.CAPTURED_ANOTHER_AMOUNT,
    eg.captured("200.00"),
    eg.DECLINED,
    eg.PAYMENT_PENDING,
    eg.TO_BE_AGREED,
    eg.MONEY_BACK,
    eg.CANCEL,
    eg.REFUND,
    eg.REFUND_LAMP,
    structs.replace(eg.REFUND_LAMP, refund_request_id="lamp-again"),
    structs.replace(eg.REFUND_LAMP, refund_request_id="lamp-kept", lines=(eg.ONE_LAMP_KEPT,)),
    eg.REFUND_REST,
    eg.REFUND_THREE_LAMPS,
    eg.LAMP_MONEY_BACK,
    eg.money_back("lamp-kept", "100.00"),
    eg.money_back(None, "100.00"),
    eg.REST_MONEY_BACK,
    eg.LAMP_FAILED,
    eg.REST_FAILED,
    eg.ALL_FAILED,
    eg.LAMP_GOODS_BACK,
    eg.REST_GOODS_BACK,
    eg.goods_back(None, lamp=1),
    eg.SETTLE_LAMP,
    eg.SETTLE_ALL,
    eg.MAY_IT_BE_SHIPPED,
    eg.time_out(Status.PENDING),
    eg.time_out(Status.CONFIRMED),
)
ANYTHING = st.sampled_from(WHATEVER_COMES)


class AnOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(DOMAIN)
        self.published: list[Event] = []
        # By what changed the order; the rest are answers that were given before, or change nothing.
        self.by_steps: list[type[Event]] = []
        self.captured: set[str] = set()

    @property
    def order(self) -> Order:
        return self.memory.one(Order, eg.ORDER_ID)

    @initialize(fulfilment=st.sampled_from(["all", "partial"]))
    def create(self, fulfilment: str) -> None:
        self.published += self.memory.handle(eg.create(fulfilment=fulfilment)).events
        self.by_steps += map(type, self.published)

    @rule(trigger=ANYTHING)
    def come(self, trigger: Any) -> None:
        before = self.order
        try:
            decision = self.memory.handle(trigger)
        except (Premature, Refused):
            assert self.order == before
            return
        self.published += decision.events
        assert self.order.status in WAYS[before.status]
        assert self.order.history[: len(before.history)] == before.history
        assert self.order.attention[: len(before.attention)] == before.attention
        if decision.changed:
            self.by_steps += map(type, decision.events)
        else:
            assert decision.events == () or isinstance(trigger, events.RequestShipment)
            assert decision.verdict is Verdict.DUPLICATE

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.published)

    @invariant()
    def the_customer_is_told_one_end_at_most(self) -> None:
        assert self.count(events.OrderPaid) + self.count(events.OrderCancelled) <= 1
        assert self.count(events.OrderRefunded) <= self.count(events.OrderPaid)
        assert self.count(events.OrderPaid) == (
            self.order.status in {Status.PAID, Status.REFUNDING, Status.REFUNDED}
        )
        assert self.count(events.OrderCancelled) == (self.order.status is Status.CANCELLED)
        assert self.count(events.OrderRefunded) == (self.order.status is Status.REFUNDED)

    @invariant()
    def the_card_is_charged_once_and_gets_back_no_more_than_that(self) -> None:
        assert self.count(events.OrderConfirmed) <= 1
        asked = [
            event
            for event in self.published
            if isinstance(event, events.RefundPayment) and not event.settled_outside
        ]
        assert len({event.refund_request_id for event in asked}) == len(asked) == len(self.order.refunds)
        amounts = [money.to_minor(event.amount, event.currency) for event in asked]
        assert amounts == [refund.amount for refund in self.order.refunds]
        if not asked:
            return
        assert self.order.capture is not None
        assert {event.currency for event in asked} == {self.order.capture.currency}
        given_back, taken = sum(amounts), self.order.capture.amount
        assert given_back == taken if self.order.status is not Status.PAID else 0 < given_back < taken

    @invariant()
    def what_goes_back_is_what_was_sold(self) -> None:
        for line in self.order.lines:
            id_ = line.product_id
            back, told, asked = (of(self.order)[id_] for of in (returned, refunded, asked_back))
            sold = line.quantity if line.state in {LineState.SOLD, LineState.RELEASED} else 0
            assert 0 <= back <= told <= asked <= (sold if self.order.status is not Status.CANCELLED else 0)
            if self.order.status in {Status.PAID, Status.REFUNDING, Status.REFUNDED} and sold:
                assert (line.state is LineState.RELEASED) == (back == line.quantity)

    @invariant()
    def who_asks_whether_goods_may_be_sent_is_told_the_same_for_good(self) -> None:
        answers = {
            msgspec.json.encode(event)
            for event in self.published
            if isinstance(event, events.ShipmentApproved | events.ShipmentRefused)
        }
        assert len(answers) <= 1
        approved = [event for event in self.published if isinstance(event, events.ShipmentApproved)]
        assert bool(approved) == bool(self.order.shipped)
        for event in approved[:1]:
            entry = self.order.history[event.sequence - 1]
            assert (entry.event, entry.event_id) == ("SHIPMENT_REQUEST", entry.event_id)
            assert [(line.product_id, line.quantity) for line in event.products] == [
                (line.product_id, line.quantity) for line in self.order.shipped
            ]

    @invariant()
    def every_refund_that_is_done_is_told_once(self) -> None:
        done = sum(refund.state is RefundState.DONE for refund in self.order.refunds)
        if self.order.status is not Status.CANCELLED:
            assert self.count(events.OrderPartiallyRefunded) == done - self.count(events.OrderRefunded)
        assert self.order.refund is progress(self.order.refunds)
        if self.order.status is Status.PAID:
            assert self.order.settled == (done == len(self.order.refunds))
        if self.order.status is Status.REFUNDED:
            assert done == len(self.order.refunds)

    @invariant()
    def nobody_keeps_money_of_an_order_that_is_over(self) -> None:
        if self.order.status is Status.CANCELLED and self.order.capture is not None:
            assert self.order.refund is not Progress.NONE

    @invariant()
    def what_is_cancelled_after_it_may_be_held_is_released(self) -> None:
        if self.order.status is Status.CANCELLED and LineState.HELD in {
            line.state for line in self.order.lines
        }:
            assert self.count(events.ReleaseStock) >= 1

    @invariant()
    def every_release_awaits_its_answer(self) -> None:
        assert 0 <= self.order.releases_open <= len(self.order.releases)
        assert len(self.order.releases) == self.count(events.ReleaseStock)
        if self.order.releases_open:
            assert self.order.stock_compensation is Progress.PENDING
            assert not self.order.settled

    @invariant()
    def only_what_is_served_is_charged(self) -> None:
        served = [line for line in self.order.lines if line.state is not LineState.REFUSED]
        if self.order.status in {Status.CONFIRMED, Status.PAID, Status.REFUNDING, Status.REFUNDED}:
            assert self.order.total == sum(line.price * line.quantity for line in served)
            assert served
            assert LineState.REQUESTED not in {line.state for line in served}
        if self.order.status is Status.PAID:
            assert {line.state for line in served} <= {LineState.SOLD, LineState.RELEASED}

    @invariant()
    def no_publisher_makes_the_document_grow_forever(self) -> None:
        """Each line is held once at most, and each release asked for by something that was news."""
        refunds = len(self.order.refunds)
        assert self.count(events.ReleaseStock) <= 1 + len(self.order.lines) + refunds
        assert len(self.order.history) <= 12 + 4 * refunds

    @invariant()
    def the_payment_token_is_kept_until_it_is_handed_on_and_no_longer(self) -> None:
        assert self.order.payment_token == ("tok_success" if self.order.status is Status.PENDING else None)
        for event in self.published:
            if isinstance(event, events.OrderConfirmed):
                assert event.payment_token == "tok_success"

    @invariant()
    def the_history_leads_to_where_the_order_is(self) -> None:
        assert replay(self.order.history) is self.order.status

    @invariant()
    def the_history_is_decided_again_as_it_was(self) -> None:
        """And publishes what was published, in the same order."""
        told = again(self.order)
        assert told.difference is None
        assert [type(each.event) for each in told.published] == self.by_steps


TestAnOrder = AnOrder.TestCase
TestAnOrder.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
