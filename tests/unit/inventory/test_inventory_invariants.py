"""Whatever comes, how often and in whatever order: no piece is made or lost, and none is held for nobody."""

from collections import Counter
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.inventory.domain import domain
from services.inventory.moves import Reason, StockMove
from services.inventory.products import Adjust, Restock, SetAvailable
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.shared.contract.decisions import Message, Premature, Refused, Verdict
from services.shared.contract.events import (
    Line,
    OrderPaid,
    PaymentFailed,
    ProductCreated,
    ProductDeleted,
    ReleaseStock,
    ReserveStock,
)
from tests.unit.memory import Memory

ORDERS = st.sampled_from(["order_1", "order_2", "order_3"])
PRODUCTS = st.sampled_from(["lamp", "torch", "candle"])
QUANTITIES = st.integers(1, 4)
LINES = st.dictionaries(PRODUCTS, QUANTITIES, min_size=1).map(
    lambda pieces: tuple(Line(name, quantity) for name, quantity in pieces.items())
)
REASONS = st.sampled_from(["PAYMENT_FAILED", "SAGA_TIMEOUT", "LATE_RESERVATION", "REFUND"])
EVENTS = st.one_of(
    st.builds(ReserveStock, order_id=ORDERS, products=LINES, fulfilment=st.sampled_from(["all", "partial"])),
    st.builds(
        lambda order_id, line: ReserveStock(order_id=order_id, products=(line,), product_id=line.product_id),
        ORDERS,
        st.builds(Line, PRODUCTS, QUANTITIES),
    ),
    st.builds(ReleaseStock, order_id=ORDERS, reason=REASONS, product_id=st.none() | PRODUCTS),
    st.builds(
        ReleaseStock,
        order_id=ORDERS,
        reason=st.just("REFUND"),
        refund_request_id=st.sampled_from(["refund_1", "refund_2", "refund_3"]),
        products=LINES,
    ),
    st.builds(
        OrderPaid,
        order_id=ORDERS,
        total_price=st.just(Decimal(1)),
        currency=st.just("USD"),
        products=LINES,
        email=st.just(""),
    ),
    st.builds(
        PaymentFailed,
        order_id=ORDERS,
        transaction_id=st.just("txn"),
        amount=st.just(Decimal(1)),
        currency=st.just("USD"),
        reason=st.just("declined"),
        compensation=st.booleans(),
    ),
    st.builds(ProductCreated, product_id=PRODUCTS, initial_stock=st.integers(0, 6)),
    st.builds(ProductDeleted, product_id=PRODUCTS),
    st.builds(Restock, product_id=PRODUCTS, quantity=QUANTITIES),
    st.builds(Adjust, product_id=PRODUCTS, delta=st.integers(-4, 4), reason=st.sampled_from(Reason)),
    st.builds(
        SetAvailable,
        product_id=PRODUCTS,
        available=st.integers(0, 6),
        reason=st.sampled_from(Reason),
        revisions=st.none() | st.tuples(st.integers(0, 9)),
    ),
)
COMMANDS = (Restock, Adjust, SetAvailable)


class Inventory(RuleBasedStateMachine):
    """Messages come, come again under other ids, are lost and come later; there is no inbox to help."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(domain(auto_compensation=False))
        self.handled: list[Message] = []
        self.lost: list[Message] = []
        self.released: set[tuple[str, str]] = set()

    @initialize(stocked=st.dictionaries(PRODUCTS, st.integers(0, 6)))
    def stock(self, stocked: dict[str, int]) -> None:
        for name, pieces in stocked.items():
            self.memory.handle(ProductCreated(product_id=name, initial_stock=pieces))

    @rule(event=EVENTS, last_try=st.booleans())
    def comes(self, event: object, *, last_try: bool) -> None:
        self._handle(self.memory.message(event, last_try=last_try))

    @rule(event=EVENTS)
    def is_lost(self, event: object) -> None:
        self.lost.append(self.memory.message(event))

    @rule(data=st.data())
    def comes_after_all(self, data: st.DataObject) -> None:
        if self.lost:
            self._handle(self.lost.pop(data.draw(st.integers(0, len(self.lost) - 1))))

    @rule(data=st.data())
    def comes_again(self, data: st.DataObject) -> None:
        """Once all is said, the same again changes no stock."""
        events = [message for message in self.handled if not isinstance(message.body, COMMANDS)]
        if events:
            message = data.draw(st.sampled_from(events))
            before = {stock.id: stock for stock in self.memory.all(Stock)}
            self._handle(message)
            assert {stock.id: stock for stock in self.memory.all(Stock)} == before

    @rule(event=EVENTS)
    def comes_twice(self, event: object) -> None:
        """At once: the same answer, and nothing changes but once."""
        if isinstance(event, COMMANDS):
            return
        try:
            first = self.memory.handle(event, last_try=True)
        except Premature:
            return
        before = {stock.id: stock for stock in self.memory.all(Stock)}
        again = self.memory.handle(event, last_try=True)
        assert again.events == first.events
        assert again.verdict is not Verdict.APPLIED or not again.changed
        assert {stock.id: stock for stock in self.memory.all(Stock)} == before

    def _handle(self, message: Message) -> None:
        before = self.memory.snapshot()
        try:
            self.memory.decide(message)
        except (Premature, Refused):
            assert self.memory.snapshot() == before
            return
        self.handled.append(message)

    @invariant()
    def no_piece_is_made_or_lost(self) -> None:
        for stock in self.memory.all(Stock):
            assert stock.available + stock.reserved + stock.sold == stock.came
            assert min(stock.available, stock.reserved, stock.sold) >= 0

    @invariant()
    def every_adjustment_has_its_move(self) -> None:
        for stock in self.memory.all(Stock):
            moves = [move for move in self.memory.all(StockMove) if move.product_id == stock.id]
            assert sum(move.delta for move in moves) == stock.restocked + stock.adjusted
            assert len({move.revision for move in moves}) == len(moves)

    @invariant()
    def every_counter_is_the_sum_of_its_lines(self) -> None:
        pieces: Counter[tuple[str, LineState]] = Counter()
        for reservation in self.memory.all(Reservation):
            for line in reservation.lines:
                pieces[line.product_id, line.state] += line.left
        for stock in self.memory.all(Stock):
            assert stock.reserved == pieces[stock.id, LineState.HELD]
            assert stock.sold == pieces[stock.id, LineState.SOLD]

    @invariant()
    def what_came_back_is_what_refunds_say(self) -> None:
        for reservation in self.memory.all(Reservation):
            returned: Counter[str] = Counter()
            for each in reservation.returns:
                returned.update({line.product_id: line.quantity for line in each.lines})
            assert returned == Counter(
                {line.product_id: line.returned for line in reservation.lines if line.returned}
            )
            assert all(0 <= line.returned <= line.quantity for line in reservation.lines)
            ids = [each.refund_request_id for each in reservation.returns]
            assert len(ids) == len(set(ids))

    @invariant()
    def released_is_for_ever(self) -> None:
        released = {
            (reservation.id, line.product_id)
            for reservation in self.memory.all(Reservation)
            for line in reservation.lines
            if line.state is LineState.RELEASED
        }
        assert self.released <= released
        self.released = released

    @invariant()
    def nothing_is_held_of_a_released_order(self) -> None:
        for reservation in self.memory.all(Reservation):
            held = [line for line in reservation.lines if line.state is LineState.HELD]
            assert reservation.tombstone is None or not held

    @invariant()
    def a_line_has_its_product_once(self) -> None:
        for reservation in self.memory.all(Reservation):
            products = [line.product_id for line in reservation.lines]
            assert len(products) == len(set(products))


Inventory.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # how fast it is depends on what else the machine does
)
TestInventory = Inventory.TestCase
