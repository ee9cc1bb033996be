"""Dead letters given another chance, or deleted. Homes know what they have seen: twice is harmless."""

from collections.abc import AsyncIterator, Awaitable, Callable, Container
from datetime import UTC, datetime
from typing import Final, TypeAlias

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from sagactl.oncall import broker
from services.shared.contract import topology
from services.shared.engine.envelope import REDRIVEN, kept

# Taken into memory together.
AT_ONCE: Final = 10_000
# Is told each letter's id once it is done with.
Told: TypeAlias = Callable[[str], Awaitable[None]]


async def _nobody(_: str) -> None: ...


async def redrive(amqp_url: str, queue: str, ids: Container[str], told: Told = _nobody) -> list[str]:
    """Moves dead letters of `queue`, all or those with `ids`, back to it: confirmed there, taken here.

    Returns the ids of those that were moved.
    """
    sent: list[str] = []
    service = broker.QUEUES[queue]
    async with broker.channel(amqp_url) as channel:
        exchange = await channel.get_exchange(topology.retry_exchange(service), ensure=False)
        async for message, id_ in _those(channel, queue, ids):
            await exchange.publish(_anew(message, id_), queue, mandatory=True, timeout=broker.TIMEOUT)
            await message.ack()
            await told(id_)
            sent.append(id_)
    return sent


async def discard(amqp_url: str, queue: str, ids: Container[str], told: Told = _nobody) -> None:
    """Deletes those dead letters of `queue` that have `ids`, for good."""
    async with broker.channel(amqp_url) as channel:
        async for message, id_ in _those(channel, queue, ids):
            await message.ack()
            await told(id_)


async def _those(
    channel: AbstractChannel, queue: str, ids: Container[str]
) -> AsyncIterator[tuple[AbstractIncomingMessage, str]]:
    """All are taken before the first is acted on: one that fails again at once must not be met again."""
    for message in [each async for each in broker.take(channel, queue, AT_ONCE)]:
        id_ = broker.identity(queue, message)
        if not ids or id_ in ids:
            yield message, id_


def _anew(message: AbstractIncomingMessage, id_: str) -> aio_pika.Message:
    """Its tries start again; of what others wrote nothing is encoded again."""
    return aio_pika.Message(
        message.body,
        headers=kept(message.headers) | {REDRIVEN: datetime.now(UTC).isoformat()},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=id_,
        correlation_id=message.correlation_id,
        timestamp=message.timestamp,
        type=message.type,
    )
