"""How the database answers every query about orders: by an index, reading no more than it has to."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
import pytest_asyncio
from msgspec import structs

from services.order import queries
from services.order.model import OPEN, Order, Status
from services.shared.contract.table import Contradiction
from services.shared.database.store import Store, to_document
from tests.integration.room import Room
from tests.unit.order import examples as eg

pytestmark = pytest.mark.without_broker
OVER: Final = 300
LATER: Final = eg.AT + timedelta(days=1)
ODD: Final = (Contradiction(eg.AT, "PAYMENT_FAILED", "event", "declined after it was captured"),)


def numbered(order: Order, number: int) -> Order:
    at = eg.CREATED_AT + timedelta(seconds=number)
    customer = f"customer-{number % 100}"
    return structs.replace(
        order, id=f"{order.status}-{number}", customer_id=customer, created_at=at, updated_at=at
    )


@pytest_asyncio.fixture
async def store(room: Room) -> AsyncIterator[Store]:
    """Many orders that are over, some that are not, two that are odd."""
    store = Store(room.mongodb, room.database_name("order"))
    await store.prepare(queries.INDEXES)
    over = [numbered(eg.PAID, number) for number in range(OVER)]
    over[17], over[18] = (structs.replace(order, attention=ODD) for order in over[17:19])
    for number in range(3):
        until = LATER - timedelta(minutes=3 - number)
        waiting = structs.replace(eg.CONFIRMED_PENDING, reserved_until=until)
        over.append(structs.replace(numbered(waiting, number), id=f"WAITING-{number}"))
    still_open = [numbered(order, number) for order in (eg.PENDING, eg.CONFIRMED) for number in range(5)]
    await store.collection(Order).insert_many(to_document(order) for order in over + still_open)
    await store.database.command("profile", 2)
    yield store
    await store.database.command("profile", 0)


async def asked(store: Store) -> list[dict[str, Any]]:
    """What the database did since it was prepared, in its own words."""
    orders = f"{store.database.name}.{Order.collection}"
    return (
        await store.database["system.profile"]
        .find({"ns": orders, "planSummary": {"$exists": True}})
        .to_list()
    )


async def test_an_order_of_a_later_release_keeps_no_other_from_being_found(store: Store) -> None:
    """As one has it that an operator, or this release after a rollback, finds among those that wait."""
    later = {"lines": "as a later release has them"}
    orders = store.collection(Order)
    for id_ in ("CONFIRMED-0", "PAID-17", "PAID-299"):
        await orders.update_one({"_id": id_}, {"$set": later})
    assert len(await queries.stale(store, Status.CONFIRMED, eg.AT, 100)) == 4
    assert [order.id for order in await queries.needing_attention(store, 100)] == ["PAID-18"]
    first, cursor = await queries.page(store, None, Status.PAID, 1, None)
    assert (first, cursor) == ([], cursor)
    assert cursor is not None
    second, _ = await queries.page(store, None, Status.PAID, 1, cursor)
    assert [order.id for order in second] == ["PAID-298"]


async def test_no_query_reads_all_orders(store: Store) -> None:
    assert await queries.of(store, "PAID-7", None) is not None
    assert await queries.of(store, "PAID-7", "customer-7") is not None
    page, cursor = await queries.page(store, None, None, 5, None)
    assert (await queries.page(store, None, None, 5, cursor))[0][0].created_at < page[-1].created_at
    assert len((await queries.page(store, "customer-7", None, 5, None))[0]) == 3
    assert len(await queries.stale(store, Status.CONFIRMED, eg.AT, 100)) == 5
    assert len(await queries.stale(store, Status.CONFIRMED, LATER, 100)) == 8
    waited_longest = await queries.stale(store, Status.CONFIRMED, LATER, 6)
    assert [order.id for order in waited_longest][-1] == "WAITING-0"
    assert {order.id for order in await queries.needing_attention(store, 100)} == {"PAID-17", "PAID-18"}
    assert await queries.count_attention(store) == 2
    since = eg.CREATED_AT + timedelta(seconds=100)
    assert await queries.count_placed(store, since, since + timedelta(seconds=7)) == 7
    assert {status: await queries.count(store, status) for status in OPEN} == {
        Status.PENDING: 5,
        Status.CONFIRMED: 8,
        Status.REFUNDING: 0,
    }
    longest = await queries.longest(store, Status.CONFIRMED)
    assert longest is not None
    assert longest.since == eg.CONFIRMED.state_since
    assert await queries.longest(store, Status.REFUNDING) is None
    newer = await queries.newer(store, {"PAID-7": -1, "PAID-8": 0, "CONFIRMED-1": 0})
    assert list(newer) == ["PAID-7"]
    plans = await asked(store)
    assert len(plans) == 23
    for plan in plans:
        assert "COLLSCAN" not in plan["planSummary"], plan["command"]
        assert plan["docsExamined"] <= 10, plan["command"]
        assert plan["keysExamined"] <= 20, plan["command"]
