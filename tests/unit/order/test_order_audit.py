"""Who acted on an order: in its history, and on the audit trail where it was not its customer."""

from typing import Any

import pytest
from msgspec import structs

from sagactl.oncall.invariants import Case
from sagactl.oncall.order import shown
from services.order.bodies import entry_body
from services.order.domain import DOMAIN
from services.order.model import Order
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import Decision
from services.shared.http.auth import User
from services.shared.http.rights import Right
from tests.unit.memory import Memory
from tests.unit.order import examples as eg

BOSS = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")
OPERATOR = By(Actor("system:serviceaccount:shop:operator", Kind.OPERATOR), "10.0.0.9")
OWNER = By(Actor(eg.CUSTOMER, Kind.USER), "192.0.2.8")


def acted(order: Order, command: Any, by: By) -> tuple[Decision, Actor | None]:
    """What is decided, and whom the history names."""
    decision = Memory(DOMAIN, order).handle(command, by=by, at=eg.AT)
    (after,) = (each for each in decision.changed if isinstance(each, Order))
    return decision, after.history[-1].actor


@pytest.mark.parametrize(
    ("order", "command", "by", "action", "reason"),
    [
        (eg.CONFIRMED, structs.replace(eg.CANCEL, customer_id=None), BOSS, Action.ORDER_CANCELLED, None),
        (eg.PAID, structs.replace(eg.REFUND, customer_id=None), BOSS, Action.ORDER_REFUNDED, None),
        (eg.CONFIRMED, eg.time_out(), OPERATOR, Action.ORDER_COMPENSATED, "stuck for 300 s"),
    ],
)
def test_what_others_do_with_an_order_is_in_its_history_and_on_the_trail(
    order: Order, command: Any, by: By, action: Action, reason: str | None
) -> None:
    decision, actor = acted(order, command, by)
    assert actor == by.actor
    (entry,) = decision.audit
    assert (entry.action, entry.subject, entry.actor) == (action, eg.ORDER_ID, by.actor)
    assert (entry.reason, entry.address, entry.request_id) == (reason, by.address, by.request_id)


@pytest.mark.parametrize(("order", "command"), [(eg.CONFIRMED, eg.CANCEL), (eg.PAID, eg.REFUND)])
def test_what_customers_do_with_their_own_orders_is_in_the_history_alone(order: Order, command: Any) -> None:
    decision, actor = acted(order, command, OWNER)
    assert (actor, decision.audit) == (OWNER.actor, ())


def test_staff_sees_who_acted_and_a_customer_does_not() -> None:
    order = Memory(DOMAIN, eg.CONFIRMED).handle(eg.time_out(), by=OPERATOR, at=eg.AT).changed[0]
    assert isinstance(order, Order)
    staff = User("support", "s@x.example", frozenset({Right.READ_ORDERS}))
    shown = entry_body(order.history[-1], staff)["actor"]
    assert shown == {"id": OPERATOR.actor.id, "kind": Kind.OPERATOR, "roles": ()}
    assert "actor" not in entry_body(order.history[-1], User(eg.CUSTOMER, "c@x.example"))


def test_sagactl_order_says_what_goes_back() -> None:
    order = eg.PAID_LAMP_REFUSED
    lines = [part for part in shown(Case(order.id, order, None, None, [], [])) if isinstance(part, str)]
    assert "[bold]refund[/]   100.00 USD for 1 of lamp: REFUSED (blocked)" in lines


def test_sagactl_order_says_who_acted() -> None:
    order = Memory(DOMAIN, eg.CONFIRMED).handle(eg.time_out(), by=OPERATOR, at=eg.AT).changed[0]
    assert isinstance(order, Order)
    lines = [part for part in shown(Case(order.id, order, None, None, [], [])) if isinstance(part, str)]
    said = [line for line in lines if OPERATOR.actor.id in line]
    assert said == [f"[bold]by[/]       operator {OPERATOR.actor.id}: SAGA_TIMEOUT"]
