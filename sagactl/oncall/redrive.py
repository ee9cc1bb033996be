"""`sagactl letters redrive`: another chance for dead letters. Homes know what they have seen: it is safe."""

from datetime import UTC, datetime
from typing import Final

import aio_pika

from sagactl.oncall import broker
from services.shared.contract import topology
from services.shared.engine.envelope import REDRIVEN, kept

# Taken into memory together.
AT_ONCE: Final = 10_000


async def redrive(amqp_url: str, queue: str, ids: frozenset[str]) -> list[str]:
    """Moves dead letters of `queue`, all or those with `ids`, back to it: confirmed there, taken here.

    Returns the ids of those that were moved.
    """
    sent: list[str] = []
    service = broker.QUEUES[queue]
    async with broker.channel(amqp_url) as channel:
        exchange = await channel.get_exchange(topology.retry_exchange(service), ensure=False)
        # All are taken before the first is sent: one that fails again at once must not be met again.
        for message in [each async for each in broker.take(channel, queue, AT_ONCE)]:
            id_ = broker.identity(queue, message)
            if ids and id_ not in ids:
                continue
            await exchange.publish(_anew(message, id_), queue, mandatory=True, timeout=broker.TIMEOUT)
            await message.ack()
            sent.append(id_)
    return sent


def _anew(message: aio_pika.abc.AbstractIncomingMessage, id_: str) -> aio_pika.Message:
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
