"""`sagactl redrive`: gives dead letters another chance. The inbox makes it harmless."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import aio_pika

from sagactl.oncall import broker
from services.shared.contract import topology
from services.shared.engine.deliveries import ATTEMPTS, DEFERRALS, ERROR, ERROR_KIND, FIRST_FAILED_AT, QUEUE
from services.shared.engine.life import INBOX_DAYS

FORGOTTEN_AFTER: Final = timedelta(days=INBOX_DAYS)
# The most that are taken into memory together.
AT_ONCE: Final = 10_000
# The headers that the engine wrote about its failures: a redriven message starts anew.
OURS: Final = frozenset({ATTEMPTS, DEFERRALS, ERROR, ERROR_KIND, FIRST_FAILED_AT, QUEUE})


class Redriven(NamedTuple):
    sent: list[str]
    # Left where they are: older than the inbox remembers.
    too_old: list[str]


async def redrive(amqp_url: str, queue: str, ids: frozenset[str], *, force: bool) -> Redriven:
    """Moves dead letters of `queue`, all or those with `ids`, back to it: confirmed there, taken here."""
    result = Redriven([], [])
    service = broker.QUEUES[queue]
    async with broker.channel(amqp_url) as channel:
        exchange = await channel.get_exchange(topology.retry_exchange(service), ensure=False)
        # All are taken before the first is sent: one that fails again at once must not be met again.
        for message in [each async for each in broker.take(channel, queue, AT_ONCE)]:
            id_ = broker.identity(queue, message)
            if ids and id_ not in ids:
                continue
            if not force and _age(message) > FORGOTTEN_AFTER:
                result.too_old.append(id_)
                continue
            await exchange.publish(_anew(message, id_), queue, mandatory=True, timeout=broker.TIMEOUT)
            await message.ack()
            result.sent.append(id_)
    return result


def _age(message: aio_pika.abc.AbstractIncomingMessage) -> timedelta:
    """Return the time since it first failed, or was published. Unknown counts as new."""
    now = datetime.now(UTC)
    try:
        return now - datetime.fromisoformat(str(message.headers.get(FIRST_FAILED_AT)))
    except (ValueError, TypeError):  # made by the broker, or what others wrote into our header
        return now - (message.timestamp or now)


def _anew(message: aio_pika.abc.AbstractIncomingMessage, id_: str) -> aio_pika.Message:
    kept = {
        name: value
        for name, value in message.headers.items()
        if name not in OURS and not name.startswith(("x-death", "x-first-death", "x-last-death"))
    }
    return aio_pika.Message(
        message.body,
        headers=kept,
        content_type=message.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=id_,
        correlation_id=message.correlation_id,
        timestamp=message.timestamp,
        type=message.type,
    )
