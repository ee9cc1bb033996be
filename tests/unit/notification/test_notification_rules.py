"""Each event is one notification, to the customer that it names."""

from decimal import Decimal

import pytest
from msgspec import structs

from services.notification.domain import NOTIFICATIONS, Notification
from services.shared.contract.decisions import Verdict
from services.shared.contract.events import (
    CONSUMES,
    Line,
    OrderCancelled,
    OrderEvent,
    OrderPaid,
    OrderRefunded,
    RefundRequested,
)
from tests.unit.memory import NOW, Memory

ADA = "ada@shop.example"
EVENTS: dict[OrderEvent, tuple[str | None, str]] = {
    OrderPaid(
        order_id="o1", total_price=Decimal("299.99"), currency="USD", products=(Line("p", 1),), email=ADA
    ): (ADA, "Order o1 is paid: 299.99 USD"),
    OrderCancelled(order_id="o1", reason="OUT_OF_STOCK", email=ADA): (
        ADA,
        "Order o1 is cancelled: OUT_OF_STOCK",
    ),
    RefundRequested(order_id="o1", reason="broken"): (None, "A refund of order o1 is asked for: broken"),
    OrderRefunded(order_id="o1", total_price=Decimal(7), currency="JPY", email=ADA): (
        ADA,
        "Order o1 is refunded: 7 JPY",
    ),
}


def test_every_event_of_the_queue_has_a_notification() -> None:
    assert {type(event) for event in EVENTS} == set(CONSUMES["notification"]["notifications"])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_is_recorded_as_it_would_be_sent(event: OrderEvent) -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(event)
    memory.decide(message)
    recipient, subject = EVENTS[event]
    assert structs.replace(memory.one(Notification, message.id), version=0) == Notification(
        id=message.id, kind=event.type, order_id="o1", recipient=recipient, subject=subject, at=NOW
    )


def test_the_same_event_again_is_the_same_notification_even_without_an_inbox() -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(OrderCancelled(order_id="o1", reason="x", email=ADA))
    memory.decide(message)
    assert memory.decide(message).verdict is Verdict.DUPLICATE
    assert len(memory.all(Notification)) == 1
