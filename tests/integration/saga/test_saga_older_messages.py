"""The older, per-product messages, published by hand exactly as an existing publisher sends them."""

import asyncio
import json
from typing import Any

import pytest

from sagactl.oncall.check import Known
from sagactl.polling import until
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import all_heard, ids
from tests.integration.saga.shop import Shop
from tests.unit.shared import older_messages as older

ERROR = "x-error"


def of(message: bytes, order_id: str, *products: str) -> bytes:
    """The message as it stands, about this order and these products."""
    message = message.replace(b"order_123", order_id.encode())
    for number, product in enumerate(products, start=1):
        message = message.replace(f"product_{number}".encode(), product.encode())
    return message


async def reservation(shop: Shop, order_id: str) -> dict[str, str]:
    """The states of its lines, by product."""
    found: dict[str, Any] = await shop.database("inventory")["reservations"].find_one({"_id": order_id}) or {}
    return {line["productId"]: line["state"] for line in found.get("lines", ())}


async def test_inventory_serves_an_order_that_only_another_system_knows(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = shop.foreign_order()
    reserve, release = of(older.RESERVE, order_id, lamp), of(older.RELEASE, order_id, lamp)
    async with shop.listening() as heard:
        await shop.publish_older("inventory", reserve)
        await shop.stock_becomes(lamp, (3, 2, 0))
        await shop.publish_older("inventory", release)
        await shop.stock_becomes(lamp, (5, 0, 0))
        types = ("INVENTORY_RESERVED", "INVENTORY_RELEASED")
        dead = [await shop.dead_letter("orders", f'"{type_}"', order_id) for type_ in types]
        await all_heard(heard, order_id, types)
    for letter in dead:
        assert letter.correlation_id == order_id
        assert letter.headers[ERROR] == "unknown order"
        assert letter.headers["x-error-kind"] == "rejected"
    assert len(ids(heard, "INVENTORY_RESERVED", order_id)) == 1
    assert len(ids(heard, "INVENTORY_RELEASED", order_id)) == 1


async def test_an_identical_older_message_gets_one_answer(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = shop.foreign_order()
    async with shop.listening() as heard:
        await shop.publish_older("inventory", *[of(older.RESERVE, order_id, lamp)] * 5)
        await shop.dead_letter("orders", order_id)
        await shop.publish_older("inventory", *[of(older.RESERVE, order_id, lamp)] * 5)
        await shop.publish_older("inventory", of(older.RELEASE, order_id, lamp))
        await shop.stock_becomes(lamp, (5, 0, 0))
        await shop.dead_letter("orders", order_id)
        await shop.drained()
        await all_heard(heard, order_id, ["INVENTORY_RESERVED"])
    assert len(ids(heard, "INVENTORY_RESERVED", order_id)) == 1
    assert await shop.stock(lamp) == (5, 0, 0)


async def test_an_older_reservation_that_cannot_be_served_is_refused_for_its_product(shop: Shop) -> None:
    none = await shop.product(stock=0)
    order_id = shop.foreign_order()
    await shop.publish_older("inventory", of(older.RESERVE, order_id, none))
    letter = await shop.dead_letter("orders", order_id)
    data = json.loads(letter.body)["data"]
    assert (data["productId"], data["reason"]) == (none, "Insufficient stock. Available: 0, Requested: 2")
    assert await shop.stock(none) == (0, 0, 0)


async def test_payment_charges_a_bare_older_message_once_and_exactly(shop: Shop) -> None:
    """Whether the mock gateway takes it depends on the id alone: some of several are taken."""
    orders = [shop.foreign_order() for _ in range(4)]
    messages = [of(older.STOCK_RESERVED, order_id) for order_id in orders]
    await shop.publish_older("STOCK_RESERVED", *messages, *messages)
    for order_id in orders:
        letter = await shop.dead_letter("order-events", order_id)
        body = json.loads(letter.body)
        assert letter.headers[ERROR] == "unknown order"
        assert body["type"] in {"PAYMENT_SUCCEEDED", "PAYMENT_FAILED"}
        assert (body["data"]["amount"], body["data"]["currency"]) == ("299.99", "USD")
        kept = await shop.ledger(order_id)
        outcome = "captured" if body["type"] == "PAYMENT_SUCCEEDED" else "declined"
        assert kept == {outcome: 1}


async def test_older_payment_answers_about_unknown_orders_are_dead_lettered(shop: Shop) -> None:
    order_id = shop.foreign_order()
    for message in (older.PAYMENT_SUCCEEDED, older.PAYMENT_FAILED):
        await shop.publish_older("order-events", of(message, order_id))
        letter = await shop.dead_letter("order-events", order_id)
        assert letter.body == of(message, order_id)
        assert letter.headers[ERROR] == "unknown order"


async def test_an_older_failed_payment_asks_for_compensation_whatever_the_setting(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = shop.foreign_order()
    await shop.publish_older("inventory", of(older.RESERVE, order_id, lamp))
    await shop.stock_becomes(lamp, (3, 2, 0))
    await shop.publish_older("inventory-events", of(older.PAYMENT_FAILED_COMPENSATION, order_id, lamp))
    await shop.stock_becomes(lamp, (5, 0, 0))
    for type_ in ('"INVENTORY_RESERVED"', '"INVENTORY_RELEASED"'):
        assert (await shop.dead_letter("orders", type_, order_id)).correlation_id == order_id


async def test_our_order_takes_older_answers_product_by_product(shop: Shop) -> None:
    """The answers come from elsewhere while our inventory stands still, and finds the same afterwards."""
    lamp, cup = await shop.product(stock=5), await shop.product(stock=5)
    async with shop.frozen("inventory"):
        order_id = await shop.place({lamp: 2, cup: 2})
        await shop.publish_older("orders", of(older.RESERVED, order_id, lamp))
        await shop.becomes(order_id, lambda order: states(order) == {lamp: "HELD", cup: "REQUESTED"})
        assert (await shop.order(order_id))["status"] == "PENDING"
        await shop.publish_older("orders", of(older.RESERVED, order_id, cup))
        await shop.is_at(order_id, "PAID")
    await shop.settles(order_id, "PAID")
    await shop.stock_becomes(lamp, (3, 0, 2))
    await shop.stock_becomes(cup, (3, 0, 2))


@pytest.mark.mode(1)
async def test_one_older_refusal_cancels_our_order_and_releases_the_rest_in_any_order(shop: Shop) -> None:
    lamp, cup = await shop.product(stock=5), await shop.product(stock=5)
    async with shop.frozen("inventory"):
        first = await shop.place({lamp: 2, cup: 2})
        await shop.publish_older("orders", of(older.RESERVE_FAILED, first, cup))
        await shop.is_at(first, "CANCELLED")
        await shop.publish_older("orders", of(older.RESERVED, first, lamp))
        second = await shop.place({lamp: 2, cup: 2})
        await shop.publish_older("orders", of(older.RESERVED, second, lamp))
        await shop.becomes(second, lambda order: states(order)[lamp] == "HELD")
        await shop.publish_older("orders", of(older.RESERVE_FAILED, second, cup))
        await shop.is_at(second, "CANCELLED")
    for order_id in (first, second):
        await shop.settles(order_id, "CANCELLED")
        assert await shop.ledger(order_id) == {}
    await shop.stock_becomes(lamp, (5, 0, 0))
    await shop.stock_becomes(cup, (5, 0, 0))


async def test_older_payment_answers_are_taken_for_our_orders(shop: Shop) -> None:
    """99.99 twice and 100.01: 299.99, as the older message says; as a JSON number, read exactly."""
    lamp, cup = await shop.product(stock=5, price="99.99"), await shop.product(stock=5, price="100.01")
    async with shop.frozen("payment"):
        failed = await shop.place({lamp: 2, cup: 1}, card="tok_declined")
        await shop.is_at(failed, "CONFIRMED")
        await shop.publish_older("order-events", of(older.PAYMENT_FAILED, failed))
        order = await shop.settles(failed, "CANCELLED")
        assert order["cancellationDetail"] == "Mock gateway declined the payment"
    await shop.stock_becomes(lamp, (5, 0, 0))


async def test_a_payment_of_another_amount_never_makes_an_order_paid(shop: Shop) -> None:
    lamp = await shop.product(stock=5, price="300.00")
    async with shop.frozen("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        shop.house.known.add(Known(order_id))
        await shop.publish_older("order-events", of(older.PAYMENT_SUCCEEDED, order_id))

        async def marked() -> bool:
            return order_id in await attention(shop)

        await until(marked, within=PATIENCE, what="marked")
        assert (await shop.order(order_id))["status"] == "CONFIRMED"
    await shop.settles(order_id, "PAID")


async def attention(shop: Shop) -> list[str]:
    """The orders that a human should look at."""
    url = f"{shop.stack.services['order']}/internal/orders/attention?limit=1000"
    answer = await shop.http.get(url, headers=await shop.headers("admin"))
    return [each["orderId"] for each in answer.json()["orders"]]


@pytest.mark.mode(20)
async def test_lines_asked_for_in_both_forms_are_held_or_refused_once(shop: Shop) -> None:
    lamp, cup, none = [await shop.product(stock=stock) for stock in (20, 20, 0)]
    quick = [await shop.place({lamp: 2, cup: 2}) for _ in range(3)]
    await shop.publish_older("inventory", *[of(older.RESERVE, order_id, lamp) for order_id in quick])
    async with shop.frozen("inventory"):
        slow = await shop.place({lamp: 2, cup: 2})
        refused = await shop.place({lamp: 2, none: 2})
        asked = [(slow, cup), (refused, none), (slow, lamp), (refused, lamp)]
        await shop.publish_older("inventory", *[of(older.RESERVE, *each) for each in asked])
    await asyncio.gather(*(shop.settles(order_id, "PAID") for order_id in (*quick, slow)))
    await shop.settles(refused, "CANCELLED")
    await shop.drained()
    await shop.stock_becomes(lamp, (12, 0, 8))
    await shop.stock_becomes(cup, (12, 0, 8))
    assert set((await reservation(shop, refused)).values()) <= {"REFUSED", "RELEASED"}


def states(order: dict[str, Any]) -> dict[str, str]:
    return {line["productId"]: line["state"] for line in order["products"]}
