"""A customer in the stores behind the services: all that is there of them, and its end.

Orders, payments, stock and the ledger stay, with their amounts: the books have to add up. What names the
customer leaves them. Each step may be repeated.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import aio_pika
from pymongo import AsyncMongoClient

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.broker import AT_ONCE, DeadLetter
from sagactl.oncall.check import QUIET_SECONDS
from sagactl.oncall.discarded import Discarded, Kept
from sagactl.oncall.invariants import Case
from sagactl.oncall.pseudonyms import ADDRESS, TEXT, Names
from services.fulfilment.shipment import Shipment, ShipmentState
from services.notification.domain import Notification
from services.order.commands import RequestRefund, key_scopes
from services.order.model import Order
from services.payment.payment import ENDS
from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, PUBLISHES, RefundPayment, RefundRequested
from services.shared.contract.idempotency import IdempotencyKey, key_id
from services.shared.database.store import WRITE_CONCERN, Document
from services.shared.engine.leases import OUTBOX

POLL_SECONDS: Final = 0.5
# Queues whose messages may name a customer: by the address, the token of a card, or what they typed.
NAMING: Final = tuple(
    queue
    for queues in CONSUMES.values()
    for queue, events in queues.items()
    if not {RefundRequested, RefundPayment}.isdisjoint(events)
    or any({"email", "payment_token", "next_action"} & set(event.__struct_fields__) for event in events)
)


def not_over(cases: Iterable[Case]) -> list[str]:
    """Why the customer cannot be erased yet: orders that have not ended, a sentence each."""
    said = []
    for case in cases:
        if case.order is not None and not case.order.settled:
            said.append(
                f"order {case.id} is {case.order.status} and not settled: cancel it, or wait for its end"
            )
        elif case.payment is not None and case.payment.state not in ENDS:
            said.append(f"the payment of order {case.id} is {case.payment.stage}: wait for its end")
        elif case.shipment is not None and case.shipment.state is ShipmentState.SHIPPING:
            said.append(f"the shipment of order {case.id} is SHIPPING: wait for the order's answer")
    return said


async def unpublished(client: AsyncMongoClient[Document], orders: Collection[str]) -> list[str]:
    """The outboxes that hold events about these orders, a sentence each."""
    about = {"events.subject": {"$in": list(orders)}}
    return [
        f"events about the customer's orders wait in the outbox of {service}: are its replicas up?"
        for service in PUBLISHES
        if await client[service][OUTBOX].count_documents(about, limit=1)
    ]


async def undelivered(access: Access, seconds: float) -> list[str]:
    """The queues that were never empty for so long, a sentence each: a message may still name the customer.

    One that is empty once has handed on all that was in it before: the customer causes nothing new.
    """
    loop = asyncio.get_running_loop()
    # What is not acknowledged the broker tells late.
    await asyncio.sleep(QUIET_SECONDS)
    end, busy = loop.time() + seconds, set(NAMING)
    while busy:
        waiting = (await broker.queues(access.management_url, access.amqp_url)).waiting
        busy = {queue for queue in busy if not waiting.keys().isdisjoint(_alive(queue))}
        if loop.time() >= end:
            break
        await asyncio.sleep(POLL_SECONDS)
    return [f"messages wait in {queue}: is its consumer up?" for queue in sorted(busy)]


def _alive(queue: str) -> Sequence[str]:
    return [name for name in topology.all_queues(queue) if name != topology.dead_letter_queue(queue)]


async def orders_of(client: AsyncMongoClient[Document], customer_id: str) -> list[str]:
    found = client["order"][Order.collection].find({"customerId": customer_id}, {"_id": 1})
    return [document["_id"] async for document in found]


async def keys_of(client: AsyncMongoClient[Document], customer_id: str) -> list[Document]:
    """The idempotency keys that the customer sent within the last day."""
    return await client["order"][IdempotencyKey.collection].find(_keys(customer_id)).to_list()


def _keys(customer_id: str) -> Document:
    firsts = [key_id(scope, "") for scope in key_scopes(customer_id)]
    return {"$or": [{"_id": {"$gte": first, "$lt": first + "\U0010ffff"}} for first in firsts]}


async def pseudonymise(client: AsyncMongoClient[Document], customer_id: str, orders: Collection[str]) -> int:
    """Take what names the customer out of the databases of order, notification and fulfilment.

    Returns the number of documents that did; a second time it is 0.
    """
    order = client["order"].with_options(write_concern=WRITE_CONCERN)
    placed = order[Order.collection]
    told = client["notification"].with_options(write_concern=WRITE_CONCERN)[Notification.collection]
    sent = client["fulfilment"].with_options(write_concern=WRITE_CONCERN)[Shipment.collection]
    theirs = {"customerId": customer_id}
    about: Document = {"orderId": {"$in": list(orders)}}
    changed = [
        await placed.update_many(theirs, {"$set": {"email": ADDRESS, "paymentToken": None}}),
        await placed.update_many({**theirs, "refundReason": {"$ne": None}}, {"$set": {"refundReason": TEXT}}),
        await placed.update_many(
            {**theirs, "history.event": RequestRefund.type},
            {"$set": {"history.$[asked].reason": TEXT}},
            array_filters=[{"asked.event": RequestRefund.type}],
        ),
        await placed.update_many(
            {**theirs, "refunds.0": {"$exists": True}},
            {"$set": {"refunds.$[].reason": TEXT, "refunds.$[].request": TEXT}},
        ),
        await told.update_many({**about, "recipient": {"$ne": None}}, {"$set": {"recipient": ADDRESS}}),
        await told.update_many(
            {**about, "kind": RefundRequested.type},
            {"$set": {"subject": f"A refund is asked for: {TEXT}"}},
        ),
        await told.update_many(
            {**about, "kind": RefundRequested.type, "data.reason": {"$exists": True}},
            {"$set": {"data.reason": TEXT}},
        ),
        # By the number the carrier tells to whom it went.
        await told.update_many(
            {**about, "data.tracking": {"$exists": True}}, {"$set": {"data.tracking": TEXT}}
        ),
        await sent.update_many({"_id": {"$in": list(orders)}}, {"$set": {"email": ADDRESS}}),
        await sent.update_many(
            {"_id": {"$in": list(orders)}, "tracking": {"$ne": None}}, {"$set": {"tracking": TEXT}}
        ),
    ]
    removed = await order[IdempotencyKey.collection].delete_many(_keys(customer_id))
    return sum(each.modified_count for each in changed) + removed.deleted_count


class About(NamedTuple):
    """The dead letters that name the customer, and what `unseen` says of the queues."""

    letters: list[DeadLetter]
    unseen: list[str]


async def letters_about(amqp_url: str, names: Names) -> About:
    letters = await broker.dead_letters(amqp_url, broker.QUEUES, AT_ONCE)
    held = Counter(letter.queue for letter in letters)
    return About(
        [letter for letter in letters if names.body_without(letter.body) != letter.body],
        unseen(queue for queue, number in held.items() if number >= AT_ONCE),
    )


async def discarded_about(client: AsyncMongoClient[Document], names: Names) -> list[Discarded]:
    """The discarded letters that are kept and name the customer."""
    return [letter async for letter in Kept(client).all() if names.body_without(letter.body) != letter.body]


async def rewrite_discarded(client: AsyncMongoClient[Document], names: Names) -> int:
    """Take the customer's name out of discarded letters that are kept; returns of how many.

    They can still be restored, and are known by the same ids.
    """
    kept, count = Kept(client), 0
    async for letter in kept.all():
        body, headers = names.body_without(letter.body), names.headers_without(letter.headers)
        if (body, headers) != (letter.body, letter.headers):
            count += await kept.rewrite(letter, body, headers)
    return count


class Rewritten(NamedTuple):
    """How many dead letters were changed, and what `unseen` says of the queues."""

    changed: int
    unseen: list[str]


async def rewrite_letters(amqp_url: str, names: Names) -> Rewritten:
    """Put dead letters back without the customer's name: confirmed there, taken here.

    They can still be redriven, and are known by the same ids.
    """
    count, full = 0, []
    async with broker.channel(amqp_url) as channel:
        for queue, service in broker.QUEUES.items():
            exchange = await channel.get_exchange(topology.retry_exchange(service), ensure=False)
            # All are taken before the first is sent: what is put back must not be met again.
            taken = [each async for each in broker.take(channel, queue, AT_ONCE)]
            if len(taken) >= AT_ONCE:
                full.append(queue)
            for message in taken:
                changed = _without(message, queue, names)
                if changed is None:
                    continue
                dead = topology.dead_letter_queue(queue)
                await exchange.publish(changed, dead, mandatory=True, timeout=broker.TIMEOUT)
                await message.ack()
                count += 1
    return Rewritten(count, unseen(full))


def unseen(full: Iterable[str]) -> list[str]:
    """Of queues that gave as many dead letters as are looked at, a sentence each: there may be more."""
    return [
        f"{topology.dead_letter_queue(queue)} holds {AT_ONCE} dead letters or more, and no more are looked"
        f" at: sagactl letters redrive {queue}, or delete some, and run this again"
        for queue in full
    ]


def _without(
    message: aio_pika.abc.AbstractIncomingMessage, queue: str, names: Names
) -> aio_pika.Message | None:
    """The same dead letter without the customer's name; None where it has none."""
    body = names.body_without(message.body)
    headers = broker.headers_of(queue, message)
    clean = names.headers_without(headers)
    if (body, clean) == (message.body, headers):
        return None
    return broker.anew(message, broker.identity(queue, message), clean, body)
