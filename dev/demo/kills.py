"""Two stories with a `kill -9`: of a service in the middle of a capture, and of the broker under load."""

import asyncio
import time
from collections.abc import Collection
from functools import partial
from itertools import islice

from dev.demo.scene import Scene, confirmed, settled
from sagactl.polling import until

ORDERS_AT_ONCE = 12
ACCEPTED_BEFORE = 6
PAID_WITHIN_SECONDS = 60


async def killed_service(scene: Scene) -> None:
    scene.stage.headline(
        "8. kill -9 of a service during an order",
        "The payment service is killed while it charges the card. After its restart it finds the "
        "stored intent, and asks for the same charge with the same key: the customer pays once.",
    )
    cups = await scene.stock(scene.cup)
    order_id = await scene.place(scene.alice, {scene.cup: 1}, "tok_success")
    await scene.follow(scene.alice, order_id, confirmed)

    async def charging() -> bool:
        return ((await scene.alice.payment(order_id)) or {}).get("status") == "CAPTURING"

    await until(charging, within=PAID_WITHIN_SECONDS, what="the charge to begin")
    await scene.stack.kill("payment")
    scene.stage.say("payment is killed (kill -9) during the charge")
    with scene.stage.working("payment starts again"):
        await scene.stack.start("payment")
    order = await scene.follow(scene.alice, order_id, settled)
    scene.stage.expect("the order is PAID", holds=order["status"] == "PAID")
    events = [entry["event"] for entry in await scene.alice.timeline(order_id)]
    scene.stage.expect("there was one charge", holds=events.count("PAYMENT_SUCCEEDED") == 1)
    await scene.stock_becomes(scene.cup, (cups.available - 1, 0, cups.sold + 1))


async def killed_broker(scene: Scene) -> None:
    scene.stage.headline(
        "9. kill -9 of the broker under load",
        "Orders are still accepted while RabbitMQ is down: their events wait in the outbox, which is "
        "written in the same transaction as the order.",
    )
    cups = await scene.stock(scene.cup)
    ids: list[str] = []

    async def buy() -> None:
        ids.append(str((await scene.bob.place({scene.cup: 1}, "tok_success"))["orderId"]))

    rush = [asyncio.create_task(buy()) for _ in range(ORDERS_AT_ONCE)]
    for accepted in islice(asyncio.as_completed(rush), ACCEPTED_BEFORE):
        await accepted
    await scene.stack.kill("rabbitmq")
    taken = len(ids)
    scene.stage.say(f"RabbitMQ is killed (kill -9) while {taken} orders are under way")
    await asyncio.gather(*rush, *(buy() for _ in range(ORDERS_AT_ONCE)))
    scene.accepted.extend(ids)
    scene.stage.say(f"{len(ids) - taken} more orders are accepted (201) without a broker")
    with scene.stage.working("RabbitMQ starts again"):
        await scene.stack.start("rabbitmq")
    began = time.monotonic()
    with scene.stage.working("the orders continue"):
        ends = await until(
            partial(_ends, scene, ids), all, within=PAID_WITHIN_SECONDS, what="all orders to end", every=0.5
        )
    scene.stage.expect(
        f"all {len(ids)} orders are PAID, {time.monotonic() - began:.1f} s after the broker was back",
        holds=set(ends) == {"PAID"},
    )
    await scene.stock_becomes(scene.cup, (cups.available - len(ids), 0, cups.sold + len(ids)))


async def _ends(scene: Scene, ids: Collection[str]) -> list[str]:
    """The statuses of these orders, "" of those that are under way."""
    page = await scene.bob.call("GET", "/api/orders?limit=100")
    return [each["status"] if each["settled"] else "" for each in page["items"] if each["orderId"] in ids]
