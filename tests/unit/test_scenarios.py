"""The failure modes of the design, told one by one: who hears what when, and how it ends."""

from datetime import timedelta
from random import Random

import msgspec
import pytest
from msgspec import structs

from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.model import Line, LineState, Order, Progress, RefundLine, Restocking, Status
from services.payment.gateway import Status as Entered
from services.payment.payment import Payment, PaymentState
from services.shared.contract import wire
from services.shared.contract.events import Fulfilment, ProductCreated
from tests.unit.choreography import Answer, Bus, Fate

ORDER = "order-1"


class Story:
    """One order of two lamps and a desk."""

    def __init__(
        self,
        *,
        lamps: int = 10,
        desks: int = 10,
        fulfilment: Fulfilment = "all",
        auto_compensation: bool = False,
        inbox: bool = True,
    ) -> None:
        self.bus = Bus(inbox=inbox, auto_compensation=auto_compensation)
        for product, quantity in (("lamp", lamps), ("desk", desks)):
            created = ProductCreated(product_id=product, initial_stock=quantity)
            self.bus.publish(created.type, f"created-{product}", wire.encode(created))
        self.hear("inventory-events")
        self.bus.command(
            "order",
            CreateOrder(
                order_id=ORDER,
                customer_id="ann",
                email="ann@example.com",
                lines=(Line("lamp", 2, 10000), Line("desk", 1, 25000)),
                currency="USD",
                fulfilment=fulfilment,
                payment_token=None,
            ),
        )

    def hear(self, *queues: str, fate: Fate = Fate.NOTHING) -> None:
        """What waits in each of the queues is delivered; what that causes waits."""
        for queue in queues:
            for envelope in [each for each in self.bus.queued if each.queue == queue]:
                self.bus.deliver(envelope, fate)

    def gateway(self, answer: Answer, *, accept: bool = True, refusals: int = 0, later: bool = False) -> None:
        (asked,) = self.bus.asking
        self.bus.answer(asked, answer, accept=accept, refusals=refusals, later=later)

    def pending(self, *, accept: bool = True) -> "Story":
        """The gateway decides on the charge later."""
        self.hear("inventory", "orders", "STOCK_RESERVED")
        self.gateway(Answer.CLEAR, accept=accept, later=True)
        self.hear("order-events")
        assert (self.order.status, self.payment.state) == (Status.CONFIRMED, PaymentState.PENDING)
        return self

    def paid(self, *, refusals: int = 0) -> "Story":
        """`refusals`: so many refunds are refused before one is made."""
        self.hear("inventory", "orders", "STOCK_RESERVED")
        self.gateway(Answer.CLEAR, refusals=refusals)
        self.hear("order-events")
        return self

    def refund(self, id_: str, *lines: RefundLine) -> bool:
        """Whether it is allowed."""
        command = RequestRefund(
            order_id=ORDER, customer_id="ann", reason="broken", refund_request_id=id_, lines=lines
        )
        return self.bus.command("order", command) is not None

    def refund_state(self, id_: str) -> str | None:
        refund = self.order.refund_named(id_)
        return refund.state if refund else None

    def retry(self) -> None:
        for envelope in tuple(self.bus.retrying):
            self.bus.retry(envelope)

    def cancel(self) -> None:
        assert self.bus.command("order", CancelOrder(order_id=ORDER, customer_id="ann")) is not None

    def time_out(self, status: Status) -> None:
        command = TimeOut(order_id=ORDER, status=status, older_than=0, reason="stuck")
        assert self.bus.command("order", command) is not None

    @property
    def order(self) -> Order:
        return self.bus.memories["order"].one(Order, ORDER)

    @property
    def payment(self) -> Payment:
        return self.bus.memories["payment"].one(Payment, ORDER)

    def stock(self, product: str) -> tuple[int, int, int]:
        """Available, reserved, sold."""
        stock = self.bus.memories["inventory"].one(Stock, product)
        return stock.available, stock.reserved, stock.sold

    def entries(self, status: Entered) -> int:
        """In the gateway's own ledger."""
        return sum(entry.status is status for entry in self.bus.ledger.values())

    def waiting(self, type_: str) -> int:
        return sum(f'"type":"{type_}"'.encode() in envelope.body for envelope in self.bus.queued)

    def nothing_was_bought(self) -> bool:
        return (
            self.order.status is Status.CANCELLED
            and self.order.settled
            and (self.stock("lamp"), self.stock("desk")) == ((10, 0, 0), (10, 0, 0))
            and self.entries(Entered.CAPTURED) == self.entries(Entered.REFUNDED)
        )


def test_an_order_is_paid_with_five_messages() -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CLEAR)
    story.hear("order-events")
    published = 4 + story.waiting("ORDER_PAID") // 2  # it goes to two queues
    story.bus.drain()
    assert published == 5
    assert (story.order.status, story.order.settled) == (Status.PAID, True)
    assert (story.stock("lamp"), story.stock("desk")) == ((8, 0, 2), (9, 0, 1))


@pytest.mark.mode(1)
def test_one_short_line_leaves_nothing_held() -> None:
    story = Story(desks=0)
    story.bus.drain()
    assert (story.order.status, story.order.cancellation_reason) == (Status.CANCELLED, "OUT_OF_STOCK")
    assert story.stock("lamp") == (10, 0, 0)
    assert not story.bus.ledger


@pytest.mark.mode(1)
def test_partial_fulfilment_sells_exactly_what_was_there() -> None:
    story = Story(desks=0, fulfilment="partial")
    story.bus.drain()
    assert (story.order.status, story.order.total) == (Status.PAID, 20000)
    assert [line.state for line in story.order.lines] == [LineState.SOLD, LineState.REFUSED]
    assert story.stock("lamp") == (8, 0, 2)


def test_a_release_that_overtakes_its_reservation_leaves_nothing_reserved() -> None:
    story = Story()
    story.cancel()
    reserve, release = (each for each in story.bus.queued if each.queue == "inventory")
    story.bus.deliver(release)
    story.bus.deliver(reserve)
    assert story.stock("lamp") == (10, 0, 0)
    story.bus.drain()
    assert story.nothing_was_bought()


def test_a_payment_after_the_timeout_is_refunded_exactly_once() -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.time_out(Status.CONFIRMED)
    story.gateway(Answer.CLEAR)
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.REFUNDED), story.order.refund) == (1, Progress.DONE)


@pytest.mark.mode(4)
@pytest.mark.parametrize("timeout_first", [True, False])
def test_a_timeout_and_a_payment_at_the_same_instant_have_one_winner(*, timeout_first: bool) -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CLEAR)
    if timeout_first:
        story.time_out(Status.CONFIRMED)
        story.bus.drain()
        assert story.nothing_was_bought()
        assert story.entries(Entered.REFUNDED) == 1
    else:
        story.hear("order-events")
        story.time_out(Status.CONFIRMED)
        story.bus.drain()
        assert (story.order.status, story.entries(Entered.REFUNDED)) == (Status.PAID, 0)


def test_money_captured_for_lines_that_were_given_back_is_refunded_when_the_order_times_out() -> None:
    story = Story()
    story.hear("inventory", "orders")
    data = {"orderId": ORDER, "productId": "lamp", "quantity": 2, "reason": "PAYMENT_FAILED"}
    story.bus.send("inventory", msgspec.json.encode({"type": "RELEASE", "data": data}))
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CLEAR)
    story.hear("order-events")
    assert (story.order.status, len(story.order.attention)) == (Status.CONFIRMED, 1)
    story.time_out(Status.CONFIRMED)
    assert not story.order.settled
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.CAPTURED), story.entries(Entered.REFUNDED)) == (1, 1)


def test_an_order_cancelled_before_payment_heard_of_it_is_never_charged() -> None:
    story = Story()
    story.hear("inventory", "orders")
    story.cancel()
    story.hear("payment-events", "STOCK_RESERVED")
    assert story.payment.state is PaymentState.VOIDED
    story.bus.drain()
    assert story.nothing_was_bought()
    assert not story.bus.ledger


def test_a_charge_that_we_did_not_live_to_write_down_is_made_once_and_refunded_once() -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CRASH)
    story.cancel()
    story.hear("payment-events")
    assert story.payment.state is PaymentState.VOIDING
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.CAPTURED), story.entries(Entered.REFUNDED)) == (1, 1)


@pytest.mark.mode(19)
def test_a_gateway_that_is_down_is_asked_until_it_answers() -> None:
    story = Story()
    story.hear("inventory", "orders")
    for _ in range(20):
        story.hear("STOCK_RESERVED")
        story.gateway(Answer.DOWN)
        story.retry()
    story.hear("STOCK_RESERVED")
    story.gateway(Answer.LOST)
    story.retry()
    story.bus.drain()
    assert (story.order.status, story.entries(Entered.CAPTURED)) == (Status.PAID, 1)


def test_operator_order_and_inventory_compensating_together_give_back_once() -> None:
    story = Story(auto_compensation=True)
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CLEAR, accept=False)
    story.hear("inventory-events")  # by itself, ahead of the order
    assert story.stock("lamp") == (10, 0, 0)
    story.time_out(Status.CONFIRMED)  # the operator
    story.hear("order-events", "inventory", "orders")
    story.bus.drain()
    assert story.nothing_was_bought()
    reservation = story.bus.memories["inventory"].one(Reservation, ORDER)
    assert {line.state for line in reservation.lines} == {"RELEASED"}


# --- payments that are decided on later -------------------------------------------------------------------


def test_a_gateway_that_speaks_before_our_own_call_is_answered_is_heard() -> None:
    """And what our own call is answered then is no second payment."""
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CRASH)  # it was captured, and nobody lived to write that down
    story.hear("STOCK_RESERVED")
    (own,) = story.bus.asking
    story.bus.gateway_speaks(ORDER)
    story.bus.tick(1)
    look = next(asked for asked in story.bus.asking if asked is not own)
    story.bus.answer(look, Answer.CLEAR)
    story.hear("order-events")
    assert story.order.status is Status.PAID
    story.bus.answer(own, Answer.CLEAR)
    story.bus.drain()
    assert (story.order.status, story.order.attention) == (Status.PAID, ())
    assert story.entries(Entered.CAPTURED) == 1


@pytest.mark.parametrize("accept", [True, False], ids=["accepted", "declined"])
def test_what_nobody_is_told_of_is_looked_up(*, accept: bool) -> None:
    story = Story().pending(accept=accept)
    story.bus.gateway_decides()
    story.bus.tick(5)
    story.gateway(Answer.CLEAR)
    story.bus.drain()
    assert story.order.status is (Status.PAID if accept else Status.CANCELLED)
    assert story.order.settled


def test_said_once_more_or_about_nothing_it_changes_nothing() -> None:
    story = Story().pending()
    for _ in range(3):
        story.bus.gateway_speaks(ORDER)
        story.bus.tick(1)
        story.gateway(Answer.CLEAR)
        story.hear("order-events")
    assert (story.order.status, story.payment.state) == (Status.CONFIRMED, PaymentState.PENDING)
    story.bus.gateway_decides()
    story.bus.gateway_speaks(ORDER)
    story.bus.drain()
    story.bus.gateway_speaks(ORDER)
    story.bus.drain()
    assert (story.order.status, story.entries(Entered.CAPTURED)) == (Status.PAID, 1)


def test_an_order_cancelled_while_the_gateway_is_away_is_never_charged() -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.DOWN)
    story.time_out(Status.CONFIRMED)
    story.hear("payment-events")
    for _ in range(5):
        story.gateway(Answer.DOWN)
        story.retry()
        story.hear("STOCK_RESERVED", "payment-events")
    assert story.payment.state is PaymentState.VOIDING
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.CAPTURED), story.entries(Entered.VOIDED)) == (0, 1)


def test_a_charge_that_was_on_its_way_when_it_was_called_off_does_not_come_through() -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    (slow,) = story.bus.asking
    story.cancel()
    story.hear("payment-events")
    void = next(asked for asked in story.bus.asking if asked is not slow)
    story.bus.answer(void, Answer.CLEAR)
    assert story.payment.state is PaymentState.VOIDED
    story.bus.answer(slow, Answer.CLEAR)
    story.bus.drain()
    assert story.nothing_was_bought()
    assert not story.entries(Entered.CAPTURED)


def test_what_was_captured_while_it_was_being_called_off_is_refunded_once() -> None:
    story = Story().pending()
    story.cancel()
    story.hear("payment-events")
    story.bus.gateway_decides()
    story.gateway(Answer.CLEAR)
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.CAPTURED), story.entries(Entered.REFUNDED)) == (1, 1)


def test_a_payment_that_stays_pending_ends_with_its_reservation() -> None:
    story = Story().pending()
    stale = TimeOut(order_id=ORDER, status=Status.CONFIRMED, older_than=300, reason="stuck")
    story.bus.now += timedelta(minutes=30, seconds=299)
    story.bus.command("order", stale)
    assert (story.order.status, story.stock("lamp")) == (Status.CONFIRMED, (8, 2, 0))
    story.bus.now += timedelta(seconds=1)
    story.bus.command("order", stale)
    assert story.order.cancellation_reason == "SAGA_TIMEOUT"
    story.hear("payment-events")
    story.gateway(Answer.CLEAR)
    story.bus.drain()
    assert story.nothing_was_bought()
    assert story.entries(Entered.VOIDED) == 1


def test_money_that_is_held_is_not_taken_from_who_cancels_before() -> None:
    story = Story()
    story.bus.manual = True
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.gateway(Answer.CLEAR)
    assert story.payment.state is PaymentState.AUTHORIZED
    story.cancel()
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.CAPTURED), story.entries(Entered.VOIDED)) == (0, 1)


LAMP, DESK = RefundLine("lamp", 1), RefundLine("desk", 1)


def test_three_refunds_at_once_of_which_one_is_refused_twice_are_each_made_once() -> None:
    story = Story().paid(refusals=2)
    assert story.refund("first", LAMP)
    assert story.refund("second", structs.replace(LAMP, restock=Restocking.NONE))
    assert story.refund("third", DESK)
    assert not story.refund("fourth", LAMP)
    story.hear("payment-events")
    for _ in range(3):
        story.bus.answer(story.bus.asking[0], Answer.CLEAR)
    story.hear("order-events")
    states = [story.refund_state(each) for each in ("first", "second", "third")]
    assert states == ["REFUSED", "REFUSED", "MONEY_BACK"]
    assert (story.order.status, story.order.settled) == (Status.REFUNDING, False)
    story.bus.drain()
    assert (story.order.status, story.order.settled) == (Status.REFUNDED, True)
    assert (story.stock("lamp"), story.stock("desk")) == ((9, 0, 1), (10, 0, 0))
    assert (story.entries(Entered.REFUSED), story.entries(Entered.REFUNDED)) == (2, 3)
    given_back = [entry for entry in story.bus.ledger.values() if entry.status is Entered.REFUNDED]
    assert sorted(entry.amount for entry in given_back) == [10000, 10000, 25000]


def test_a_refund_that_overtakes_the_news_of_the_payment_gives_back_what_is_held() -> None:
    story = Story().paid()
    assert story.refund("first", LAMP)
    story.hear("payment-events")
    story.gateway(Answer.CLEAR)
    story.hear("order-events", "inventory", "orders")
    assert (story.refund_state("first"), story.stock("lamp")) == ("DONE", (9, 1, 0))
    story.bus.drain()  # ORDER_PAID
    assert (story.stock("lamp"), story.stock("desk")) == ((9, 0, 1), (9, 0, 1))
    assert (story.order.status, story.order.settled) == (Status.PAID, True)


def test_who_dies_while_asking_again_for_a_refund_leaves_it_to_others_under_the_same_key() -> None:
    story = Story().paid(refusals=1)
    assert story.refund("first", LAMP)
    story.hear("payment-events")
    story.gateway(Answer.CLEAR)
    story.bus.tick(60)
    story.gateway(Answer.CRASH)  # it was made, and nobody lived to write that down
    story.hear("order-events")
    assert story.refund_state("first") == "REFUSED"
    story.bus.tick(119)
    assert not story.bus.asking
    story.bus.tick(1)
    story.gateway(Answer.CLEAR)
    story.bus.drain()
    assert (story.refund_state("first"), story.entries(Entered.REFUNDED)) == ("DONE", 1)


@pytest.mark.parametrize("refusals", [0, 1])
def test_the_one_refund_of_an_order_that_is_cancelled_may_be_refused_too(refusals: int) -> None:
    story = Story()
    story.hear("inventory", "orders", "STOCK_RESERVED")
    story.time_out(Status.CONFIRMED)
    story.gateway(Answer.CLEAR, refusals=refusals)
    story.bus.drain()
    assert story.nothing_was_bought()
    assert (story.entries(Entered.REFUNDED), story.entries(Entered.REFUSED)) == (1, refusals)


@pytest.mark.mode(12)
@pytest.mark.parametrize("auto_compensation", [False, True])
@pytest.mark.parametrize("accept", [True, False], ids=["accepted", "declined"])
@pytest.mark.parametrize("inbox", [True, False], ids=["inbox", "no inbox"])
@pytest.mark.parametrize("seed", range(10))
def test_shuffled_and_doubled_it_ends_as_it_does_in_order(
    seed: int, *, inbox: bool, accept: bool, auto_compensation: bool
) -> None:
    dice = Random(seed)
    story = Story(auto_compensation=auto_compensation, inbox=inbox)
    bus = story.bus
    while bus.queued or bus.asking or bus.retrying:
        if bus.retrying and dice.random() < 0.3:
            bus.retry(dice.choice(bus.retrying))
        elif bus.asking and dice.random() < 0.5:
            bus.answer(dice.choice(bus.asking), Answer.CLEAR, accept=accept)
        elif bus.queued:
            envelope = dice.choice(bus.queued)
            if dice.random() < 0.4:
                bus.duplicate(envelope)
            bus.deliver(envelope)
    assert not bus.dead
    assert not story.order.attention
    if accept:
        assert (story.order.status, story.payment.state) == (Status.PAID, PaymentState.CAPTURED)
        assert (story.stock("lamp"), story.stock("desk")) == ((8, 0, 2), (9, 0, 1))
    else:
        assert story.payment.state is PaymentState.DECLINED
        assert story.order.cancellation_reason == "PAYMENT_FAILED"
        assert story.order.settled
        assert (story.stock("lamp"), story.stock("desk")) == ((10, 0, 0), (10, 0, 0))
