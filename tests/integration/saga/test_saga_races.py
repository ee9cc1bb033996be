"""Messages overtake each other, come twice, and are sent by several at once."""

import asyncio
import random

import pytest

from tests.integration.saga.probe import all_heard, body, ids
from tests.integration.saga.shop import Shop


@pytest.mark.mode(2, 14)
async def test_a_release_that_overtakes_its_reservation_leaves_nothing_reserved(shop: Shop) -> None:
    """Inventory is down meanwhile, and the order shows that its compensation waits."""
    lamp = await shop.product(stock=5)
    async with shop.away("inventory"):
        order_id = await shop.place({lamp: 2})
        assert (await shop.cancel(order_id)).status_code == 202
        order = await shop.becomes(order_id, lambda order: order["compensation"]["stock"] == "pending")
        assert (order["status"], order["settled"]) == ("CANCELLED", False)
        taken = {message.type: message for message in await shop.take("inventory", 2)}
        for message in (taken["INVENTORY_RELEASE_REQUEST"], taken["INVENTORY_RESERVE_REQUEST"]):
            await shop.publish(
                "inventory", message.body, message_id=message.message_id, headers=message.headers
            )
    await shop.settles(order_id, "CANCELLED")
    await shop.drained()
    assert await shop.stock(lamp) == (5, 0, 0)
    assert await shop.ledger(order_id) == {}


@pytest.mark.mode(13)
async def test_everyone_compensates_the_same_order_and_its_stock_is_given_back_once(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.frozen("payment"):
        orders = [await shop.place({lamp: 1}) for _ in range(4)]
        for order_id in orders:
            await shop.is_at(order_id, "CONFIRMED")
        async with shop.listening() as heard:
            await asyncio.gather(*(everyone_compensates(shop, order_id) for order_id in orders))
            for order_id in orders:
                await shop.settles(order_id, "CANCELLED")
                await all_heard(heard, order_id, ["INVENTORY_RELEASE_REQUEST", "ORDER_CANCELLED"])
            await shop.stock_becomes(lamp, (5, 0, 0))
        for order_id in orders:
            assert len(ids(heard, "INVENTORY_RELEASE_REQUEST", order_id)) == 1
            assert len(ids(heard, "ORDER_CANCELLED", order_id)) == 1
    for order_id in orders:
        await shop.money_is_back(order_id)
    await shop.drained()
    assert await shop.stock(lamp) == (5, 0, 0)


async def everyone_compensates(shop: Shop, order_id: str) -> None:
    """Two operators, the customer, and inventory by itself, told by an older message that it should."""
    failed = body(
        "PAYMENT_FAILED",
        orderId=order_id,
        transactionId="txn_failed",
        amount="10.00",
        currency="USD",
        reason="declined",
        compensation=True,
    )
    outcomes = await asyncio.gather(
        shop.compensate(order_id, at="order"),
        shop.compensate(order_id, at="order-2"),
        shop.cancel(order_id),
        shop.publish_older("inventory-events", failed),
    )
    assert outcomes[:2].count("compensated") <= 1


@pytest.mark.mode(12)
async def test_every_event_shuffled_and_tripled_under_new_ids_ends_as_in_order(shop: Shop) -> None:
    """New ids are what a switched-off inbox amounts to: only the ledger can tell that it has seen them."""
    chosen = random.Random(7)
    lamp = await shop.product(stock=100)
    lives = {shop.foreign_order(): end for end in LIVES for _ in range(5)}
    events = [event for order_id, end in lives.items() for event in life_of(order_id, lamp, end)]
    shuffled = chosen.sample(events * 3, 3 * len(events))
    await asyncio.gather(
        shop.publish("inventory", *(event for event in shuffled if b"INVENTORY_" in event)),
        shop.publish("inventory-events", *(event for event in shuffled if b"ORDER_PAID" in event)),
    )
    await shop.drained(within=60)
    assert await shop.stock(lamp) == (90, 0, 10)
    states = {
        each["_id"]: each["lines"][0]["state"]
        async for each in shop.database("inventory")["reservations"].find({"_id": {"$in": list(lives)}})
    }
    assert states == {order_id: LIVES[end] for order_id, end in lives.items()}
    assert await shop.clear("orders.dlq") >= len(events)  # the order service knows none of them


# How a reservation's life ends, and what its line is then.
LIVES = {"paid": "SOLD", "cancelled": "RELEASED", "refunded": "RELEASED"}


def life_of(order_id: str, product: str, end: str) -> list[bytes]:
    """What inventory is told about an order of two pieces."""
    lines = [{"productId": product, "quantity": 2}]
    price = {"totalPrice": "20.00", "currency": "USD", "email": "a@shop.example"}
    reserve = body("INVENTORY_RESERVE_REQUEST", orderId=order_id, products=lines)
    paid = body("ORDER_PAID", orderId=order_id, products=lines, **price)
    if end == "paid":
        return [reserve, paid]
    if end == "cancelled":
        return [reserve, body("INVENTORY_RELEASE_REQUEST", orderId=order_id, reason="SAGA_TIMEOUT")]
    return [reserve, paid, body("INVENTORY_RELEASE_REQUEST", orderId=order_id, reason="REFUND")]
