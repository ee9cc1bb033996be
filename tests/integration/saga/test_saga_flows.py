"""The flows of an order, end to end, over HTTP through the gateway."""

import asyncio
import uuid

import pytest

from sagactl.polling import until
from services.shared.contract.events import CORE
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import HAPPY, all_heard, ids, of_the_saga
from tests.integration.saga.shop import Shop


async def test_a_paid_order_has_sold_its_stock_and_charged_its_total_once(shop: Shop) -> None:
    lamp, cup = await shop.product(stock=5, price="99.99"), await shop.product(stock=5, price="100.01")
    order_id = await shop.place({lamp: 2, cup: 1})
    order = await shop.settles(order_id, "PAID")
    assert (order["totalPrice"], order["currency"]) == ("299.99", "USD")
    assert {line["state"] for line in order["products"]} == {"SOLD"}
    await shop.stock_becomes(lamp, (3, 0, 2))
    await shop.stock_becomes(cup, (4, 0, 1))
    assert await shop.ledger(order_id) == {"captured": 1}
    assert await shop.events_of(order_id) == ["ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]


async def test_a_payment_token_is_in_no_database_once_it_was_used(shop: Shop) -> None:
    """However the charge ends: this token does not say."""
    lamp, token = await shop.product(), f"tok_{uuid.uuid4().hex}"
    async with shop.listening() as heard:
        order_id = await shop.place({lamp: 1}, card=token)
        await shop.becomes(order_id, lambda order: bool(order["settled"]))
        await shop.all_heard_of_the_end(order_id)
        await all_heard(heard, order_id, ["ORDER_CONFIRMED"])
    handed_on = [message.type for message in heard if token.encode() in message.body]
    assert handed_on == ["ORDER_CONFIRMED"]
    await shop.all_is_published()
    for service in CORE:
        database = shop.database(service)
        for name in await database.list_collection_names():
            kept = [found async for found in database[name].find() if token in str(found)]
            assert kept == [], f"{service}.{name}"


async def test_an_order_publishes_five_messages_however_many_lines_it_has(shop: Shop) -> None:
    products = [await shop.product() for _ in range(3)]
    async with shop.listening() as heard:
        order_id = await shop.place(dict.fromkeys(products, 1))
        await shop.settles(order_id, "PAID")
        await all_heard(heard, order_id, HAPPY)
    said = [message.type for message in of_the_saga(heard, order_id)]
    assert sorted(map(str, said)) == sorted(HAPPY)


async def test_what_the_bank_asks_its_customer_about_first_is_paid_once_it_has_decided(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 2}, card="tok_action")
    order = await shop.settles(order_id, "PAID")
    assert order.get("nextAction") is None
    assert await shop.events_of(order_id) == [
        "ORDER_CREATED",
        "INVENTORY_RESERVED",
        "PAYMENT_PENDING",
        "PAYMENT_SUCCEEDED",
    ]
    await shop.stock_becomes(lamp, (3, 0, 2))
    assert await shop.ledger(order_id) == {"captured": 1}


@pytest.mark.mode(1)
async def test_an_order_of_what_is_out_of_stock_is_cancelled_and_holds_nothing(shop: Shop) -> None:
    lamp, none = await shop.product(stock=5), await shop.product(stock=0)
    order_id = await shop.place({lamp: 2, none: 2})
    order = await shop.settles(order_id, "CANCELLED")
    assert order["cancellationReason"] == "OUT_OF_STOCK"
    assert order["cancellationDetail"] == "Insufficient stock. Available: 0, Requested: 2"
    await shop.stock_becomes(lamp, (5, 0, 0))
    assert await shop.ledger(order_id) == {}


@pytest.mark.mode(1)
async def test_a_partial_order_sells_and_charges_exactly_what_is_there(shop: Shop) -> None:
    lamp, none = await shop.product(stock=5, price="7.00"), await shop.product(stock=1, price="9.00")
    order_id = await shop.place({lamp: 2, none: 2}, fulfilment="partial")
    order = await shop.settles(order_id, "PAID")
    assert order["totalPrice"] == "14.00"
    await shop.stock_becomes(lamp, (3, 0, 2))
    await shop.stock_becomes(none, (1, 0, 0))


async def test_a_declined_payment_cancels_the_order_and_gives_the_stock_back(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.listening() as heard:
        order_id = await shop.place({lamp: 2}, card="tok_declined")
        order = await shop.settles(order_id, "CANCELLED")
        assert order["cancellationReason"] == "PAYMENT_FAILED"
        assert order["compensation"] == {"stock": "done", "refund": "none"}
        await shop.stock_becomes(lamp, (5, 0, 0))
        await all_heard(heard, order_id, ["INVENTORY_RELEASE_REQUEST"])
    assert len(ids(heard, "INVENTORY_RELEASE_REQUEST", order_id)) == 1
    assert await shop.ledger(order_id) == {"declined": 1}


async def test_auto_compensation_needs_no_order_service_and_gives_the_stock_back_once(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.configured("inventory", COMPENSATION_AUTO="true"), shop.listening() as heard:
        together = [await shop.place({lamp: 1}, card="tok_declined") for _ in range(3)]
        await asyncio.gather(*(shop.settles(order_id, "CANCELLED") for order_id in together))
        async with shop.frozen("payment"):
            alone = await shop.place({lamp: 2}, card="tok_declined")
            await shop.is_at(alone, "CONFIRMED")
            for name in shop.replicas("order"):
                shop.stack.pause(name)
        try:
            await shop.stock_becomes(lamp, (5, 0, 0))
        finally:
            for name in shop.replicas("order"):
                shop.stack.resume(name)
        await shop.settles(alone, "CANCELLED")

        async def both_paths_answered() -> bool:
            return all(len(ids(heard, "INVENTORY_RELEASED", each)) == 2 for each in (*together, alone))

        await until(both_paths_answered, within=PATIENCE, what="both paths answered")
    await shop.stock_becomes(lamp, (5, 0, 0))


async def test_a_customer_may_cancel_until_the_order_is_paid(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.frozen("payment"):
        order_id = await shop.place({lamp: 2})
        await shop.is_at(order_id, "CONFIRMED")
        answers = [await shop.cancel(order_id) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        order = await shop.settles(order_id, "CANCELLED")
        assert order["cancellationReason"] == "CUSTOMER_CANCELLED"
        await shop.stock_becomes(lamp, (5, 0, 0))
    paid = await shop.place({lamp: 1})
    await shop.settles(paid, "PAID")
    refused = await shop.cancel(paid)
    assert refused.status_code == 409
    assert "refund" in refused.json()["detail"]
    await shop.settles(order_id, "CANCELLED")
    await shop.money_is_back(order_id)


async def test_an_order_that_is_cancelled_while_it_is_pending_gives_back_what_is_reserved_late(
    shop: Shop,
) -> None:
    lamp = await shop.product(stock=5)
    async with shop.frozen("inventory"):
        order_id = await shop.place({lamp: 2})
        assert (await shop.cancel(order_id)).status_code == 202
        order = await shop.order(order_id)
        assert (order["status"], order["settled"]) == ("CANCELLED", False)
        assert order["compensation"]["stock"] == "pending"
    await shop.settles(order_id, "CANCELLED")
    await shop.stock_becomes(lamp, (5, 0, 0))
    assert await shop.ledger(order_id) == {}


@pytest.mark.mode(3)
async def test_a_payment_that_comes_after_the_timeout_is_refunded_exactly_once(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.listening() as heard:
        order_id = await shop.place({lamp: 2}, card="tok_slow")
        await shop.is_at(order_id, "CONFIRMED")
        assert await shop.compensate(order_id) == "compensated"
        assert await shop.compensate(order_id) == "already"
        assert (await shop.is_at(order_id, "CANCELLED"))["cancellationReason"] == "SAGA_TIMEOUT"
        await shop.becomes(order_id, lambda order: order["compensation"]["refund"] == "done")
        await shop.settles(order_id, "CANCELLED")
        await all_heard(heard, order_id, ["PAYMENT_REFUND"])
    assert len(ids(heard, "PAYMENT_REFUND", order_id)) == 1
    assert await shop.ledger(order_id) == {"captured": 1, "refunded": 1}
    await shop.stock_becomes(lamp, (5, 0, 0))


@pytest.mark.mode(4)
async def test_a_timeout_and_a_payment_at_the_same_instant_never_both_win(shop: Shop) -> None:
    lamp = await shop.product(stock=40)
    orders = await asyncio.gather(*(shop.place({lamp: 1}) for _ in range(20)))

    async def race(order_id: str) -> list[str]:
        status = (await shop.order(order_id))["status"]
        replicas = shop.replicas("order")
        return await asyncio.gather(
            *(shop.compensate(order_id, status=status, at=name) for name in replicas)
            if status in {"PENDING", "CONFIRMED"}
            else ()
        )

    outcomes = await asyncio.gather(*(race(order_id) for order_id in orders))
    assert all(each.count("compensated") <= 1 for each in outcomes)
    settled = [await shop.becomes(order_id, lambda order: bool(order["settled"])) for order_id in orders]
    paid = 0
    for order in settled:
        if order["status"] == "PAID":
            paid += 1
            assert await shop.ledger(order["orderId"]) == {"captured": 1}
        else:
            assert order["status"] == "CANCELLED"
            await shop.money_is_back(order["orderId"])
    await shop.stock_becomes(lamp, (40 - paid, 0, paid))


async def test_operators_do_not_touch_what_moved_on(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    assert await shop.compensate(order_id) == "notApplicable"
    async with shop.frozen("payment"):
        fresh = await shop.place({lamp: 1})
        await shop.is_at(fresh, "CONFIRMED")
        assert await shop.compensate(fresh, older_than=60) == "notApplicable"
    await shop.settles(fresh, "PAID")


async def test_a_refund_gives_the_money_back_and_then_the_stock(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 2})
    await shop.settles(order_id, "PAID")
    url = f"/api/orders/{order_id}/refund"
    headers = await shop.headers("alice")
    answers = await asyncio.gather(
        *(shop.http.post(url, json={"reason": "broken"}, headers=headers) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {202}
    await shop.settles(order_id, "REFUNDED")
    assert await shop.ledger(order_id) == {"captured": 1, "refunded": 1}
    await shop.stock_becomes(lamp, (5, 0, 0))


async def test_an_idempotency_key_places_one_order(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    headers = await shop.headers("alice") | {"Idempotency-Key": lamp}
    wanted = {"ids": [lamp], "quantities": [1], "paymentToken": "tok_success"}
    answers = await asyncio.gather(
        *(shop.http.post("/api/orders", json=wanted, headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {201}
    (order_id,) = {answer.json()["orderId"] for answer in answers}
    await shop.settles(order_id, "PAID")
    other = await shop.http.post("/api/orders", json=wanted | {"quantities": [2]}, headers=headers)
    assert other.status_code == 422
    await shop.stock_becomes(lamp, (4, 0, 1))


@pytest.mark.mode(19)
async def test_a_payment_gateway_that_is_down_is_asked_until_it_answers(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    waits, cancelled = (
        await shop.place({lamp: 1}, card="tok_error"),
        await shop.place({lamp: 1}, card="tok_error"),
    )
    await shop.is_at(cancelled, "CONFIRMED")
    await asyncio.sleep(0.5)
    assert await shop.compensate(cancelled) == "compensated"
    await shop.settles(waits, "PAID")
    await shop.becomes(cancelled, lambda order: order["compensation"]["refund"] in {"done", "none"})
    assert await shop.ledger(waits) == {"captured": 1}
    await shop.money_is_back(cancelled)
    await shop.stock_becomes(lamp, (4, 0, 1))
