"""What is done to the drill's shop: each fault begins, says what a page's words in capitals are, and ends.

What ends it is what a person does who found the cause; where the page's own commands do it, nothing is left.
"""

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import aio_pika

from dev.alert_drill.cluster import OPERATOR, ORDER, SUBJECT, Cluster
from dev.alert_drill.keyboard import environment_of
from dev.alert_drill.shop import Shop
from dev.chaos.faults import FAULTS
from dev.faults import Proxy
from dev.stripe_double.ledger import REFUND_NEVER, VISA
from dev.stripe_double.server import Mishap
from dev.stripe_double.way import PAYMENT_GATEWAY, PRICE
from sagactl.polling import until
from sagactl.shop import Client, Json
from services.shared.contract.events import STOCK_RESERVED
from services.shared.contract.topology import Binding, dead_letter_queue, retry_exchange
from services.shared.settings import EngineSettings
from services.shared.waiting import happens

# As a page calls it: as it is called in the drill.
Words = Mapping[str, str]
During = Callable[[Shop], AbstractAsyncContextManager[Words]]
# A service, and its queue.
INVENTORY: Final = "inventory"
LETTER: Final = "nobody-can-read-this"
DEAD: Final = dead_letter_queue("orders")
# Each of Stripe's two calls for a charge is answered so much later.
SLOW_SECONDS: Final = 3.2
# More than a drill asks for.
MANY: Final = 10_000
STILL_SECONDS: Final = 1.6
BETWEEN_SECONDS: Final = 0.4
WITHIN: Final = 60.0
# On the way to and from the broker.
FAR_AWAY_SECONDS: Final = 0.3
# The operator tries again ever more slowly, after two minutes at the latest.
OPERATOR_WITHIN: Final = 180.0
# Between two checks of the books.
CHECKED_EVERY_SECONDS: Final = 5.0
# The shortest that a SagaMonitor may be told.
SOON: Final = "30s"


def as_in_chaos(name: str) -> During:
    @asynccontextmanager
    async def during(shop: Shop) -> AsyncIterator[Words]:
        async with FAULTS[name].during(shop.site):
            yield {}

    return during


# --- messages ---------------------------------------------------------------------------------------------


async def _publish(shop: Shop, queue: str, body: bytes, id_: str) -> None:
    message = aio_pika.Message(body, message_id=id_, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    async with await aio_pika.connect(shop.site.stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(message, queue, timeout=10)


@asynccontextmanager
async def unreadable(shop: Shop) -> AsyncIterator[Words]:
    await _publish(shop, "orders", b"{", LETTER)
    yield {"EVENT": LETTER}


@asynccontextmanager
async def contradicted(shop: Shop) -> AsyncIterator[Words]:
    """Somebody who may publish says that an order which is paid was paid once more, with a cent."""
    order = await _paid(shop, VISA)
    said = {"orderId": order["orderId"], "transactionId": "txn_lie", "currency": "USD", "amount": "0.01"}
    body = json.dumps({"type": "PAYMENT_SUCCEEDED", "data": said}).encode()
    event = uuid.uuid4().hex
    await _publish(shop, "order-events", body, event)
    yield {"ORDER": order["orderId"], "EVENT": event}


@asynccontextmanager
async def lost(shop: Shop) -> AsyncIterator[Words]:
    """Somebody takes one message, that an order's stock is reserved, out of the queue of payment."""
    stack, names = shop.site.stack, shop.site.replicas("payment")
    for name in names:
        await stack.kill(name)
    async with await aio_pika.connect(stack.rabbitmq.url) as connection:
        queue = await (await connection.channel()).get_queue(STOCK_RESERVED)
        taken = await until(lambda: queue.get(fail=False), within=WITHIN, what="a message to be lost")
        assert taken is not None  # noqa: S101  # `until` waits for one
        await taken.ack()
    for name in names:
        await stack.start(name)
    yield {"ORDER": str(json.loads(taken.body)["data"]["orderId"])}


@asynccontextmanager
async def unbound(shop: Shop) -> AsyncIterator[Words]:
    """Somebody deletes the bindings of a queue while its service does not run."""
    site = shop.site
    for name in site.replicas(INVENTORY):
        await site.stack.kill(name)
    for binding in await site.management("GET", f"queues/%2F/{INVENTORY}/bindings"):
        if exchange := binding["source"]:
            way = f"bindings/%2F/e/{exchange}/q/{INVENTORY}/{binding['properties_key']}"
            await site.management("DELETE", way)
    yield {}
    for name in site.replicas(INVENTORY):
        if name not in site.stack.processes:
            await site.stack.start(name)


@asynccontextmanager
async def binding_gone(shop: Shop) -> AsyncIterator[Words]:
    """Somebody deletes a binding, and again whenever its service has made it anew: one that nothing is lost
    without, which is that of dead letters.
    """
    gone = Binding(retry_exchange("order"), DEAD, DEAD)
    way = f"bindings/%2F/e/{gone.exchange}/q/{gone.queue}"

    async def delete() -> None:
        for each in await shop.site.management("GET", way):
            await shop.site.management("DELETE", f"{way}/{each['properties_key']}")

    async with _again_and_again(delete, BETWEEN_SECONDS):
        yield {}


@asynccontextmanager
async def _again_and_again(work: Callable[[], Awaitable[None]], pause: float) -> AsyncIterator[None]:
    """With so many seconds in between; what is begun at the end of the block is brought to its own."""
    over = asyncio.Event()

    async def repeated() -> None:
        while not over.is_set():
            await work()
            await happens(over, pause)

    async with asyncio.TaskGroup() as group:
        group.create_task(repeated())
        yield
        over.set()


# --- processes --------------------------------------------------------------------------------------------


def gone(name: str) -> During:
    """All replicas of a service are killed, or a server is; they are started unless a command has."""

    @asynccontextmanager
    async def during(shop: Shop) -> AsyncIterator[Words]:
        stack = shop.site.stack
        names = shop.site.replicas(name) or [name]
        for each in names:
            await stack.kill(each)
        yield {}
        for each in names:
            if each not in stack.processes:
                await stack.start(each)

    return during


def stutters(name: str) -> During:
    """A process stands still for most of the time."""

    @asynccontextmanager
    async def during(shop: Shop) -> AsyncIterator[Words]:
        stack = shop.site.stack

        async def stand_still() -> None:
            stack.pause(name)
            await asyncio.sleep(STILL_SECONDS)
            stack.resume(name)

        async with _again_and_again(stand_still, BETWEEN_SECONDS):
            yield {}

    return during


@asynccontextmanager
async def payment_is_slow(shop: Shop) -> AsyncIterator[Words]:
    """It is far away from RabbitMQ, and takes one message at a time: fewer than there are orders."""
    site = shop.site
    way = await site.proxied("rabbitmq", site.amqp_url("payment"))
    site.proxies["rabbitmq"].delay(FAR_AWAY_SECONDS)
    usual = EngineSettings.model_fields["commit_max_batch"].default
    await _restarted(shop, "payment", {"AMQP_URL": way, "COMMIT_MAX_BATCH": "1"})
    yield {}
    await _restarted(shop, "payment", {"AMQP_URL": site.amqp_url("payment"), "COMMIT_MAX_BATCH": str(usual)})


async def _restarted(shop: Shop, service: str, settings: Mapping[str, str]) -> None:
    """All replicas, which keep to the settings from then on."""
    for name in shop.site.replicas(service):
        await shop.site.stack.restart(name, settings)


@asynccontextmanager
async def teller_hangs(shop: Shop) -> AsyncIterator[Words]:
    """Of notification's replicas the one stands still that makes deliveries of what happens."""
    first, *others = shop.site.replicas("notification")
    await _endpoint(shop, "ok")
    for each in others:
        await shop.site.stack.restart(each)  # what it held the first one has taken over meanwhile
    shop.site.stack.pause(first)
    yield {}


# --- the payment gateway ----------------------------------------------------------------------------------


def on_the_way_to_payment(hurt: Callable[[Proxy], None]) -> During:
    @asynccontextmanager
    async def during(shop: Shop) -> AsyncIterator[Words]:
        proxy = shop.site.proxies[PAYMENT_GATEWAY]
        hurt(proxy)
        yield {}
        proxy.heal()

    return during


def cut_off(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


def slow(proxy: Proxy) -> None:
    proxy.delay(SLOW_SECONDS, "down")


@asynccontextmanager
async def gateway_fails(shop: Shop) -> AsyncIterator[Words]:
    """One of eight requests is answered 503, and so a quarter of the charges; more would open the breaker."""
    shop.stripe.mishaps.extend([Mishap.DOWN, *(7 * [Mishap.NOTHING])] * MANY)
    yield {}
    shop.stripe.mishaps.clear()


@asynccontextmanager
async def refund_waits(shop: Shop) -> AsyncIterator[Words]:
    order = await _paid(shop, VISA)
    cut_off(shop.site.proxies[PAYMENT_GATEWAY])
    await shop.site.admin.refund(order["orderId"], "it came broken")
    yield {"ORDER": order["orderId"]}
    shop.site.proxies[PAYMENT_GATEWAY].heal()


@asynccontextmanager
async def refund_refused(shop: Shop) -> AsyncIterator[Words]:
    order = await _paid(shop, REFUND_NEVER)
    id_ = order["orderId"]
    await shop.site.admin.refund(id_, "it came broken")
    refused = await shop.site.admin.becomes(
        id_, lambda seen: seen["refunds"][0]["state"] == "REFUSED", WITHIN, "refused its refund"
    )
    yield {"ORDER": id_, "REFUND": refused["refunds"][0]["refundRequestId"]}


async def _paid(shop: Shop, card: str, product: str = "") -> Json:
    """An order of somebody new; of any product, unless one is named."""
    customer = await Client(shop.site.session, shop.site.stack.gateway, patience=WITHIN).register("Grace")
    order = await customer.place({product or shop.site.products[0]: 1}, card)
    return await shop.site.admin.at(order["orderId"], "PAID", WITHIN)


# --- mails and webhooks -----------------------------------------------------------------------------------


@asynccontextmanager
async def mail_server_away(shop: Shop) -> AsyncIterator[Words]:
    """Somebody registers meanwhile, to whom a letter is written."""
    await shop.site.stack.kill("mailbox")
    await Client(shop.site.session, shop.site.stack.gateway, patience=WITHIN).register("Grace")
    yield {}
    await shop.site.stack.start("mailbox")


@asynccontextmanager
async def endpoint_gone(shop: Shop) -> AsyncIterator[Words]:
    """It says once that it is gone for good, and is mended then."""
    yield {"ENDPOINT": await _endpoint(shop, "gone")}


@asynccontextmanager
async def endpoint_fails(shop: Shop) -> AsyncIterator[Words]:
    """It answers 503 to all; whoever owns it names another URL then."""
    endpoint = await _endpoint(shop, "fails")
    yield {"ENDPOINT": endpoint}
    await shop.site.admin.call("PATCH", f"/api/webhooks/{endpoint}", {"url": f"{shop.receiver}/ok"})


async def _endpoint(shop: Shop, answer: str) -> str:
    """The id of a new one, which is told of all orders from now on."""
    made = await shop.site.admin.call("POST", "/api/webhooks", {"url": f"{shop.receiver}/{answer}"})
    return str(made["endpointId"])


# --- the operator -----------------------------------------------------------------------------------------


@asynccontextmanager
async def operator_gone(shop: Shop) -> AsyncIterator[Words]:
    await shop.site.stack.kill(OPERATOR)
    yield {}
    if OPERATOR not in shop.site.stack.processes:
        await _cluster(shop).start_operator()


@asynccontextmanager
async def operator_misled(shop: Shop) -> AsyncIterator[Words]:
    """Somebody has the SagaMonitor ask a Service that there is not."""
    await _cluster(shop).change({"orderService": {"serviceRef": {"name": "shop-orders"}}})
    yield {}
    await _cluster(shop).change({"orderService": {"serviceRef": {"name": ORDER}}})


@asynccontextmanager
async def operator_refused(shop: Shop) -> AsyncIterator[Words]:
    """Order is told to believe no operator, and an order gets stuck. Once it is mended, it is compensated."""
    async with lost(shop) as words:
        await _restarted(shop, "order", {"OPERATOR_SUBJECTS": ""})
        async with _soon_stale(shop):  # not before: it would be compensated
            yield words
            await _restarted(shop, "order", {"OPERATOR_SUBJECTS": SUBJECT})
            await _cluster(shop).ask_for_a_sweep()
            await shop.site.admin.at(words["ORDER"], "CANCELLED", OPERATOR_WITHIN)


@asynccontextmanager
async def orders_get_stuck(shop: Shop) -> AsyncIterator[Words]:
    """One after the other: nobody takes their payments."""
    async with _soon_stale(shop), gone("payment")(shop) as words:
        yield words


@asynccontextmanager
async def books_disagree(shop: Shop) -> AsyncIterator[Words]:
    """Of an order that is paid inventory is put back, as by a restore, and a check of the clock finds it."""
    product = await shop.site.admin.add_product(1, PRICE, "USD", "Kept apart")
    order = await _paid(shop, VISA, product)
    inventory = shop.site.database(INVENTORY)
    is_sold = {"_id": order["orderId"], "lines.0.state": "SOLD"}
    await until(
        lambda: inventory["reservations"].find_one(is_sold), within=WITHIN, what="goods that are sold"
    )
    before = {"$set": {"lines.0.state": "HELD"}, "$pop": {"seen": 1}}
    await inventory["reservations"].update_one(is_sold, before)
    await inventory["stock"].update_one({"_id": product}, {"$inc": {"reserved": 1, "sold": -1}})
    async with _checked_by_the_clock(shop):
        yield {"ORDER": order["orderId"]}


def _cluster(shop: Shop) -> Cluster:
    assert shop.cluster is not None  # noqa: S101  # whoever hurts the operator says that a drill needs it
    return shop.cluster


@asynccontextmanager
async def _soon_stale(shop: Shop) -> AsyncIterator[None]:
    """The operator compensates what has stood still for half a minute."""
    before = (await _cluster(shop).monitor())["spec"]["staleAfter"]
    await _cluster(shop).change({"staleAfter": SOON})
    yield
    await _cluster(shop).change({"staleAfter": before})


@asynccontextmanager
async def _checked_by_the_clock(shop: Shop) -> AsyncIterator[None]:
    """Again and again, and once more at the end."""
    async with _again_and_again(partial(_check, shop), CHECKED_EVERY_SECONDS):
        yield
    await _check(shop)


async def _check(shop: Shop) -> None:
    """As the chart's CronJob does."""
    with tempfile.TemporaryDirectory() as directory:
        words = Path(directory) / "termination-log"
        process = await asyncio.create_subprocess_exec(
            *("sagactl", "check", "--live", "--last-words", words),
            env=environment_of(shop),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode(errors="replace")
        assert process.returncode is not None  # noqa: S101  # it has ended
        # Without last words a node takes the end of the log.
        await _cluster(shop).has_checked(process.returncode, words.read_text() if words.exists() else said)
