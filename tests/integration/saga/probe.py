"""The broker, the databases and Redis, as other systems and operators use and see them."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from redis.asyncio import Redis

from sagactl.polling import until
from sagactl.shop import Json
from services.shared.contract.events import ENGINES, PUBLISHES
from tests.integration.saga.house import PATIENCE, Visit

# The broker's statistics are of the last second, and quorum queues report to them once a second.
STATISTICS_LATE: Final = 2.2
# What an order goes on by: other services may have something to say of one, too.
SAGA: Final = frozenset(
    event.type for service in ("order", "inventory", "payment") for event in PUBLISHES[service]
)
# What is published about an order that is paid.
HAPPY: Final = frozenset(
    {
        "INVENTORY_RESERVED",
        "INVENTORY_RESERVE_REQUEST",
        "ORDER_CONFIRMED",
        "ORDER_PAID",
        "PAYMENT_SUCCEEDED",
    }
)


class Probe(Visit):
    def broker(self) -> AbstractAsyncContextManager[AbstractChannel]:
        return _channel(self.stack.rabbitmq.url)

    async def publish_older(self, queue: str, *bodies: bytes) -> None:
        """Straight to a queue, as an existing publisher does: without a message id."""
        for content in bodies:
            message = {
                "routing_key": queue,
                "properties": {"delivery_mode": 2},
                "payload": b64encode(content).decode(),
                "payload_encoding": "base64",
            }
            # aio-pika gives every message an id.
            assert await self.management("POST", "exchanges/%2F/amq.default/publish", message) == {
                "routed": True
            }

    async def publish(
        self,
        queue: str,
        *bodies: bytes,
        message_id: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Straight to a queue, with this message id, or each with one of its own."""
        async with self.broker() as channel:
            for content in bodies:
                message = aio_pika.Message(
                    content, message_id=message_id, headers=dict(headers or {}), delivery_mode=2
                )
                await channel.default_exchange.publish(message, queue, mandatory=True)

    async def take(self, queue: str, count: int = 1) -> list[AbstractIncomingMessage]:
        """So many messages out of a queue that nobody consumes, once they are there."""
        taken: list[AbstractIncomingMessage] = []
        async with self.broker() as channel:
            found = await channel.get_queue(queue)

            async def enough() -> bool:
                message = await found.get(no_ack=True, fail=False)
                if message is not None:
                    taken.append(message)
                return len(taken) >= count

            await until(enough, within=PATIENCE, what=f"{count} messages in {queue}")
        return taken

    async def dead_letter(self, queue: str, *about: str) -> AbstractIncomingMessage:
        """The dead letter whose body holds all of `about`, taken from the queue; others are kept."""
        async with self.broker() as channel:
            dead = await channel.get_queue(f"{queue}.dlq")
            found: list[AbstractIncomingMessage] = []

            async def there() -> bool:
                others: list[AbstractIncomingMessage] = []
                while (message := await dead.get(fail=False)) is not None:
                    is_it = all(each.encode() in message.body for each in about)
                    (found if is_it else others).append(message)
                for other in others:
                    await other.nack()
                return bool(found)

            await until(there, within=PATIENCE, what=f"a dead letter of {queue} about {' '.join(about)}")
            for message in found:
                await message.ack()
        assert len(found) == 1, [(message.type, message.message_id) for message in found]
        return found[0]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[list[AbstractIncomingMessage]]:
        """Everything that is published meanwhile."""
        heard: list[AbstractIncomingMessage] = []

        async def hear(message: AbstractIncomingMessage) -> None:
            heard.append(message)

        async with self.broker() as channel:
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind("saga.events", "#")
            await queue.consume(hear, no_ack=True)
            yield heard

    async def clear(self, queue: str) -> int:
        """Empties a queue and tells how much was in it."""
        async with self.broker() as channel:
            return (await (await channel.get_queue(queue)).purge()).message_count or 0

    async def drained(self, within: float = PATIENCE) -> None:
        """Returns once nothing waits or is under way, for longer than statistics are late."""
        since: list[float] = []

        async def for_a_while() -> bool:
            since[:] = (since or [time.monotonic()]) if await self._is_idle() else []
            return bool(since) and time.monotonic() - since[0] > STATISTICS_LATE

        await until(for_a_while, within=within, what="rest")

    async def all_is_published(self) -> None:
        """Returns once the outboxes are empty: rows stay for a moment after their events went out."""
        await until(self._is_published, within=PATIENCE, what="empty outboxes")

    async def _is_idle(self) -> bool:
        queues = await self.management("GET", "queues")
        if any(queue.get("messages") for queue in queues if not queue["name"].endswith(".dlq")):
            return False
        return await self._is_published()

    async def _is_published(self) -> bool:
        outboxes = [self.database(service)["outbox"] for service in ENGINES]
        counts = await asyncio.gather(*(outbox.count_documents({}) for outbox in outboxes))
        return not any(counts)

    async def flush_redis(self) -> None:
        async with Redis.from_url(self.stack.redis.url) as redis:
            await redis.flushall()

    async def remember_in_redis(self, key: str) -> None:
        async with Redis.from_url(self.stack.redis.url) as redis:
            await redis.set(key, b"1")

    async def management(self, method: str, path: str, content: Json | None = None) -> Any:
        url = f"{self.stack.rabbitmq.management_url}/api/{path}"
        answer = await self.http.request(method, url, json=content)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def metric(self, service: str, name: str, **labels: str) -> float:
        """Summed over the replicas of a service, and over the labels that are not given."""
        total = 0.0
        for replica in self.stack.replicas:
            if replica.service == service and replica.name in self.stack.processes:
                text = (await self.http.get(f"{replica.url}/metrics")).text
                total += sum(_samples(text, name, labels))
        return total


async def all_heard(messages: Sequence[AbstractIncomingMessage], about: str, types: Iterable[str]) -> None:
    """Returns once each type was heard about an order: a listener hears beside those who act on it."""

    async def missing() -> list[str]:
        return [type_ for type_ in types if not ids(messages, type_, about)]

    await until(missing, lambda found: not found, within=PATIENCE, what=f"all that is said about {about}")


def body(type_: str, **data: Any) -> bytes:
    """A message in the envelope that all but one queue want."""
    return json.dumps({"type": type_, "data": data}).encode()


def of_the_saga(heard: Iterable[AbstractIncomingMessage], order_id: str) -> list[AbstractIncomingMessage]:
    """All that was heard about an order and that it goes on by."""
    return [each for each in heard if each.correlation_id == order_id and each.type in SAGA]


def ids(messages: Sequence[AbstractIncomingMessage], type_: str, about: str) -> list[str]:
    """The message ids of what was heard of a type about an order."""
    return [
        str(message.message_id)
        for message in messages
        if message.type == type_ and message.correlation_id == about
    ]


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


def _samples(text: str, name: str, labels: Mapping[str, str]) -> list[float]:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.partition("{")[0].partition(" ")[0] == name and all(each in line for each in wanted)
    ]
