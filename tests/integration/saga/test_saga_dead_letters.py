"""Messages that cannot be served: retried or not as designed, then in `.dlq` with their reason."""

from typing import Any

import pytest

from sagactl.polling import until
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import all_heard, body, ids, of_the_saga
from tests.integration.saga.shop import Shop, new_id

NEIGHBOURS = 100


async def told_of(shop: Shop, *, count: int) -> list[str]:
    """Products that are made known to inventory by hand, all at once."""
    products = [new_id() for _ in range(count)]
    created = [body("PRODUCT_CREATED", productId=product, initialStock=3) for product in products]
    await shop.publish("inventory-events", *created)
    return products


async def all_known(shop: Shop, products: list[str]) -> bool:
    known = await shop.database("inventory")["stock"].count_documents({"_id": {"$in": products}})
    return known == len(products)


@pytest.mark.mode(11)
async def test_messages_that_nobody_can_read_are_dead_at_once_and_hold_up_nobody(shop: Shop) -> None:
    marks = [new_id() for _ in range(5)]
    bad = {
        marks[0]: (b'{"type": "' + marks[0].encode(), "truncated"),
        marks[1]: (body("NEVER_HEARD_OF", productId=marks[1]), "is not for queue 'inventory-events'"),
        marks[2]: (body("PRODUCT_CREATED", productId=marks[2], initialStock=-1), ">= 0"),
        marks[3]: (body("ORDER_PAID", orderId=marks[3]), "missing required field"),
        marks[4]: (b"\xff\xfe" + marks[4].encode(), "malformed"),
    }
    await shop.publish_older("inventory-events", *[message for message, _ in bad.values()])
    products = await told_of(shop, count=NEIGHBOURS)
    await until(lambda: all_known(shop, products), within=PATIENCE, what="all known")
    for mark, (message, reason) in bad.items():
        letter = await shop.dead_letter("inventory-events", mark)
        assert letter.body == message
        assert letter.headers["x-error-kind"] == "invalid"
        assert reason in str(letter.headers["x-error"])
        assert letter.headers["x-attempts"] == 1
        assert letter.headers["x-queue"] == "inventory-events"
        assert letter.headers["x-first-failed-at"]


@pytest.mark.mode(11)
async def test_an_event_ahead_of_its_cause_is_retried_and_served_once_that_came(shop: Shop) -> None:
    product, order_id = new_id(), shop.foreign_order()
    before = await shop.metric("inventory", "sagashop_consumer_retries_total", kind="premature")
    reserve = body("RESERVE", orderId=order_id, productId=product, quantity=2)
    await shop.publish_older("inventory", reserve)

    async def is_retried() -> bool:
        return await shop.metric("inventory", "sagashop_consumer_retries_total", kind="premature") > before

    await until(is_retried, within=PATIENCE, what="is retried")
    await shop.publish_older("inventory-events", body("PRODUCT_CREATED", productId=product, initialStock=5))
    await until(lambda: all_known(shop, [product]), within=PATIENCE, what="all known")
    await shop.stock_becomes(product, (3, 2, 0))
    await shop.publish_older(
        "inventory", body("RELEASE", orderId=order_id, productId=product, quantity=2, reason="X")
    )
    await shop.stock_becomes(product, (5, 0, 0))
    for type_ in ('"INVENTORY_RESERVED"', '"INVENTORY_RELEASED"'):
        await shop.dead_letter("orders", type_, order_id)


@pytest.mark.mode(11)
async def test_an_event_whose_cause_never_comes_is_dead_after_three_retries(shop: Shop) -> None:
    """The delays of 10 and 60 seconds are skipped: what waits is put back by hand."""
    lamp = await shop.product(stock=5)
    order_id = shop.foreign_order()
    paid = {
        "totalPrice": "10.00",
        "currency": "USD",
        "products": [{"productId": lamp, "quantity": 1}],
        "email": "a@shop.example",
    }
    await shop.publish(
        "inventory-events",
        body("ORDER_PAID", orderId=order_id, **paid),
        message_id=f"paid-{order_id}",
        headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"},
    )
    for step in (2, 3):
        (waiting,) = await shop.take(f"inventory-events.retry.{step}")
        assert waiting.headers["x-attempts"] == step
        assert waiting.headers["x-error-kind"] == "premature"
        await shop.publish(
            "inventory-events", waiting.body, message_id=waiting.message_id, headers=waiting.headers
        )
    products = await told_of(shop, count=NEIGHBOURS)
    await until(lambda: all_known(shop, products), within=PATIENCE, what="all known")
    letter = await shop.dead_letter("inventory-events", order_id)
    assert letter.message_id == f"paid-{order_id}"
    assert letter.headers["x-attempts"] == 4
    assert letter.headers["traceparent"] == f"00-{'ab' * 16}-{'cd' * 8}-00"
    assert str(letter.headers["x-error"]) == f"{lamp} is paid before it is reserved"
    assert await shop.stock(lamp) == (5, 0, 0)


@pytest.mark.mode(11)
async def test_a_document_that_cannot_be_read_fails_its_own_messages_alone(shop: Shop) -> None:
    """A decision that raises: retried, in the hope that somebody mends the document, and then served."""
    poisoned, healthy = await shop.product(stock=5), await shop.product(stock=5)
    stock = shop.database("inventory")["stock"]
    await stock.update_one({"_id": poisoned}, {"$set": {"available": "many"}})
    before = await shop.metric("inventory", "sagashop_consumer_retries_total", kind="failed")
    waits = await shop.place({poisoned: 1})
    others = [await shop.place({healthy: 1}) for _ in range(5)]
    for order_id in others:
        await shop.settles(order_id, "PAID")

    async def is_retried() -> bool:
        return await shop.metric("inventory", "sagashop_consumer_retries_total", kind="failed") > before

    await until(is_retried, within=PATIENCE, what="is retried")
    assert (await shop.order(waits))["status"] == "PENDING"
    await stock.update_one({"_id": poisoned}, {"$set": {"available": 5}})
    await shop.settles(waits, "PAID")
    await shop.stock_becomes(poisoned, (4, 0, 1))


@pytest.mark.mode(7)
async def test_a_message_that_is_redriven_days_later_has_no_second_effect(shop: Shop) -> None:
    """Redis forgot it after a day; its homes know it forever; and should they not, the state itself does."""
    lamp = await shop.product(stock=5)
    async with shop.listening() as heard:
        order_id = await shop.place({lamp: 2})
        await shop.settles(order_id, "PAID")
        await all_heard(heard, order_id, QUEUES)
    everything = of_the_saga(heard, order_id)
    assert len(everything) == 5
    before = await everything_about(shop, order_id)
    await shop.flush_redis()
    await redrive(shop, everything)
    assert await everything_about(shop, order_id) == before
    await shop.flush_redis()
    for service, name in (("order", "orders"), ("inventory", "reservations"), ("payment", "payments")):
        await shop.database(service)[name].update_one({"_id": order_id}, {"$set": {"seen": []}})
    await redrive(shop, everything)
    assert await everything_about(shop, order_id) == before
    assert await shop.stock(lamp) == (3, 0, 2)
    assert ids(heard, "ORDER_PAID", order_id) == list({*ids(heard, "ORDER_PAID", order_id)})


QUEUES = {
    "INVENTORY_RESERVE_REQUEST": ["inventory"],
    "INVENTORY_RESERVED": ["orders"],
    "ORDER_CONFIRMED": ["STOCK_RESERVED"],
    "PAYMENT_SUCCEEDED": ["order-events"],
    "ORDER_PAID": ["inventory-events", "notifications"],
}


# And whether endpoints outside were, which comes a moment after the notification.
HOW_OFTEN_TOLD = frozenset({"version", "updatedAt", "seen", "untold"})


async def redrive(shop: Shop, messages: list[Any]) -> None:
    """As `sagactl` does it: with the id and the headers it has in the dead letters."""
    for message in messages:
        for queue in QUEUES[message.type]:
            headers = {**message.headers, "x-attempts": 0, "x-queue": queue}
            await shop.publish(queue, message.body, message_id=message.message_id, headers=headers)
    await shop.drained()


async def everything_about(shop: Shop, order_id: str) -> dict[str, Any]:
    """What the databases say, but for how often they were told."""
    found: dict[str, Any] = {"ledger": dict(await shop.ledger(order_id))}
    for service, name, by in (
        ("order", "orders", "_id"),
        ("inventory", "reservations", "_id"),
        ("payment", "payments", "_id"),
        ("notification", "notifications", "orderId"),
    ):
        documents = shop.database(service)[name].find({by: order_id})
        found[name] = [
            {key: value for key, value in document.items() if key not in HOW_OFTEN_TOLD}
            async for document in documents
        ]
    return found
