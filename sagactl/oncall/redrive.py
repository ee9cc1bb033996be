"""Dead letters given another chance, or discarded. Homes know what they have seen: twice is harmless."""

from collections.abc import AsyncIterator, Container
from datetime import UTC, datetime

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from sagactl.oncall import broker
from sagactl.oncall.discarded import Keep, Told, nobody
from services.shared.contract import topology
from services.shared.engine.envelope import REDRIVEN, kept


async def redrive(amqp_url: str, queue: str, ids: Container[str], told: Told = nobody) -> list[str]:
    """Moves dead letters of `queue`, all or those with `ids`, back to it: confirmed there, taken here.

    Returns the ids of those that were moved.
    """
    sent: list[str] = []
    service = broker.QUEUES[queue]
    async with broker.channel(amqp_url) as channel:
        exchange = await channel.get_exchange(topology.retry_exchange(service), ensure=False)
        async for message, id_ in _those(channel, queue, ids):
            headers = kept(message.headers) | {REDRIVEN: datetime.now(UTC).isoformat()}
            again = broker.anew(message, id_, headers)
            await exchange.publish(again, queue, mandatory=True, timeout=broker.TIMEOUT)
            await message.ack()
            await told(id_)
            sent.append(id_)
    return sent


async def discard(amqp_url: str, queue: str, ids: Container[str], keep: Keep, told: Told = nobody) -> None:
    """Takes those dead letters of `queue` that have `ids` from it, each once it is kept elsewhere."""
    async with broker.channel(amqp_url) as channel:
        async for message, id_ in _those(channel, queue, ids):
            await keep(queue, message)
            await message.ack()
            await told(id_)


async def _those(
    channel: AbstractChannel, queue: str, ids: Container[str]
) -> AsyncIterator[tuple[AbstractIncomingMessage, str]]:
    """All are taken before the first is acted on: one that fails again at once must not be met again."""
    for message in [each async for each in broker.take(channel, queue, broker.AT_ONCE)]:
        id_ = broker.identity(queue, message)
        if not ids or id_ in ids:
            yield message, id_
