"""What a person on call does with an order, or with stock: planned, agreed to, done, and on the trail."""

from uuid import uuid4

from sagactl.shop import Json
from tests.integration.saga.commands import sagactl, said, told
from tests.integration.saga.shop import Shop, new_id

AGREED = ("--yes", "--reason")


async def trail(shop: Shop, subject: str) -> set[tuple[str, str, str]]:
    entries = (await told(shop, "audit", "--subject", subject))["items"]
    return {(each["service"], each["action"], str(each.get("reason") or "")) for each in entries}


async def planned(shop: Shop, *command: str) -> Json:
    return await told(shop, *command, "--dry-run", exits=3)


async def test_an_order_that_is_not_paid_is_cancelled_and_its_stock_comes_back(shop: Shop) -> None:
    lamp, why = await shop.product(stock=5), new_id()
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 2})
        await shop.is_at(order_id, "CONFIRMED")
        stuck = ("orders", "cancel", order_id)
        plan = await planned(shop, *stuck)
        assert (plan["status"], plan["allowed"], plan["done"]) == ("CONFIRMED", True, False)
        unasked = await sagactl(shop, *stuck, "--reason", why)
        assert (unasked.exit_code, "give --yes" in unasked.output) == (2, True)
        await shop.is_at(order_id, "CONFIRMED")
        assert "order is CANCELLED" in await said(shop, *stuck, *AGREED, why)
    await shop.settles(order_id, "CANCELLED")
    assert {
        ("sagactl", "order.cancelled", why),
        ("order", "order.cancelled", ""),
    } <= await trail(shop, order_id)
    again = await told(shop, *stuck, *AGREED, why, exits=1)
    assert (again["allowed"], again["says"]) == (False, "the order is CANCELLED already")


async def test_an_order_that_got_stuck_is_compensated_by_hand(shop: Shop) -> None:
    lamp, why = await shop.product(stock=5), new_id()
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        open_ = await told(shop, "check", "--order", order_id, exits=3)
        assert {each["subject"] for each in open_["findings"]} == {order_id}
        done = await told(shop, "orders", "compensate", order_id, *AGREED, why)
        assert (done["status"], done["done"]) == ("CANCELLED", True)
    order = await shop.settles(order_id, "CANCELLED")
    assert order["cancellationReason"] == "SAGA_TIMEOUT"
    assert ("order", "order.compensated", why) in await trail(shop, order_id)


async def test_a_paid_order_is_refunded_by_line_and_then_what_is_left(shop: Shop) -> None:
    lamp, cup = await shop.product(stock=5, price="9.99"), await shop.product(stock=5, price="100.01")
    order_id = await shop.place({lamp: 3, cup: 1})
    await shop.settles(order_id, "PAID")
    assert (await told(shop, "check", "--order", order_id, "--invariant", "I3"))["verdict"] == "holds"
    assert (await told(shop, "orders", "cancel", order_id, *AGREED, "late", exits=1))["allowed"] is False
    refund = ("orders", "refund", order_id)
    more = await told(shop, *refund, "--line", f"{cup}=2", *AGREED, "broken", exits=1)
    assert more["allowed"] is False
    some = (*refund, "--line", f"{lamp}=1", "--restock", "none")
    assert ((plan := await planned(shop, *some))["amount"], plan["currency"]) == ("9.99", "USD")
    done = await told(shop, *some, *AGREED, "broken")
    assert (done["lines"], done["done"]) == ([{"product": lamp, "quantity": 1, "restock": "none"}], True)
    await shop.becomes(order_id, lambda order: order["refunds"][0]["state"] == "DONE")
    left = await planned(shop, *refund)
    assert left["amount"] == "119.99"
    assert {(each["product"], each["quantity"]) for each in left["lines"]} == {(lamp, 2), (cup, 1)}
    await told(shop, *refund, *AGREED, "all of it")
    await shop.settles(order_id, "REFUNDED")
    assert ("sagactl", "order.refunded", "all of it") in await trail(shop, order_id)
    stock = await told(shop, "stock", "show", lamp)
    # One stayed away.
    assert (stock["stock"]["available"], stock["stock"]["sold"]) == (4, 1)


async def test_stock_that_came_in_is_counted_once_and_on_the_trail(shop: Shop) -> None:
    lamp, why = await shop.product(stock=5), new_id()
    restock = ("stock", "restock", lamp, "4")
    assert (await planned(shop, *restock))["says"] == "5 -> 9 available"
    done = await told(shop, *restock, *AGREED, why)
    assert (done["available"], done["done"]) == (9, True)
    history = (await told(shop, "stock", "history", lamp))["items"]
    assert [(each["kind"], each["delta"]) for each in history] == [("restock", 4)]
    assert {("sagactl", "stock.restocked", why), ("inventory", "stock.restocked", "")} <= await trail(
        shop, lamp
    )
    unknown = await sagactl(shop, "stock", "restock", new_id(), "1", *AGREED, why)
    assert (unknown.exit_code, "inventory knows no product" in unknown.output) == (1, True)


async def test_an_order_that_is_open_for_too_long_is_listed(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        assert order_id not in (await said(shop, "stuck", "list", "-o", "name")).split()
        ago = {"$subtract": ["$$NOW", 20 * 60_000]}
        orders = shop.database("order")["orders"]
        await orders.update_one({"_id": order_id}, [{"$set": {"stateSince": ago}}])
        listed = (await told(shop, "stuck", "list"))["items"]
        assert {each["order"]: each["sweep"] for each in listed}[order_id] == "compensates it"
    await shop.settles(order_id, "PAID")


async def test_of_an_order_that_nobody_knows_nothing_is_done(shop: Shop) -> None:
    for command in (("orders", "cancel"), ("orders", "refund"), ("orders", "compensate")):
        result = await sagactl(shop, *command, new_id(), *AGREED, "why")
        assert (result.exit_code, "knows no order" in result.output) == (1, True)
    unknown = await sagactl(shop, "check", "--order", new_id())
    assert (unknown.exit_code, "no service knows an order" in unknown.output) == (1, True)


async def test_dead_letters_are_told_by_cause_and_what_redriving_them_would_do(shop: Shop) -> None:
    lamp, why = await shop.product(stock=5), f"{uuid4()} is away"
    queue = "STOCK_RESERVED"
    async with shop.away("payment"):
        orders = [await shop.place({lamp: 1}) for _ in range(2)]
        for order_id in orders:
            await shop.is_at(order_id, "CONFIRMED")
        for charge in await shop.take(queue, len(orders)):
            cause = {"x-error": why, "x-error-kind": "failed", "x-attempts": 4}
            await shop.publish(
                f"{queue}.dlq", charge.body, message_id=charge.message_id, headers=charge.headers | cause
            )
        listed = (await told(shop, "letters", "list", "--queue", queue))["items"]
        ids = [each["id"] for each in listed if each["reason"] == why]
        groups = (await told(shop, "letters", "groups", "--queue", queue))["items"]
        (found,) = [each for each in groups if each["reason"] == "… is away"]
        assert (found["letters"], found["kind"]) == (2, "failed")
        chosen = [option for id_ in ids for option in ("--id", id_)]
        previews = (await told(shop, "letters", "preview", queue, *chosen))["items"]
        assert {each["outcome"] for each in previews} == {"asksTheGateway"}
        assert {each["order"] for each in previews} == {*orders}
        unknown = await sagactl(shop, "letters", "preview", queue, "--id", new_id())
        assert (unknown.exit_code, "no dead letter" in unknown.output) == (1, True)
    await told(shop, "check", "--order", orders[0], exits=1)
    assert "2 dead letters redriven" in await said(shop, "letters", "redrive", queue, *chosen)
    for order_id in orders:
        await shop.settles(order_id, "PAID")
