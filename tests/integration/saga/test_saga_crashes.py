"""Processes are killed (SIGKILL) where it hurts most; another takes over, and the effect is one."""

from datetime import UTC, datetime

import pytest
from aio_pika.abc import AbstractIncomingMessage

from dev.faults.crashes import CrashPoint
from sagactl.polling import until
from services.shared.contract.decisions import Message
from services.shared.engine.batch import digest
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import HAPPY, all_heard, ids
from tests.integration.saga.shop import Shop

# Seconds: a lease of the outbox and a sweep, on a machine that does much else.
TAKEN_OVER_WITHIN = 30.0


def published(heard: list[AbstractIncomingMessage], order_id: str) -> dict[str, list[str]]:
    """The ids of what was heard about the order, by type."""
    return {type_: ids(heard, type_, order_id) for type_ in HAPPY}


async def times_seen(shop: Shop, queue: str, message_id: str, reservation: str) -> int:
    """How often the message stands in the memory of its home."""
    home = await shop.database("inventory")["reservations"].find_one({"_id": reservation})
    assert home is not None
    message = Message(id=message_id, source=queue, body=None, at=datetime.now(UTC))
    return [bytes(each) for each in home["seen"]].count(digest(message))


@pytest.mark.parametrize(
    "point", [CrashPoint.BEFORE_TRANSACTION, CrashPoint.AFTER_COMMIT, CrashPoint.BEFORE_ACK]
)
@pytest.mark.mode(5)
async def test_a_reservation_is_made_once_though_its_process_is_killed(shop: Shop, point: CrashPoint) -> None:
    lamp = await shop.product(stock=5)
    async with shop.listening() as heard:
        shop.will_die("inventory", point)
        order_id = await shop.place({lamp: 2})
        died = await shop.death_of("inventory")
        await shop.settles(order_id, "PAID")
        await shop.stack.start(died)
        await shop.stock_becomes(lamp, (3, 0, 2))
        await all_heard(heard, order_id, HAPPY)
    found = published(heard, order_id)
    assert {type_: len(set(each)) for type_, each in found.items()} == dict.fromkeys(HAPPY, 1)
    assert await shop.ledger(order_id) == {"captured": 1}
    (request,) = set(found["INVENTORY_RESERVE_REQUEST"])
    assert await times_seen(shop, "inventory", request, order_id) == 1


@pytest.mark.mode(5)
async def test_an_order_moves_on_once_though_its_process_is_killed(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.frozen("inventory"):
        order_id = await shop.place({lamp: 2})
        shop.will_die("order", CrashPoint.BEFORE_ACK)
    died = await shop.death_of("order")
    if died == "order":  # where the gateway asks
        await shop.stack.start(died)
    await shop.settles(order_id, "PAID")
    if died != "order":
        await shop.stack.start(died)
    assert await shop.events_of(order_id) == ["ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]
    assert await shop.ledger(order_id) == {"captured": 1}
    await shop.stock_becomes(lamp, (3, 0, 2))


@pytest.mark.mode(6)
@pytest.mark.parametrize("service", ["inventory", "payment"])
async def test_what_was_published_before_its_row_was_deleted_comes_twice_and_counts_once(
    shop: Shop, service: str
) -> None:
    lamp = await shop.product(stock=5)
    type_ = {"inventory": "INVENTORY_RESERVED", "payment": "PAYMENT_SUCCEEDED"}[service]
    async with shop.listening() as heard:
        shop.will_die(service, CrashPoint.BEFORE_DELETE)
        order_id = await shop.place({lamp: 2})
        died = await shop.death_of(service)
        if service == "payment":  # the only one
            await shop.stack.start(died)

        async def again() -> bool:
            return len(ids(heard, type_, order_id)) == 2

        await until(again, within=PATIENCE, what="again")
        await shop.settles(order_id, "PAID")
        if service == "inventory":
            await shop.stack.start(died)
        await shop.stock_becomes(lamp, (3, 0, 2))
        await all_heard(heard, order_id, HAPPY)
    found = published(heard, order_id)
    assert len(set(found[type_])) == 1
    assert {name: len(each) for name, each in found.items() if name != type_} == dict.fromkeys(
        HAPPY - {type_}, 1
    )
    assert await shop.events_of(order_id) == ["ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]
    assert await shop.ledger(order_id) == {"captured": 1}


@pytest.mark.mode(8)
async def test_what_a_dead_replica_did_not_publish_another_publishes_within_seconds(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.listening() as heard:
        shop.will_die("inventory", CrashPoint.BEFORE_PUBLISHING)
        order_id = await shop.place({lamp: 2})
        died = await shop.death_of("inventory")
        assert ids(heard, "INVENTORY_RESERVED", order_id) == []
        await shop.settles(order_id, "PAID", within=TAKEN_OVER_WITHIN)
        await all_heard(heard, order_id, HAPPY)
    await shop.stack.start(died)
    assert {name: len(each) for name, each in published(heard, order_id).items()} == dict.fromkeys(HAPPY, 1)


async def test_a_charge_that_was_written_down_and_not_asked_for_is_made_once(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    shop.will_die("payment", CrashPoint.BEFORE_CAPTURE)
    order_id = await shop.place({lamp: 2})
    died = await shop.death_of("payment")
    assert await shop.ledger(order_id) == {}
    await shop.stack.start(died)
    await shop.settles(order_id, "PAID")
    assert await shop.ledger(order_id) == {"captured": 1}


@pytest.mark.mode(18)
async def test_a_capture_that_was_not_recorded_is_found_again_and_refunded_once_if_the_order_is_cancelled(
    shop: Shop,
) -> None:
    lamp = await shop.product(stock=5)
    shop.will_die("payment", CrashPoint.AFTER_CAPTURE)
    order_id = await shop.place({lamp: 2})
    died = await shop.death_of("payment")
    assert await shop.ledger(order_id) == {"captured": 1}
    assert (await shop.cancel(order_id)).status_code == 202
    await shop.becomes(order_id, lambda order: bool(order["settled"]))
    await shop.stack.start(died)
    await shop.becomes(order_id, lambda order: order["compensation"]["refund"] == "done")
    await shop.settles(order_id, "CANCELLED")
    assert await shop.ledger(order_id) == {"captured": 1, "refunded": 1}
    await shop.stock_becomes(lamp, (5, 0, 0))
