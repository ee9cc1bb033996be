"""Whole sagas under everything that can go wrong between services, and what must hold when all is drained.

Deliveries come in any order, twice, or after a crash; customers and operators act in between; the payment
gateway answers late, by itself, or is not heard; the inbox is on, or off. The rules alone: what the engine
allows is simulated in `dev/simulate`, this goes beyond it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import Final

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sagactl.oncall.invariants import Case, Finding, check_case, check_stock, contradictions, tally
from sagactl.oncall.invariants import Held as HeldStock
from services.fulfilment.shipment import Deliver, Ship, Shipment
from services.inventory.products import Restock
from services.inventory.reservation import LineState as Held
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.model import Line, LineState, Order, RefundLine, Restocking, Status
from services.order.refunds import refunded, returned
from services.payment.gateway import About
from services.payment.gateway import Status as GatewayStatus
from services.payment.payment import Payment, PaymentState
from services.shared.contract import wire
from services.shared.contract.events import Fulfilment, ProductCreated, ProductDeleted
from tests.unit.choreography import SERVICES, Answer, Bus, Fate

PRODUCTS: Final = {"lamp": 10000, "desk": 25000, "sofa": 99900}


# --- what must hold ---------------------------------------------------------------------------------------


def findings(bus: Bus, created: list[str]) -> Iterator[object]:
    """The invariants of `sagactl check`, and what only a simulation can know."""
    cases = [case_of(bus, id_) for id_ in created]
    for case in cases:
        yield from check_case(case)
        yield from (odd for odd in contradictions(case) if not is_explained(bus, case, odd))
        yield from charged_for_what_is_sold(case)
    yield from check_all_stock(bus)
    yield from bus.dead
    strangers = {entry.order_id for entry in bus.ledger.values()} - set(created)
    yield from (f"the gateway knows {order_id}, and nobody else does" for order_id in strangers)


def is_explained(bus: Bus, case: Case, odd: Finding) -> bool:
    """Asked for line by line when auto compensation has given it back already, a line is refused. The order
    may hear of that before it hears why.
    """
    compensated = case.payment is not None and case.payment.state is PaymentState.DECLINED
    return (
        bus.auto_compensation
        and compensated
        and odd.what == "INVENTORY_RESERVE_FAILED: refused after it was reserved"
    )


def case_of(bus: Bus, id_: str) -> Case:
    notifications = bus.memories["notification"].all(Notification)
    return Case(
        id_,
        bus.memories["order"].one(Order, id_),
        bus.memories["inventory"].get(Reservation, id_),
        bus.memories["payment"].get(Payment, id_),
        [entry for entry in bus.ledger.values() if entry.order_id == id_],
        [notification for notification in notifications if notification.order_id == id_],
        bus.memories["fulfilment"].get(Shipment, id_),
    )


def charged_for_what_is_sold(case: Case) -> Iterator[str]:
    """By the price list, not by the order's own total. What is refunded and stays there is a gift."""
    lines = case.reservation.lines if case.reservation else ()
    kept = Counter({line.product_id: line.left for line in lines if line.state is Held.SOLD})
    if case.order is not None:
        kept -= refunded(case.order) - returned(case.order)
    worth = sum(PRODUCTS[product] * pieces for product, pieces in kept.items())
    taken = {GatewayStatus.CAPTURED: 1, GatewayStatus.REFUNDED: -1}
    paid = sum(taken.get(entry.status, 0) * entry.amount for entry in case.ledger)
    if paid != worth:
        yield f"{case.id} has goods worth {worth} for {paid}"


def check_all_stock(bus: Bus) -> Iterator[object]:
    inventory = bus.memories["inventory"]
    held = HeldStock(Counter(), Counter())
    tally(inventory.all(Reservation), held)
    for stock in inventory.all(Stock):
        yield from check_stock(stock, held)


# --- a shop -----------------------------------------------------------------------------------------------


class Shop:
    """A bus with products, and customers who order them."""

    def __init__(
        self,
        stock: dict[str, int],
        *,
        inbox: bool,
        auto_compensation: bool,
        forgetful: Collection[str] = frozenset(),
    ) -> None:
        self.bus = Bus(inbox=inbox, auto_compensation=auto_compensation, forgetful=forgetful)
        self.created: list[str] = []
        for product, quantity in stock.items():
            self.announce(ProductCreated(product_id=product, initial_stock=quantity))

    def announce(self, event: ProductCreated | ProductDeleted) -> None:
        self.bus.publish(event.type, f"{event.type}-{event.product_id}", wire.encode(event))

    def order(self, basket: dict[str, int], fulfilment: Fulfilment) -> None:
        id_ = f"order-{len(self.created)}"
        lines = tuple(Line(product, quantity, PRODUCTS[product]) for product, quantity in basket.items())
        command = CreateOrder(
            order_id=id_,
            customer_id="ann",
            email="ann@example.com",
            lines=lines,
            currency="USD",
            fulfilment=fulfilment,
            payment_token=None,
        )
        self.bus.command("order", command)
        self.created.append(id_)

    def ask_line_by_line(self, id_: str) -> None:
        """An older publisher asks for the same order, product by product."""
        for line in self.bus.memories["order"].one(Order, id_).lines:
            data = {"orderId": id_, "productId": line.product_id, "quantity": line.quantity}
            self.bus.send("inventory", msgspec.json.encode({"type": "RESERVE", "data": data}))

    def give_back_a_line(self, id_: str) -> None:
        """An older publisher, whom nobody asked, releases a line of the order."""
        line = self.bus.memories["order"].one(Order, id_).lines[0]
        data = {"orderId": id_, "productId": line.product_id, "quantity": line.quantity}
        body = {"type": "RELEASE", "data": {**data, "reason": "PAYMENT_FAILED"}}
        self.bus.send("inventory", msgspec.json.encode(body))

    def cancel(self, id_: str) -> None:
        self.bus.command("order", CancelOrder(order_id=id_, customer_id="ann"))

    def refund(self, id_: str) -> None:
        self.bus.command(
            "order",
            RequestRefund(
                order_id=id_, customer_id="ann", reason="broken", refund_request_id=f"refund of {id_}"
            ),
        )

    def refund_some(self, id_: str, line: int, pieces: int, restock: Restocking, name: int) -> None:
        """Asked for again under its name, it is the same."""
        lines = self.bus.memories["order"].one(Order, id_).lines
        wanted = RefundLine(lines[line % len(lines)].product_id, pieces, restock)
        self.bus.command(
            "order",
            RequestRefund(
                order_id=id_,
                customer_id="ann",
                reason="broken",
                refund_request_id=f"{name} of {id_}",
                lines=(wanted,),
                request_hash=str(wanted),
            ),
        )

    def ship(self, id_: str) -> None:
        self.bus.command("fulfilment", Ship(order_id=id_))

    def deliver(self, id_: str) -> None:
        self.bus.command("fulfilment", Deliver(order_id=id_))

    def time_out(self, id_: str, status: Status, older_than: float) -> None:
        self.bus.command("order", TimeOut(order_id=id_, status=status, older_than=older_than, reason="stuck"))

    def restock(self, product: str, quantity: int) -> None:
        self.bus.command("inventory", Restock(product_id=product, quantity=quantity))

    def close(self) -> None:
        self.bus.drain()
        found = list(findings(self.bus, self.created))
        assert not found, "\n".join(map(str, found))


# --- driven by Hypothesis, which finds the shortest way to break it ---------------------------------------

BASKETS = st.dictionaries(st.sampled_from(sorted(PRODUCTS)), st.integers(1, 3), min_size=1)
NUMBERS = st.integers(0, 10_000)
# Mostly none: a delivery that fails over and over shows nothing new.
FATES = st.sampled_from([*[Fate.NOTHING] * 5, *Fate])


def time_out(status: Status, older_than: float) -> Callable[[Shop, str], None]:
    return lambda shop, id_: shop.time_out(id_, status, older_than)


MEDDLING = st.sampled_from(
    [
        Shop.cancel,
        Shop.refund,
        Shop.ship,
        Shop.deliver,
        Shop.ask_line_by_line,
        time_out(Status.PENDING, 0),
        time_out(Status.CONFIRMED, 0),
        time_out(Status.CONFIRMED, 300),
    ]
)


class Sagas(RuleBasedStateMachine):
    shop: Shop

    @initialize(
        stock=st.fixed_dictionaries({product: st.integers(0, 5) for product in PRODUCTS}),
        inbox=st.booleans(),
        auto_compensation=st.booleans(),
        forgetful=st.frozensets(st.sampled_from(SERVICES)),
        manual=st.booleans(),
    )
    def open(
        self,
        stock: dict[str, int],
        *,
        inbox: bool,
        auto_compensation: bool,
        forgetful: frozenset[str],
        manual: bool,
    ) -> None:
        self.shop = Shop(stock, inbox=inbox, auto_compensation=auto_compensation, forgetful=forgetful)
        self.bus.manual = manual

    @property
    def bus(self) -> Bus:
        return self.shop.bus

    def one_of_the_orders(self, number: int) -> str:
        return self.shop.created[number % len(self.shop.created)]

    @rule(basket=BASKETS, fulfilment=st.sampled_from(["all", "partial"]))
    def order(self, basket: dict[str, int], fulfilment: Fulfilment) -> None:
        self.shop.order(basket, fulfilment)

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS, meddle=MEDDLING)
    def meddle(self, number: int, meddle: Callable[[Shop, str], None]) -> None:
        meddle(self.shop, self.one_of_the_orders(number))

    @precondition(lambda self: self.shop.created)
    @rule(
        number=NUMBERS,
        line=st.integers(0, 2),
        pieces=st.integers(1, 3),
        restock=st.sampled_from(Restocking),
        name=st.integers(0, 5),
    )
    def refund_some(self, number: int, line: int, pieces: int, restock: Restocking, name: int) -> None:
        self.shop.refund_some(self.one_of_the_orders(number), line, pieces, restock, name)

    @rule(product=st.sampled_from(sorted(PRODUCTS)), more=st.integers(0, 3))
    def manage(self, product: str, more: int) -> None:
        if more:
            self.shop.restock(product, more)
        else:
            self.shop.announce(ProductDeleted(product_id=product))

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS)
    def the_gateway_decides(self, number: int) -> None:
        self.bus.gateway_decides(self.one_of_the_orders(number))

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS, about=st.sampled_from([About.CHARGE, About.REFUND]))
    def the_gateway_speaks(self, number: int, about: About) -> None:
        self.bus.gateway_speaks(self.one_of_the_orders(number), about)

    @rule(seconds=st.sampled_from([1, 20, 299, 50_000]))
    def time_passes(self, seconds: float) -> None:
        self.bus.tick(seconds)

    @precondition(lambda self: self.bus.queued)
    @rule(deliveries=st.lists(st.tuples(NUMBERS, FATES), min_size=1, max_size=8))
    def deliver(self, deliveries: list[tuple[int, Fate]]) -> None:
        for number, fate in deliveries:
            if self.bus.queued:
                self.bus.deliver(self.bus.queued[number % len(self.bus.queued)], fate)

    @precondition(lambda self: self.bus.queued)
    @rule(number=NUMBERS)
    def duplicate(self, number: int) -> None:
        self.bus.duplicate(self.bus.queued[number % len(self.bus.queued)])

    @precondition(lambda self: self.bus.asking)
    @rule(
        number=NUMBERS,
        answer=st.sampled_from(Answer),
        fate=FATES,
        accept=st.booleans(),
        refusals=st.integers(0, 2),
        later=st.booleans(),
    )
    def answer(
        self, number: int, answer: Answer, fate: Fate, *, accept: bool, refusals: int, later: bool
    ) -> None:
        asked = self.bus.asking[number % len(self.bus.asking)]
        self.bus.answer(asked, answer, fate, accept=accept, refusals=refusals, later=later)

    @precondition(lambda self: self.bus.retrying)
    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        self.bus.retry(self.bus.retrying[number % len(self.bus.retrying)])

    @rule()
    def all_is_quiet_for_a_while(self) -> None:
        self.bus.drain()

    @invariant()
    def no_stock_is_made_or_lost_at_any_time(self) -> None:
        assert not list(check_all_stock(self.bus))

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.close()


TestSagas = Sagas.TestCase
TestSagas.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


# --- driven by dice: many orders at once, on few goods ----------------------------------------------------


class Dice:
    """Does at random what Hypothesis does on purpose, in the proportions of a bad day."""

    def __init__(
        self, seed: int, *, inbox: bool, auto_compensation: bool, forgetful: Collection[str] = frozenset()
    ) -> None:
        self.dice = Random(seed)
        manual = self.dice.random() < 1 / 2
        stock = {product: self.dice.randint(0, 40) for product in PRODUCTS}
        self.shop = Shop(stock, inbox=inbox, auto_compensation=auto_compensation, forgetful=forgetful)
        self.shop.bus.manual = manual

    def run(self, orders: int) -> None:
        while len(self.shop.created) < orders or self.dice.random() < 0.99:
            self.step()
            self.shop.bus.tick(self.dice.expovariate(1))
        self.shop.close()

    def step(self) -> None:
        bus, dice = self.shop.bus, self.dice
        roll = dice.random()
        if roll < 0.06:
            basket = {p: dice.randint(1, 3) for p in dice.sample(sorted(PRODUCTS), dice.randint(1, 3))}
            self.shop.order(basket, dice.choice(["all", "partial"]))
        elif roll < 0.12:
            self.meddle()
        elif roll < 0.16 and bus.queued:
            bus.duplicate(dice.choice(bus.queued))
        elif roll < 0.26 and bus.retrying:
            bus.retry(dice.choice(bus.retrying))
        elif roll < 0.42 and bus.asking:
            answer = dice.choices(list(Answer), (8, 1, 1, 1))[0]
            accept, refusals = dice.random() < 0.7, dice.choice((0, 0, 0, 1, 2))
            asked, later = dice.choice(bus.asking), dice.random() < 0.3
            bus.answer(asked, answer, self.fate(), accept=accept, refusals=refusals, later=later)
        elif roll < 0.5 and self.shop.created:
            self.gateway()
        elif bus.queued:
            bus.deliver(dice.choice(bus.queued), self.fate())

    def gateway(self) -> None:
        """It decides on what waits, and says so by itself: or only the one, or the other of another order."""
        id_, roll = self.dice.choice(self.shop.created), self.dice.random()
        if roll < 0.7:
            self.shop.bus.gateway_decides(id_)
        if roll > 0.3:
            self.shop.bus.gateway_speaks(id_, self.dice.choice([About.CHARGE, About.REFUND]))

    def fate(self) -> Fate:
        return self.dice.choices(list(Fate), (17, 1, 1, 1))[0]

    def meddle(self) -> None:
        if not self.shop.created:
            return
        # The latest, most often: what is over is not meddled with any more.
        id_ = self.dice.choice(self.shop.created[-self.dice.choice((1, 2, 5, 300)) :])
        match self.dice.randrange(11):
            case 9:
                self.shop.ship(id_)
            case 10:
                self.shop.deliver(id_)
            case 0:
                self.shop.cancel(id_)
            case 1 | 2:
                self.shop.refund(id_)
            case 6 | 7 | 8:
                self.refund_some()
            case 3 | 4:
                self.shop.time_out(
                    id_, self.dice.choice([Status.PENDING, Status.CONFIRMED]), self.dice.choice([0, 30])
                )
            case _:
                self.shop.ask_line_by_line(id_)

    def refund_some(self) -> None:
        dice, orders = self.dice, self.shop.bus.memories["order"].all(Order)
        paid = [order.id for order in orders if order.status in {Status.PAID, Status.REFUNDING}]
        for _ in range(dice.randint(1, 3) if paid else 0):
            restock, id_ = dice.choice(list(Restocking)), dice.choice(paid)
            self.shop.refund_some(id_, dice.randrange(3), dice.randint(1, 2), restock, dice.randrange(20))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("auto_compensation", [False, True], ids=["", "auto compensation"])
@pytest.mark.parametrize("inbox", [True, False], ids=["inbox", "no inbox"])
def test_a_bad_day_ends_well(seed: int, *, inbox: bool, auto_compensation: bool) -> None:
    Dice(seed, inbox=inbox, auto_compensation=auto_compensation).run(orders=60)


@pytest.mark.mode(12)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("auto_compensation", [False, True], ids=["", "auto compensation"])
@pytest.mark.parametrize("forgetful", SERVICES)
def test_one_service_that_forgets_what_the_others_remember_does_no_harm(
    seed: int, *, forgetful: str, auto_compensation: bool
) -> None:
    Dice(seed, inbox=True, auto_compensation=auto_compensation, forgetful={forgetful}).run(orders=60)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_captured_for_lines_that_somebody_gave_back_is_not_kept(seed: int) -> None:
    """What contradicts is marked; an order that is cancelled in the end has its money and stock back."""
    day = Dice(seed, inbox=True, auto_compensation=False)
    shop = day.shop
    while len(shop.created) < 60:
        day.step()
        if shop.created and day.dice.random() < 0.3:
            shop.give_back_a_line(shop.created[-1])
    shop.bus.drain()
    for id_ in shop.created:
        shop.time_out(id_, Status.CONFIRMED, 0)
    shop.bus.drain()
    assert not list(check_all_stock(shop.bus))
    cases = [case_of(shop.bus, id_) for id_ in shop.created]
    ended = [case for case in cases if case.order and case.order.status is Status.CANCELLED]
    assert any(case.order.attention and case.order.capture for case in ended if case.order)
    for case in ended:
        assert not [*check_case(case), *charged_for_what_is_sold(case)]


def test_bad_days_have_every_end() -> None:
    """The test above would prove little if all its orders ended alike."""
    days = [Dice(seed, inbox=True, auto_compensation=True) for seed in range(5)]
    for day in days:
        day.run(orders=60)
    orders = [order for day in days for order in day.shop.bus.memories["order"].all(Order)]
    assert {order.status for order in orders} == {Status.PAID, Status.CANCELLED, Status.REFUNDED}
    reasons = {order.cancellation_reason for order in orders} - {None}
    assert reasons == {"OUT_OF_STOCK", "PAYMENT_FAILED", "CUSTOMER_CANCELLED", "SAGA_TIMEOUT"}
    late_captures = [order for order in orders if order.status is Status.CANCELLED and order.capture]
    in_part = [order for order in orders if order.status is Status.PAID and in_parts(order)]
    refunds = [refund for order in orders for refund in order.refunds]
    assert len({refund.id for refund in refunds if refund.lines and refund.attempt}) > 5
    assert [order for order in orders if order.status is Status.PAID and len(order.refunds) > 1]
    assert late_captures
    assert in_part
    payments = [payment for day in days for payment in day.shop.bus.memories["payment"].all(Payment)]
    told = {(payment.state, each.type) for payment in payments for each in payment.told if each.type}
    assert told >= {
        (PaymentState.CAPTURED, "PAYMENT_PENDING"),
        (PaymentState.DECLINED, "PAYMENT_PENDING"),
        (PaymentState.VOIDED, "PAYMENT_PENDING"),
        (PaymentState.CAPTURED, "PAYMENT_SUCCEEDED"),
        (PaymentState.DECLINED, "PAYMENT_FAILED"),
    }


def in_parts(order: Order) -> bool:
    return any(line.state is LineState.REFUSED for line in order.lines)
