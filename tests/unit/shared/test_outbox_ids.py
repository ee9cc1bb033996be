"""Event ids: handling a cause again gives the same ids, and no two events share one."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.shared.contract import events, wire
from services.shared.contract.decisions import Decision, Message
from services.shared.contract.identity import event_id
from services.shared.engine.rows import events_of

AT = datetime(2026, 11, 23, tzinfo=UTC)
DECISION = Decision(
    events=(
        events.ReleaseStock(order_id="order-1", reason="PAYMENT_FAILED"),
        events.OrderCancelled(order_id="order-1", reason="PAYMENT_FAILED", email="ann@example.com"),
        events.ReleaseStock(order_id="order-1", reason="LATE_RESERVATION"),
    )
)


def message(id_: str, source: str = "order-events") -> Message:
    return Message(id=id_, source=source, body=None, at=AT, traceparent="00-aa-bb-01")


@given(st.text(), st.text(), st.integers(0, 100))
def test_the_same_cause_gives_the_same_id_each_time(cause: str, type_: str, index: int) -> None:
    assert event_id(cause, type_, index) == event_id(cause, type_, index)
    assert UUID(event_id(cause, type_, index)).version == 5


def test_an_id_never_changes_between_releases() -> None:
    """What is in flight while we are upgraded must still be recognised."""
    assert event_id("orders/1", "ORDER_PAID", 0) == "35f813a9-8566-57a4-885e-badb7842bd60"


def test_events_of_one_decision_have_ids_of_their_own() -> None:
    ids = [entry.id for entry in events_of(message("1"), DECISION)]
    assert len(set(ids)) == 3
    assert ids == [entry.id for entry in events_of(message("1"), DECISION)]


def test_one_id_on_two_queues_has_two_effects() -> None:
    """PAYMENT_FAILED goes to order and inventory; http ids are anybody's."""
    here = {entry.id for entry in events_of(message("1", "order-events"), DECISION)}
    there = {entry.id for entry in events_of(message("1", "inventory-events"), DECISION)}
    assert not here & there


def test_an_entry_is_ready_to_be_published() -> None:
    entry = next(iter(events_of(message("1"), DECISION)))
    assert (entry.type, entry.subject) == ("INVENTORY_RELEASE_REQUEST", "order-1")
    assert entry.traceparent == "00-aa-bb-01"
    assert wire.decode("inventory", entry.body.encode()) == DECISION.events[0]
