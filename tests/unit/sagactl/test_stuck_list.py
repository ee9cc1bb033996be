"""Orders that are open for too long, and what a sweep would do with each."""

from datetime import timedelta
from typing import Final

from msgspec import structs

from sagactl.oncall.overdue import listed
from services.order.model import Order, Status
from tests.unit.explain.desk import NOW, Desk

AT_MOST: Final = 2


def waiting(number: int, status: Status, minutes: float) -> Order:
    since = NOW - timedelta(minutes=minutes)
    order: Order = Desk().one(Order)
    return structs.replace(order, id=f"order-{number}", status=status, state_since=since, updated_at=since)


def test_of_each_it_is_said_what_a_sweep_would_do_now() -> None:
    orders = [waiting(1, Status.CONFIRMED, 20), waiting(2, Status.PENDING, 14)]
    found = listed(orders, NOW, AT_MOST)
    assert [each.order for each in found.items] == ["order-1", "order-2"]
    first, second = (each.sweep for each in found.items)
    assert first == "compensates it"
    assert second.startswith("nothing yet, but in ")
    assert not found.more


def test_no_sweep_takes_an_order_whose_money_is_on_its_way_back() -> None:
    (found,) = listed([waiting(1, Status.REFUNDING, 60)], NOW, AT_MOST).items
    assert found.sweep == "nothing: its money is on its way back"


def test_it_is_said_where_there_are_more() -> None:
    found = listed([waiting(number, Status.CONFIRMED, 20) for number in range(3)], NOW, AT_MOST)
    assert (len(found.items), found.more) == (2, True)
