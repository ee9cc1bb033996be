"""What a person on call sees of the running shop, also of one whose broker is away."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from typing import Final

from dev.servers import RabbitMQ
from dev.survive.scenarios.broker import MEMORY_ALARM
from sagactl.oncall.status.standing import LATELY
from sagactl.polling import until
from sagactl.shop import Json
from services.order import queries
from services.shared.database.store import Store
from tests.forms import document
from tests.integration.saga.commands import sagactl, told, where
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop, new_id
from tests.integration.saga.test_saga_refunds import asked, line

PAID: Final = ["ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]


async def status(shop: Shop) -> Json:
    """Orders that other tests left marked are wrong, whatever else is."""
    result = await sagactl(shop, "status", "-o", "json")
    found = document(result.stdout)
    unseen = 4 if found["unseen"] else 0
    assert result.exit_code == (1 if found["problems"] else unseen), result.output
    return found


def dead_letters(found: Json) -> dict[str, int]:
    return {each["queue"]: each["dead"] for each in found["queues"]}


async def test_without_a_broker_the_rest_is_told_and_after_it_no_dead_letter_that_is_none(shop: Shop) -> None:
    """Its statistics come seconds after it: what they do not tell yet is not made up."""
    lamp = await shop.product(stock=5)
    before = dead_letters(await status(shop))
    await shop.stack.kill("rabbitmq")
    order_id = await shop.place({lamp: 1})
    found = await status(shop)
    of_broker = {"queues", "bindings", "nodes of the broker"}
    assert (found["queues"], {each["part"] for each in found["unseen"]}) == (None, of_broker)
    assert "does not answer" in found["unseen"][0]["why"]
    assert {each["of"]: each["oldest"] for each in found["orders"]} == {"PENDING": order_id}
    assert "order" in {each["of"] for each in found["outboxes"]}
    screen = (await sagactl(shop, "status")).stdout
    assert "queues, bindings, nodes of the broker cannot be seen: " in screen
    assert "open orders   PENDING 1 " in screen
    waiting = await told(shop, "outbox", "list", "--service", "order")
    assert ("INVENTORY_RESERVE_REQUEST", order_id) in {
        (each["type"], each["subject"]) for each in waiting["items"]
    }
    assert (await sagactl(shop, "queues", "list")).exit_code == 4
    await shop.stack.start("rabbitmq")

    async def is_well() -> bool:
        found = await status(shop)
        if found["queues"] is None:
            return False
        assert {name: dead for name, dead in dead_letters(found).items() if dead > before[name]} == {}
        return all(each["consumers"] for each in found["queues"])

    await until(is_well, within=PATIENCE, what="consumers of all queues", every=0)
    await shop.settles(order_id, "PAID")


async def test_a_broker_that_takes_no_messages_is_told_at_once_and_no_more_once_it_does(shop: Shop) -> None:
    """Nothing waits yet that would tell of it."""
    broker = shop.stack.rabbitmq
    assert isinstance(broker, RabbitMQ)
    raised, lifted = MEMORY_ALARM

    async def short() -> list[str]:
        found = await status(shop)
        assert any("takes no messages" in each for each in found["problems"]) == any(
            each["shortOf"] for each in found["nodes"]
        )
        return [of for each in found["nodes"] for of in each["shortOf"]]

    await broker.control(*raised)
    try:
        await until(short, ["memory"].__eq__, within=PATIENCE, what="what the broker is short of")
    finally:
        await broker.control(*lifted)
    await until(short, [].__eq__, within=PATIENCE, what="a broker that takes messages")


async def test_a_queue_that_an_event_does_not_come_to_any_more_is_told(shop: Shop) -> None:
    """Another queue takes the event, so that its publisher hears of nothing."""
    way = "bindings/%2F/e/saga.events/q/notifications/ORDER_PAID"

    async def unbound() -> list[Json]:
        found = await status(shop)
        told = [each for each in found["problems"] if "notifications is not bound to ORDER_PAID" in each]
        assert len(told) == len(found["unbound"])
        return list(found["unbound"])

    async def without() -> list[Json]:
        await shop.management("DELETE", way)
        return await unbound()

    # Its service may be about to make it anew.
    (found,) = await until(without, within=PATIENCE, what="the binding to be missed")
    assert (found["queue"], found["keys"], found["lost"]) == ("notifications", ["ORDER_PAID"], ["ORDER_PAID"])
    await shop.lose_broker()
    await until(unbound, lambda found: not found, within=PATIENCE, what="the binding to be made anew")


async def test_new_orders_that_are_refused_are_told_for_half_a_minute(shop: Shop) -> None:
    """Each replica writes down how many it refused."""
    orders = Store(shop.mongodb, "order")
    now = datetime.now(UTC)
    before = await queries.count_shed(orders, now - LATELY)
    await queries.note_shed(orders, 40, now)
    await queries.note_shed(orders, 7, now - 2 * LATELY)
    found = await status(shop)
    assert found["shed"] == before + 40
    assert any(f"{before + 40} new orders refused in the last 30 s" in each for each in found["problems"])
    await shop.database("order")[queries.SHED].delete_many({})


async def test_queues_are_listed_with_their_consumers(shop: Shop) -> None:
    async def consumers() -> dict[str, int]:
        listed = await told(shop, "queues", "list")
        return {each["queue"]: each["consumers"] for each in listed["items"]}

    await until(consumers, lambda found: all(found.values()), within=PATIENCE, what="consumers everywhere")
    names = (await sagactl(shop, "queues", "list", "-o", "name")).stdout.split()
    assert names == [*await consumers()]


async def test_a_message_that_nobody_handles_is_told_to_wait(shop: Shop) -> None:
    """And once it is handled, none does."""
    lamp = await shop.product(stock=5)

    async def waits() -> float:
        listed = await told(shop, "queues", "list")
        return float({each["queue"]: each["waits"] for each in listed["items"]}["STOCK_RESERVED"])

    async with shop.away("payment"):
        began = time.monotonic()
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        found = await until(waits, lambda seconds: seconds > 0, within=PATIENCE, what="a message that waits")
        assert found <= time.monotonic() - began
        assert "wait for" in (await sagactl(shop, "status")).stdout
    await shop.settles(order_id, "PAID")
    await until(waits, lambda seconds: not seconds, within=PATIENCE, what="no message that waits")


async def test_what_a_customer_was_told_is_listed_without_the_address(shop: Shop) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")

    async def mails() -> list[Json]:
        listed: list[Json] = (await told(shop, "mails", "list"))["items"]
        return [each for each in listed if each["order"] == order_id]

    (mail,) = await until(mails, within=PATIENCE, what="the mail in the list")
    assert (mail["kind"], mail["toStaff"]) == ("ORDER_PAID", False)
    assert "@" not in str(mail)
    assert (await told(shop, "mails", "list", "--state", "failed"))["items"] == []


async def test_orders_are_listed_page_by_page_and_completed(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    cards = ("tok_success", "tok_declined")
    customer = new_id()
    placed = [await shop.place({lamp: 1}, who=customer, card=card) for card in cards]
    for order_id, ends in zip(placed, ("PAID", "CANCELLED"), strict=True):
        await shop.settles(order_id, ends)
    stored = await shop.database("order")["orders"].find_one({"_id": placed[0]})
    assert stored is not None
    mine = ("orders", "list", "--customer", stored["customerId"])
    first = await told(shop, *mine, "--limit", "1")
    second = await told(shop, *mine, "--limit", "1", "--cursor", first["next"])
    assert [each["id"] for each in (*first["items"], *second["items"])] == [*reversed(placed)]
    assert second["next"] is None
    assert second["items"][0] | {"total": "10.00", "currency": "USD", "settled": True} == second["items"][0]
    for options, wanted in (
        (("--status", "PAID"), placed[:1]),
        (("--status", "PAID", "--status", "CANCELLED"), [*reversed(placed)]),
        (("--since", "1h"), [*reversed(placed)]),
        (("--until", "1h"), []),
        (("--open",), []),
    ):
        assert (await sagactl(shop, *mine, *options, "-o", "name")).stdout.split() == wanted, options
    orders, this = shop.database("order")["orders"], {"_id": placed[0]}
    odd = {"at": datetime.now(UTC), "event": "PAYMENT_FAILED", "eventId": "event-1", "reason": "odd"}
    await orders.update_one(this, {"$set": {"attention": [odd]}})
    try:
        marked = (await sagactl(shop, "orders", "list", "--marked", "-o", "name")).stdout.split()
        assert placed[0] in marked
        assert placed[1] not in marked
    finally:
        await orders.update_one(this, {"$set": {"attention": []}})
    words = f"sagactl explain {placed[0]}"
    asked = {"_SAGACTL_COMPLETE": "complete_bash", "COMP_CWORD": "2", "COMP_WORDS": words}
    cache = {"XDG_CACHE_HOME": str(shop.stack.directory / "cache")}
    completing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from sagactl.cli import app; app(prog_name='sagactl')"),
        env=os.environ | where(shop) | asked | cache,
        stdout=PIPE,
    )
    offered, _ = await completing.communicate()
    assert offered.decode().split() == placed[:1]


async def test_an_order_is_watched_until_it_is_settled(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("inventory"):
        order_id = await shop.place({lamp: 1})
        in_time = await told(shop, "orders", "watch", order_id, "--timeout", "1ms", exits=3)
        assert (in_time["status"], in_time["settled"]) == ("PENDING", False)
        assert [each["event"] for each in in_time["items"]] == PAID[:1]
        watching = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sagactl", "orders", "watch", order_id, "-o", "jsonl"),
            env=os.environ | where(shop),
            stdout=PIPE,
        )
        assert watching.stdout is not None
        lines = [await asyncio.wait_for(watching.stdout.readline(), PATIENCE)]
    rest, _ = await asyncio.wait_for(watching.communicate(), PATIENCE)
    assert watching.returncode == 0
    assert [json.loads(line)["event"] for line in (*lines, *rest.splitlines())] == PAID
    await shop.settles(order_id, "PAID")
    assert "PAID, settled" in (await sagactl(shop, "orders", "watch", order_id)).stdout
    assert (await sagactl(shop, "orders", "watch", "nowhere")).exit_code == 1


async def test_a_products_stock_is_told_with_who_has_it_and_who_changed_it(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    admin = await shop.client("admin")
    broken = {"delta": -1, "reason": "DAMAGED", "note": "fell"}
    await admin.call("POST", f"/api/inventory/{lamp}/adjust", broken)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 2})
        await shop.is_at(order_id, "CONFIRMED")
        found = await told(shop, "stock", "show", lamp)
        assert (found["offer"]["name"], found["offer"]["price"]) == ("Lamp", "10.00")
        counters = {name: found["stock"][name] for name in ("available", "reserved", "sold", "adjusted")}
        assert counters == {"available": 2, "reserved": 2, "sold": 0, "adjusted": -1}
        assert [(each["order"], each["quantity"]) for each in found["openOrders"]] == [(order_id, 2)]
    await shop.settles(order_id, "PAID")
    assert (await told(shop, "stock", "show", lamp))["openOrders"] == []
    (change,) = (await told(shop, "stock", "history", lamp))["items"]
    assert change | {"kind": "adjust", **broken} == change
    assert "fell" in (await sagactl(shop, "stock", "history", lamp)).stdout
    assert (await sagactl(shop, "stock", "show", "nothing-of-ours")).exit_code == 1


async def test_refunds_under_way_are_listed_and_shown_beside_what_the_gateway_says(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 2}, card="tok_refund_refused")
    await shop.settles(order_id, "PAID")
    (captured,) = (await told(shop, "payments", "show", order_id))["calls"]
    assert captured["says"].startswith("captured txn")
    refund_id = await asked(shop, order_id, "one", [line(lamp, 1)])
    await shop.becomes(order_id, lambda found: found["refunds"][0]["state"] == "REFUSED")
    listed = {each["order"]: each["call"] for each in (await told(shop, "payments", "list"))["items"]}
    assert (listed[order_id]["refund"], listed[order_id]["state"]) == (refund_id, "REFUSED")
    assert listed[order_id]["askedAgainAt"]
    # The order stays PAID: no list of open ones has it.
    assert any(each.endswith("See sagactl payments list") for each in (await status(shop))["problems"])
    settled = {"reference": "transfer 7", "reason": "the card was closed"}
    admin = await shop.client("admin")
    await admin.call("POST", f"/api/orders/{order_id}/refunds/{refund_id}/settled-outside", settled)
    await shop.settles(order_id, "PAID")
    _, refund = (await told(shop, "payments", "show", order_id))["calls"]
    assert refund["state"] == "OUTSIDE"
    assert "DONE (transfer 7)" in (await sagactl(shop, "orders", "show", order_id)).stdout

    async def books() -> dict[str, Json]:
        explained = document((await sagactl(shop, "explain", order_id, "-o", "json")).stdout)
        return {each["service"]: each for each in explained["books"]}

    customer = "ORDER_PAID, ORDER_REFUND_REQUEST, ORDER_PARTIALLY_REFUNDED"
    found = await until(
        books, lambda books: books["notification"]["state"] == customer, within=PATIENCE, what="told in turn"
    )
    assert found["refund"]["notes"] == ["10.00 USD", refund_id, "settled by transfer 7"]
    assert order_id not in (await sagactl(shop, "payments", "list", "-o", "name")).stdout.split()
    assert (await sagactl(shop, "payments", "show", "nowhere")).exit_code == 1
