"""Servers freeze, die and forget, in mid-work; everything that was accepted ends as it should."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from sagactl.polling import until
from services.shared.contract.events import CORE
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import HAPPY, all_heard, body, ids
from tests.integration.saga.shop import Shop, new_id

FREEZE_SECONDS = 25.0
OUTAGE_SECONDS = 8.0
WAITING = 500
CUSTOMERS = 8


@asynccontextmanager
async def customers(shop: Shop, product: str) -> AsyncIterator[list[str]]:
    """They order meanwhile, and get to know which of their orders were accepted."""
    accepted: list[str] = []
    closed = asyncio.Event()

    async def customer(number: int) -> None:
        while not closed.is_set():
            try:
                answer = await shop.try_to_place({product: 1}, who=f"customer-{number % 2}")
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                accepted.append(answer.json()["orderId"])
            else:
                assert answer.status_code in {502, 503, 504}, answer.text
            await asyncio.sleep(0.1)

    for number in range(2):
        await shop.headers(f"customer-{number}")
    tasks = [asyncio.create_task(customer(number)) for number in range(CUSTOMERS)]
    try:
        yield accepted
    finally:
        closed.set()
        await asyncio.gather(*tasks)


async def all_are_paid(shop: Shop, accepted: list[str]) -> None:
    """By the databases: one query for all."""
    orders, captures = shop.database("order")["orders"], shop.database("payment")["gateway_ledger"]

    async def paid() -> bool:
        return await orders.count_documents({"_id": {"$in": accepted}, "status": "PAID"}) == len(accepted)

    await until(paid, within=PATIENCE, what="paid")
    charged = Counter([each["orderId"] async for each in captures.find({"orderId": {"$in": accepted}})])
    assert charged == dict.fromkeys(accepted, 1)


@pytest.mark.mode(16)
async def test_services_that_are_killed_under_load_lose_no_accepted_order(shop: Shop) -> None:
    lamp = await shop.product(stock=5000)
    killed = ("order", "inventory-2", "payment")
    async with customers(shop, lamp) as accepted:
        await until(lambda: grown(accepted, CUSTOMERS), within=PATIENCE, what="grown")
        for name in killed:
            await shop.stack.kill(name)
        await asyncio.gather(*(shop.stack.start(name) for name in killed))
        wanted = len(accepted) + CUSTOMERS
        await until(lambda: grown(accepted, wanted), within=PATIENCE, what="grown")
    await all_are_paid(shop, accepted)


async def grown(accepted: list[str], beyond: int) -> bool:
    return len(accepted) > beyond


@pytest.mark.mode(9)
async def test_a_broker_that_stands_still_for_25_seconds_gets_every_event_once(shop: Shop) -> None:
    lamp = await shop.product(stock=50)
    async with shop.listening() as heard:
        before = [await shop.place({lamp: 1}) for _ in range(5)]
        shop.stack.pause("rabbitmq")
        during = await asyncio.gather(*(shop.place({lamp: 1}) for _ in range(10)))
        await asyncio.sleep(FREEZE_SECONDS)
        shop.stack.resume("rabbitmq")
        await all_are_paid(shop, [*before, *during])
        await shop.stock_becomes(lamp, (35, 0, 15))
        for order_id in (*before, *during):
            await all_heard(heard, order_id, HAPPY)
    for order_id in (*before, *during):
        assert {type_: len(ids(heard, type_, order_id)) for type_ in HAPPY} == dict.fromkeys(HAPPY, 1)


@pytest.mark.mode(15)
async def test_a_broker_that_is_killed_and_started_again_loses_nothing(shop: Shop) -> None:
    lamp = await shop.product(stock=5000)
    async with customers(shop, lamp) as accepted:
        await until(lambda: grown(accepted, 0), within=PATIENCE, what="grown")
        await shop.stack.kill("rabbitmq")
        wanted = len(accepted) + CUSTOMERS  # the outbox takes orders meanwhile
        await until(lambda: grown(accepted, wanted), within=PATIENCE, what="grown")

        async def says() -> tuple[int, str]:
            answer = await shop.http.get(f"{shop.stack.services['order']}/readyz")
            return answer.status_code, answer.text.partition(":")[0]

        await until(says, lambda found: found == (200, "degraded"), within=PATIENCE, what="degraded")
        await shop.stack.start("rabbitmq")
        await until(lambda: all_consume(shop), within=PATIENCE, what="all consume")
    await all_are_paid(shop, accepted)
    await shop.stock_becomes(lamp, (5000 - len(accepted), 0, len(accepted)))


async def all_consume(shop: Shop) -> bool:
    up = [await shop.metric(name, "sagashop_broker_connected") for name in CORE]
    return up == [len(shop.replicas(name)) for name in CORE]


@pytest.mark.mode(15)
async def test_an_event_without_a_binding_stays_in_the_outbox_until_the_binding_is_back(shop: Shop) -> None:
    """Closed connections, here by an operator, make the services declare what they need at once."""
    lamp = await shop.product(stock=5)
    type_ = "INVENTORY_RESERVE_REQUEST"
    await shop.management("DELETE", f"bindings/%2F/e/saga.events/q/inventory/{type_}")
    failures = await shop.metric("order", "sagashop_publish_failures_total", type=type_, reason="no queue")
    order_id = await shop.place({lamp: 2})

    async def noticed() -> bool:
        now = await shop.metric("order", "sagashop_publish_failures_total", type=type_, reason="no queue")
        return now > failures

    await until(noticed, within=PATIENCE, what="noticed")
    assert (await shop.order(order_id))["status"] == "PENDING"
    assert await shop.database("order")["outbox"].count_documents({"events.subject": order_id}) == 1
    await shop.lose_broker()
    await shop.settles(order_id, "PAID")
    await until(lambda: all_consume(shop), within=PATIENCE, what="all consume")


@pytest.mark.mode(10)
async def test_messages_wait_for_a_database_that_is_killed_and_burn_no_attempts(shop: Shop) -> None:
    lamp = await shop.product(stock=5000)
    products = [new_id() for _ in range(WAITING)]
    retries = await shop.metric("inventory", "sagashop_consumer_retries_total")
    async with customers(shop, lamp) as accepted:
        await until(lambda: grown(accepted, CUSTOMERS), within=PATIENCE, what="grown")
        await shop.stack.kill("mongodb")
        created = [body("PRODUCT_CREATED", productId=product, initialStock=1) for product in products]
        await shop.publish("inventory-events", *created)
        assert await busy(shop, OUTAGE_SECONDS) < 0.5
        ready = await shop.http.get(f"{shop.stack.services['inventory']}/readyz")
        assert ready.status_code == 503
        await shop.stack.start("mongodb")
    stock = shop.database("inventory")["stock"]

    async def all_known() -> bool:
        return await stock.count_documents({"_id": {"$in": products}}) == WAITING

    await until(all_known, within=PATIENCE, what="all known")
    await all_are_paid(shop, accepted)
    # A few more were made than answered: their answers were lost with the database.
    made = await shop.database("order")["orders"].count_documents({"lines.productId": lamp})
    assert len(accepted) <= made <= len(accepted) + CUSTOMERS
    await shop.stock_becomes(lamp, (5000 - made, 0, made))
    assert await shop.metric("inventory", "sagashop_consumer_retries_total") == retries


@pytest.mark.mode(16)
async def test_a_primary_that_steps_down_under_load_loses_no_accepted_order(shop: Shop) -> None:
    lamp = await shop.product(stock=5000)
    async with customers(shop, lamp) as accepted:
        await until(lambda: grown(accepted, CUSTOMERS), within=PATIENCE, what="grown")
        step_down = {"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 0, "force": True}
        await shop.database("admin").command(step_down)
        wanted = len(accepted) + CUSTOMERS
        await until(lambda: grown(accepted, wanted), within=PATIENCE, what="grown")
    await all_are_paid(shop, accepted)


async def busy(shop: Shop, seconds: float) -> float:
    """The share of a CPU that each replica of inventory takes meanwhile, at most."""
    processes = [psutil.Process(shop.stack.processes.pid(name)) for name in shop.replicas("inventory")]

    def used(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before = [used(process) for process in processes]
    await asyncio.sleep(seconds)
    return max(used(each) - start for each, start in zip(processes, before, strict=True)) / seconds


@pytest.mark.mode(17)
async def test_without_redis_everything_is_served_and_an_old_redis_changes_nothing(shop: Shop) -> None:
    lamp = await shop.product(stock=100)
    first = await shop.place({lamp: 1})
    await shop.settles(first, "PAID")
    await shop.stack.kill("redis")
    orders = [await shop.place({lamp: 1}) for _ in range(3)]
    for order_id in orders:
        await shop.settles(order_id, "PAID")
    await shop.stack.start("redis")
    await shop.flush_redis()
    orders += [await shop.place({lamp: 1}) for _ in range(3)]
    await pretend_all_was_handled(shop)
    orders += [await shop.place({lamp: 1}) for _ in range(3)]
    for order_id in orders:
        await shop.settles(order_id, "PAID")
    await shop.stock_becomes(lamp, (90, 0, 10))


async def pretend_all_was_handled(shop: Shop) -> None:
    """As a Redis from another time would: it claims to know ids that no home has seen."""
    lamp = await shop.product(stock=1)
    async with shop.listening() as heard, shop.frozen("inventory"):
        order_id = await shop.place({lamp: 1})

        async def published() -> bool:
            return bool(ids(heard, "INVENTORY_RESERVE_REQUEST", order_id))

        await until(published, within=PATIENCE, what="published")
        (request,) = ids(heard, "INVENTORY_RESERVE_REQUEST", order_id)
        await shop.remember_in_redis(f"processed:inventory:{request}")
    await shop.settles(order_id, "PAID")
