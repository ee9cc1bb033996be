"""Every state of a shipment against everything that may come: what becomes of it, and what is published."""

from decimal import Decimal
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from services.fulfilment.domain import SHIPPING
from services.fulfilment.shipment import Command, Deliver, Goods, Said, Ship, Shipment, ShipmentState
from services.fulfilment.table import SHIPMENTS
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import KeyReused, Refused, Verdict
from services.shared.contract.events import (
    CONSUMES,
    FULFILMENT,
    Event,
    Line,
    OrderDelivered,
    OrderPaid,
    OrderRefunded,
    OrderShipped,
    RequestShipment,
    ShipmentApproved,
    ShipmentRefused,
    SoldLine,
)
from services.shared.contract.idempotency import Key
from services.shared.contract.table import NEW, always
from tests.unit.memory import NOW, Memory

PAID: Final = OrderPaid(
    order_id="o1",
    total_price=Decimal("45.00"),
    currency="USD",
    products=(SoldLine("lamp", 2, "Lamp", Decimal("10.00")), SoldLine("desk", 1, "Desk", Decimal("25.00"))),
    email="ann@example.com",
    locale="de-AT",
)
REFUNDED: Final = OrderRefunded(
    order_id="o1", total_price=Decimal("45.00"), currency="USD", email="ann@example.com"
)
# A lamp is asked back.
APPROVED: Final = ShipmentApproved(order_id="o1", products=(Line("lamp", 1), Line("desk", 1)), sequence=5)
REFUSED: Final = ShipmentRefused(order_id="o1", reason="all of the order is refunded, or to be")
SHIP: Final = Ship(order_id="o1", carrier="DHL", tracking="JD0146")
DELIVER: Final = Deliver(order_id="o1")

READY: Final = Shipment(
    id="o1",
    state=ShipmentState.READY,
    products=(Goods("lamp", 2, "Lamp"), Goods("desk", 1, "Desk")),
    email="ann@example.com",
    locale="de-AT",
    created_at=NOW,
    updated_at=NOW,
)
ASKED: Final = structs.replace(READY, state=ShipmentState.SHIPPING, carrier="DHL", tracking="JD0146")
SHIPPED: Final = structs.replace(
    ASKED,
    state=ShipmentState.SHIPPED,
    products=(Goods("lamp", 1, "Lamp"), Goods("desk", 1, "Desk")),
    sequence=5,
)
DELIVERED: Final = structs.replace(SHIPPED, state=ShipmentState.DELIVERED)
CANCELLED: Final = structs.replace(READY, state=ShipmentState.CANCELLED)
REFUSED_TO_GO: Final = structs.replace(
    ASKED, state=ShipmentState.CANCELLED, refusal="all of the order is refunded, or to be"
)
OVER_BEFORE_IT_BEGAN: Final = Shipment(id="o1", state=ShipmentState.CANCELLED, created_at=NOW, updated_at=NOW)

REQUEST: Final = RequestShipment(order_id="o1")
ON_ITS_WAY: Final = OrderShipped(
    order_id="o1",
    sequence=5,
    products=(SoldLine("lamp", 1, "Lamp"), SoldLine("desk", 1, "Desk")),
    carrier="DHL",
    tracking="JD0146",
    email="ann@example.com",
    locale="de-AT",
)
ARRIVED: Final = OrderDelivered(**structs.asdict(ON_ITS_WAY))


class Becomes(NamedTuple):
    after: Shipment
    publishes: tuple[Event, ...] = ()


class Forbidden(NamedTuple):
    says: str


DUPLICATE, ATTENTION = "duplicate", "attention"
Expected = Becomes | Forbidden | str
ANSWERS: Final = (APPROVED, REFUSED)

# As it is, what comes -> what the design says.
EXPECTED: Final[list[tuple[Shipment | None, Any, Expected]]] = [
    (None, PAID, Becomes(READY)),
    (None, REFUNDED, Becomes(OVER_BEFORE_IT_BEGAN)),
    *((None, answer, ATTENTION) for answer in ANSWERS),
    (None, SHIP, Forbidden("nothing is known of a payment")),
    (None, DELIVER, Forbidden("nothing is known of a payment")),
    # ---
    (READY, PAID, DUPLICATE),
    (READY, REFUNDED, Becomes(CANCELLED)),
    *((READY, answer, ATTENTION) for answer in ANSWERS),
    (READY, SHIP, Becomes(ASKED, (REQUEST,))),
    (READY, DELIVER, Forbidden("not on their way yet")),
    # ---
    (ASKED, PAID, DUPLICATE),
    (ASKED, REFUNDED, DUPLICATE),
    (ASKED, APPROVED, Becomes(SHIPPED, (ON_ITS_WAY,))),
    (ASKED, REFUSED, Becomes(REFUSED_TO_GO)),
    (ASKED, SHIP, Forbidden("wait for its answer")),
    (ASKED, DELIVER, Forbidden("wait for its answer")),
    # ---
    *((SHIPPED, event, DUPLICATE) for event in (PAID, REFUNDED, *ANSWERS)),
    (SHIPPED, SHIP, Forbidden("sent already")),
    (SHIPPED, DELIVER, Becomes(DELIVERED, (ARRIVED,))),
    # ---
    *((DELIVERED, event, DUPLICATE) for event in (PAID, REFUNDED, *ANSWERS)),
    (DELIVERED, SHIP, Forbidden("sent already")),
    (DELIVERED, DELIVER, Forbidden("arrived already")),
    # ---
    *((CANCELLED, event, DUPLICATE) for event in (PAID, REFUNDED, *ANSWERS)),
    (CANCELLED, SHIP, Forbidden("nothing of the order is to be sent")),
    (CANCELLED, DELIVER, Forbidden("nothing of the order is to be sent")),
]


def name(row: tuple[Shipment | None, Any, Expected]) -> str:
    before, comes, _ = row
    return f"{before.state if before else 'none'}-{comes.type}"


def stored(shipment: Shipment | None) -> Memory:
    return Memory(SHIPPING, *([shipment] if shipment else []))


def the_same(shipment: Shipment) -> Shipment:
    """But for how often it was stored, and by whose command."""
    return structs.replace(shipment, version=0, commands=())


@pytest.mark.parametrize(("before", "comes", "expected"), EXPECTED, ids=map(name, EXPECTED))
def test_a_shipment_does_what_the_design_says(
    before: Shipment | None, comes: Any, expected: Expected
) -> None:
    memory = stored(before)
    match expected:
        case Becomes(after, publishes):
            decision = memory.handle(comes)
            assert decision.verdict is Verdict.APPLIED
            assert the_same(memory.one(Shipment, "o1")) == after
            assert decision.events == publishes
        case Forbidden(says):
            with pytest.raises(Refused, match=says):
                memory.handle(comes)
        case "duplicate":
            decision = memory.handle(comes)
            assert (decision.verdict, decision.changed, decision.events) == (Verdict.DUPLICATE, (), ())
        case "attention":
            decision = memory.handle(comes)
            after = memory.one(Shipment, "o1")
            assert (decision.verdict, decision.events) == (Verdict.ATTENTION, ())
            assert after.attention[-1].reason == "the order answers what it was not asked"
            assert after.state is (before.state if before else ShipmentState.CANCELLED)


def test_every_state_has_an_answer_to_everything_that_may_come() -> None:
    kinds = {*CONSUMES["fulfilment"][FULFILMENT], Ship, Deliver}
    assert set(SHIPMENTS.cells) == {(state, kind) for state in (NEW, *ShipmentState) for kind in kinds}
    tried = {(before.state if before else NEW, type(comes)) for before, comes, _ in EXPECTED}
    assert tried == set(SHIPMENTS.cells)
    assert all(rows[-1].when is always for rows in SHIPMENTS.cells.values())


def test_the_log_tells_the_order_the_state_and_who_carries_it() -> None:
    assert READY.standing == ("o1", "READY", ())
    assert SHIPPED.standing == ("o1", "SHIPPED", ("by DHL, JD0146",))
    assert REFUSED_TO_GO.standing.notes[-1] == "all of the order is refunded, or to be"


@pytest.mark.parametrize(
    ("before", "command", "action"),
    [(READY, SHIP, Action.ORDER_SHIPPED), (SHIPPED, DELIVER, Action.ORDER_DELIVERED)],
)
def test_who_sent_what_is_on_the_audit_trail_without_what_was_typed(
    before: Shipment, command: Command, action: Action
) -> None:
    decision = stored(before).handle(command, by=By(Actor("boss", Kind.USER), "192.0.2.1"))
    (entry,) = decision.audit
    assert (entry.action, entry.subject, entry.actor.id) == (action, "o1", "boss")
    assert (entry.reason, entry.detail) == (None, "")


def test_a_shipment_keeps_the_commands_of_which_its_messages_have_their_ids() -> None:
    memory = stored(READY)
    ship, deliver = memory.message(SHIP), memory.message(DELIVER)
    memory.decide(ship)
    with pytest.raises(Refused):
        memory.handle(SHIP)
    memory.handle(APPROVED)
    memory.decide(deliver)
    assert memory.one(Shipment, "o1").commands == (
        Said("SHIP", ship.id, NOW),
        Said("DELIVER", deliver.id, NOW),
    )


def test_a_command_with_a_key_is_carried_out_once() -> None:
    memory = stored(READY)
    keyed = structs.replace(SHIP, key=Key("ship/boss/1", "by DHL"))
    assert memory.handle(keyed).events == (REQUEST,)
    again = memory.handle(keyed)
    assert (again.replayed, again.events) == (True, ())
    assert isinstance(again.reply, Shipment)
    with pytest.raises(KeyReused):
        memory.handle(structs.replace(SHIP, key=Key("ship/boss/1", "by others")))


# Where a shipment can get from where; anything else is a bug, whatever came.
WAYS: Final = {
    None: {ShipmentState.READY, ShipmentState.CANCELLED},
    ShipmentState.READY: {ShipmentState.SHIPPING, ShipmentState.CANCELLED},
    ShipmentState.SHIPPING: {ShipmentState.SHIPPED, ShipmentState.CANCELLED},
    ShipmentState.SHIPPED: {ShipmentState.DELIVERED},
    ShipmentState.DELIVERED: set[ShipmentState](),
    ShipmentState.CANCELLED: set[ShipmentState](),
}


class AShipment(RuleBasedStateMachine):
    """Anything may come at any time, and as often as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(SHIPPING)
        self.published: list[Event] = []
        self.approved = False

    @rule(comes=st.sampled_from([PAID, REFUNDED, *ANSWERS, SHIP, DELIVER]))
    def come(self, comes: Any) -> None:
        before = self.memory.get(Shipment, "o1")
        was = before.state if before else None
        try:
            self.published += self.memory.handle(comes).events
        except Refused:
            assert self.memory.get(Shipment, "o1") == before
            return
        is_ = self.memory.one(Shipment, "o1").state
        assert is_ is was or is_ in WAYS[was]
        self.approved |= was is ShipmentState.SHIPPING and comes is APPROVED

    @invariant()
    def nothing_is_sent_that_the_order_did_not_let_go(self) -> None:
        told = [type(event) for event in self.published]
        assert all(told.count(kind) <= 1 for kind in (RequestShipment, OrderShipped, OrderDelivered))
        assert (OrderShipped in told) == self.approved
        assert told == [RequestShipment, OrderShipped, OrderDelivered][: len(told)]


TestAShipment = AShipment.TestCase
TestAShipment.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
