"""The story of a message that somebody lost, found and mended by what whoever is on call has."""

from datetime import timedelta

import aio_pika

from dev.demo.scene import Scene, confirmed, settled
from sagactl.access import Access, OrderAccess
from sagactl.oncall.check import QUIET_SECONDS
from sagactl.oncall.explain.explanation import Explanation, Verdict
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.live.looking import Watch
from sagactl.oncall.repair.applying import Mender, carry_out
from sagactl.oncall.repair.looking import plans
from sagactl.oncall.repair.plan import Ends
from sagactl.polling import until
from services.shared.contract.events import STOCK_RESERVED

STUCK_WITHIN_SECONDS = 60
STALE_AFTER_SECONDS = 10
# Shorter than on call: nothing else goes on here.
STILL = timedelta(seconds=2)


async def lost_message(scene: Scene) -> None:
    stage, shop = scene.stage, scene.stack.directory
    access, orders = Access.of_stack(shop), OrderAccess.of_stack(shop)
    stage.headline(
        "10. A message is lost",
        "A queue is emptied while the request for a charge waits in it. `sagactl explain` computes "
        "which messages must exist, and names the missing one; `sagactl repair` repairs the order. A "
        "charge cannot be sent again, as payment tokens are not stored: the stock is returned.",
    )
    cups = await scene.stock(scene.cup)
    await scene.stack.kill("payment")
    order_id = await scene.place(scene.alice, {scene.cup: 1}, "tok_success")
    await scene.follow(scene.alice, order_id, confirmed)
    emptied = await until(
        lambda: _empty(scene, STOCK_RESERVED), within=STUCK_WITHIN_SECONDS, what="a message"
    )
    stage.say(f"the queue {STOCK_RESERVED} is emptied: {emptied} message is lost")
    with stage.working("payment starts again, and receives nothing"):
        await scene.stack.start("payment")

    async def explained() -> Explanation:
        return await Reader(access, again_seconds=QUIET_SECONDS).told(order_id)

    with stage.working(f"sagactl explain {order_id}"):
        told = await until(
            explained,
            lambda told: told.verdict is Verdict.STUCK,
            within=STUCK_WITHIN_SECONDS,
            what="the order to be found stuck",
        )
    stage.say(f"{told.verdict}: {told.because}")
    stage.expect("explain names one message, by its queue and id", holds=len(told.missing) == 1)
    with stage.working(f"sagactl repair --apply {order_id}"):
        # A demo that was interrupted here has left an order behind.
        ids = list(dict.fromkeys([order_id, *await scene.stale(STALE_AFTER_SECONDS)]))
        plan, *others = await plans(access, ids, STILL, Watch(apart_seconds=QUIET_SECONDS))
        for each in (plan, *others):
            await carry_out(each, Mender(access, orders, "the queue was emptied"))
    for step in plan.steps:
        stage.say(step.says)
    stage.expect("by the rehearsed plan, all services agree in the end", holds=plan.ends is Ends.MENDED)
    order = await scene.follow(scene.alice, order_id, settled)
    stage.expect("the order is CANCELLED", holds=order["status"] == "CANCELLED")
    await scene.stock_becomes(scene.cup, cups)


async def _empty(scene: Scene, queue: str) -> int:
    """How many messages there were."""
    connection = await aio_pika.connect(scene.stack.rabbitmq.url, timeout=STUCK_WITHIN_SECONDS)
    async with connection, connection.channel() as channel:
        return (await (await channel.get_queue(queue)).purge()).message_count or 0
