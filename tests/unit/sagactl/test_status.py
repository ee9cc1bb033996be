"""What `sagactl status` calls wrong, and what it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from sagactl.oncall.status.standing import Backlog, Status, depths, problems, said
from services.shared.contract.events import CONSUMES

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
QUEUES = [queue for queues in CONSUMES.values() for queue in queues]
WELL = dict.fromkeys(QUEUES, (3, 2))


def wrong(found: dict[str, tuple[int, int]], **more: object) -> list[str]:
    return list(problems(Status(at=NOON, queues=tuple(depths(found)), **more)))  # type: ignore[arg-type]


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def test_a_shop_at_work_has_nothing_wrong() -> None:
    busy = {
        "outboxes": (Backlog("order", 40, ago(2), "row"),),
        "orders": (Backlog("PENDING", 12, ago(20), "order-1"),),
    }
    assert wrong(WELL | {"orders.retry.1": (4, 0)}, **busy) == []


def test_a_queue_without_a_consumer_and_one_that_is_not_there() -> None:
    assert wrong(WELL | {"orders": (7, 0)}) == ["nobody consumes orders, where 7 wait: is order up?"]
    there = {name: depth for name, depth in WELL.items() if name != "STOCK_RESERVED"}
    assert wrong(there) == ["the broker has no queue STOCK_RESERVED: payment has never declared it"]


def test_dead_letters_and_a_backlog() -> None:
    told = wrong(WELL | {"payment-events.dlq": (2, 0), "inventory": (5000, 2)})
    assert told == [
        "5000 messages wait in inventory: inventory cannot keep up",
        "dead letters of payment-events: 2. See sagactl letters list --queue payment-events",
    ]


def test_an_outbox_that_does_not_drain_and_an_order_that_is_open_for_too_long() -> None:
    (outbox,) = wrong(WELL, outboxes=(Backlog("payment", 3, ago(200), "row"),))
    assert "payment does not get its events out: 3 in its outbox, the oldest for 3 min 20 s" in outbox
    (order,) = wrong(WELL, orders=(Backlog("CONFIRMED", 1, ago(301), "order-1"),))
    assert order == "an order has been CONFIRMED for 5 min 1 s. See sagactl explain order-1"
    assert wrong(WELL, marked=2) == ["orders that contradict what happened: 2. See sagactl check"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3723, "1 h 2 min"), (200_000, "2 d 7 h")]
)
def test_an_age_is_said_in_two_units(seconds: int, text: str) -> None:
    assert said(timedelta(seconds=seconds)) == text
