"""Whole sagas under everything that can go wrong between services, and what must hold when all is drained.

Deliveries come in any order, twice, or after a crash; customers and operators act in between; the payment
gateway answers late, or is not heard; the inbox is on, or off.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.inventory.products import Restock
from services.inventory.reservation import LineState as Held
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.model import Line, LineState, Order, Status
from services.order.saga import replay
from services.shared import wire
from services.shared.events import (
    Fulfilment,
    OrderCancelled,
    OrderPaid,
    OrderRefunded,
    ProductCreated,
    ProductDeleted,
)
from tests.unit.choreography import Answer, Bus, Fate

PRODUCTS: Final = {"lamp": 10000, "desk": 25000, "sofa": 99900}


# --- what must hold ---------------------------------------------------------------------------------------


def violations(bus: Bus, created: list[str]) -> Iterator[str]:
    yield from stock_is_neither_made_nor_lost(bus)
    yield from stock_is_where_the_orders_are(bus)
    yield from money_is_where_the_orders_are(bus)
    yield from orders_came_to_one_end(bus, created)
    yield from nothing_is_left_for_a_human(bus)


def stock_is_neither_made_nor_lost(bus: Bus) -> Iterator[str]:
    """I1. True at any time."""
    for stock in bus.memories["inventory"].all(Stock):
        counted = (stock.available, stock.reserved, stock.sold)
        if sum(counted) != stock.initial + stock.restocked or min(counted) < 0:
            yield f"I1: {stock}"


def stock_is_where_the_orders_are(bus: Bus) -> Iterator[str]:
    """I2."""
    inventory, orders = bus.memories["inventory"], bus.memories["order"]
    lines: dict[Held, Counter[str]] = {state: Counter() for state in Held}
    for reservation in inventory.all(Reservation):
        for line in reservation.lines:
            lines[line.state][line.product_id] += line.quantity
        order = orders.get(Order, reservation.id)
        kept = {line.product_id: line.quantity for line in reservation.lines if line.state is Held.SOLD}
        if any(line.state is Held.HELD for line in reservation.lines):
            yield f"I2: {reservation} is held when all is done"
        wanted = (
            {line.product_id: line.quantity for line in order.lines if line.state is LineState.SOLD}
            if order and order.status is Status.PAID
            else {}
        )
        if kept != wanted:
            yield f"I2: sold are {kept}, but the order has {wanted}: {order}"
    for stock in inventory.all(Stock):
        ledger = (lines[Held.HELD][stock.id], lines[Held.SOLD][stock.id])
        if (stock.reserved, stock.sold) != ledger:
            yield f"I2: {stock}, but its lines say {ledger}"


def money_is_where_the_orders_are(bus: Bus) -> Iterator[str]:
    """I3: order by order, against the gateway's own ledger."""
    for order in bus.memories["order"].all(Order):
        charge = bus.ledger.get(f"{order.id}:capture")
        refund = bus.ledger.get(f"{order.id}:refund")
        taken = charge.amount if charge and charge.ok else None
        given = refund.amount if refund else None
        expected = {
            Status.PAID: (order.total, None),
            Status.REFUNDED: (order.total, order.total),
        }.get(order.status, (taken, taken))
        if (taken, given) != expected:
            yield f"I3: taken {taken}, given back {given}: {order}"
    if unknown := {entry.order_id for entry in bus.ledger.values()} - set(bus.payments):
        yield f"I3: the gateway knows payments that we do not: {unknown}"
    if bus.capturing:
        yield f"I3: still capturing {bus.capturing}"


def orders_came_to_one_end(bus: Bus, created: list[str]) -> Iterator[str]:
    """I4."""
    for id_ in created:
        order = bus.memories["order"].get(Order, id_)
        if order is None:
            yield f"I4: {id_} was taken, and is lost"
            continue
        if not order.settled or replay(order.history) is not order.status:
            yield f"I4: not settled, or not by the table: {order}"
        told = Counter(type(event) for event in bus.published[id_])
        ends = (told[OrderPaid], told[OrderCancelled], told[OrderRefunded])
        expected = {Status.PAID: (1, 0, 0), Status.CANCELLED: (0, 1, 0), Status.REFUNDED: (1, 0, 1)}
        if ends != expected.get(order.status):
            yield f"I4: told paid, cancelled, refunded {ends}: {order}"


def nothing_is_left_for_a_human(bus: Bus) -> Iterator[str]:
    """I5: none of what these worlds do contradicts itself."""
    for envelope, reason in bus.dead:
        yield f"I5: {envelope} is dead: {reason}"
    for order in bus.memories["order"].all(Order):
        if order.attention:
            yield f"I5: {order}"
    for reservation in bus.memories["inventory"].all(Reservation):
        if reservation.attention:
            yield f"I5: {reservation}"
    for payment in bus.payments.values():
        if payment.attention:
            yield f"I5: {payment}"


# --- a shop -----------------------------------------------------------------------------------------------


class Shop:
    """A bus with products, and customers who order them."""

    def __init__(self, stock: dict[str, int], *, inbox: bool, auto_compensation: bool) -> None:
        self.bus = Bus(inbox=inbox, auto_compensation=auto_compensation)
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

    def cancel(self, id_: str) -> None:
        self.bus.command("order", CancelOrder(order_id=id_, customer_id="ann"))

    def refund(self, id_: str) -> None:
        self.bus.command("order", RequestRefund(order_id=id_, customer_id="ann", reason="broken"))

    def time_out(self, id_: str, status: Status, older_than: float) -> None:
        self.bus.command("order", TimeOut(order_id=id_, status=status, older_than=older_than, reason="stuck"))

    def restock(self, product: str, quantity: int) -> None:
        self.bus.command("inventory", Restock(product_id=product, quantity=quantity))

    def close(self) -> None:
        self.bus.drain()
        found = list(violations(self.bus, self.created))
        assert not found, "\n".join(found)


# --- driven by Hypothesis, which finds the shortest way to break it ---------------------------------------

BASKETS = st.dictionaries(st.sampled_from(sorted(PRODUCTS)), st.integers(1, 3), min_size=1)
NUMBERS = st.integers(0, 10_000)


class Sagas(RuleBasedStateMachine):
    shop: Shop

    @initialize(
        stock=st.fixed_dictionaries({product: st.integers(0, 5) for product in PRODUCTS}),
        inbox=st.booleans(),
        auto_compensation=st.booleans(),
    )
    def open(self, stock: dict[str, int], *, inbox: bool, auto_compensation: bool) -> None:
        self.shop = Shop(stock, inbox=inbox, auto_compensation=auto_compensation)

    @property
    def bus(self) -> Bus:
        return self.shop.bus

    def one_of_the_orders(self, number: int) -> str:
        return self.shop.created[number % len(self.shop.created)]

    @rule(basket=BASKETS, fulfilment=st.sampled_from(["all", "partial"]))
    def order(self, basket: dict[str, int], fulfilment: Fulfilment) -> None:
        self.shop.order(basket, fulfilment)

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS)
    def ask_line_by_line(self, number: int) -> None:
        self.shop.ask_line_by_line(self.one_of_the_orders(number))

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        self.shop.cancel(self.one_of_the_orders(number))

    @precondition(lambda self: self.shop.created)
    @rule(number=NUMBERS)
    def refund(self, number: int) -> None:
        self.shop.refund(self.one_of_the_orders(number))

    @precondition(lambda self: self.shop.created)
    @rule(
        number=NUMBERS,
        status=st.sampled_from([Status.PENDING, Status.CONFIRMED]),
        older_than=st.sampled_from([0, 300]),
    )
    def time_out(self, number: int, status: Status, older_than: float) -> None:
        self.shop.time_out(self.one_of_the_orders(number), status, older_than)

    @rule(product=st.sampled_from(sorted(PRODUCTS)), quantity=st.integers(1, 3))
    def restock(self, product: str, quantity: int) -> None:
        self.shop.restock(product, quantity)

    @rule(product=st.sampled_from(sorted(PRODUCTS)))
    def discontinue(self, product: str) -> None:
        self.shop.announce(ProductDeleted(product_id=product))

    @rule(seconds=st.sampled_from([1, 299, 50_000]))
    def time_passes(self, seconds: float) -> None:
        self.bus.tick(seconds)

    @precondition(lambda self: self.bus.queued)
    @rule(number=NUMBERS, fate=st.sampled_from(Fate))
    def deliver(self, number: int, fate: Fate) -> None:
        self.bus.deliver(self.bus.queued[number % len(self.bus.queued)], fate)

    @precondition(lambda self: self.bus.queued)
    @rule(number=NUMBERS)
    def duplicate(self, number: int) -> None:
        self.bus.duplicate(self.bus.queued[number % len(self.bus.queued)])

    @precondition(lambda self: self.bus.asking)
    @rule(number=NUMBERS, answer=st.sampled_from(Answer), fate=st.sampled_from(Fate), accept=st.booleans())
    def answer(self, number: int, answer: Answer, fate: Fate, *, accept: bool) -> None:
        self.bus.answer(self.bus.asking[number % len(self.bus.asking)], answer, fate, accept=accept)

    @precondition(lambda self: self.bus.retrying)
    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        self.bus.retry(self.bus.retrying[number % len(self.bus.retrying)])

    @invariant()
    def no_stock_is_made_or_lost_at_any_time(self) -> None:
        assert not list(stock_is_neither_made_nor_lost(self.bus))

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.close()


TestSagas = Sagas.TestCase
TestSagas.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


# --- driven by dice: many orders at once, on few goods ----------------------------------------------------


class Dice:
    """Does at random what Hypothesis does on purpose, in the proportions of a bad day."""

    def __init__(self, seed: int, *, inbox: bool, auto_compensation: bool) -> None:
        self.dice = Random(seed)
        stock = {product: self.dice.randint(0, 40) for product in PRODUCTS}
        self.shop = Shop(stock, inbox=inbox, auto_compensation=auto_compensation)

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
        elif roll < 0.10:
            self.meddle()
        elif roll < 0.14 and bus.queued:
            bus.duplicate(dice.choice(bus.queued))
        elif roll < 0.24 and bus.retrying:
            bus.retry(dice.choice(bus.retrying))
        elif roll < 0.40 and bus.asking:
            answer = dice.choices(list(Answer), (8, 1, 1, 1))[0]
            bus.answer(dice.choice(bus.asking), answer, self.fate(), accept=dice.random() < 0.7)
        elif bus.queued:
            bus.deliver(dice.choice(bus.queued), self.fate())

    def fate(self) -> Fate:
        return self.dice.choices(list(Fate), (17, 1, 1, 1))[0]

    def meddle(self) -> None:
        if not self.shop.created:
            return
        # The latest, most often: what is over is not meddled with any more.
        id_ = self.dice.choice(self.shop.created[-self.dice.choice((3, 3, 3, 300)) :])
        match self.dice.randrange(6):
            case 0:
                self.shop.cancel(id_)
            case 1 | 2:
                self.shop.refund(id_)
            case 3 | 4:
                self.shop.time_out(
                    id_, self.dice.choice([Status.PENDING, Status.CONFIRMED]), self.dice.choice([0, 30])
                )
            case _:
                self.shop.ask_line_by_line(id_)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("auto_compensation", [False, True], ids=["", "auto compensation"])
@pytest.mark.parametrize("inbox", [True, False], ids=["inbox", "no inbox"])
def test_a_bad_day_ends_well(seed: int, *, inbox: bool, auto_compensation: bool) -> None:
    Dice(seed, inbox=inbox, auto_compensation=auto_compensation).run(orders=60)


def test_a_bad_day_has_every_end() -> None:
    """The test above would prove little if all its orders ended alike."""
    day = Dice(1, inbox=True, auto_compensation=True)
    day.run(orders=200)
    orders = day.shop.bus.memories["order"].all(Order)
    assert {order.status for order in orders} == {Status.PAID, Status.CANCELLED, Status.REFUNDED}
    reasons = {order.cancellation_reason for order in orders} - {None}
    assert reasons == {"OUT_OF_STOCK", "PAYMENT_FAILED", "CUSTOMER_CANCELLED", "SAGA_TIMEOUT"}
    assert any(order.transaction_id for order in orders if order.status is Status.CANCELLED)
    assert any(
        line.state is LineState.REFUSED
        for order in orders
        if order.status is Status.PAID
        for line in order.lines
    )
