"""Declares a service's exchanges, queues and bindings (`contract/topology.py`)."""

from collections.abc import Iterable, Mapping

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from pamqp.common import FieldValue

from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, EXCHANGE, Event
from services.shared.engine.links import open_channel
from services.shared.engine.writing import PATIENCE_SECONDS, ignore_late, until_closed


async def ask_for_exchange(channel: AbstractChannel) -> None:
    """Raises ChannelNotFoundEntity, and the broker closes the channel, where there is none.

    That of all events is made with the users: to declare it takes the right to delete it, which no service
    has, and to ask for it takes none.
    """
    await channel.exchange_declare(EXCHANGE, passive=True, timeout=PATIENCE_SECONDS)


async def make_exchange(connection: AbstractConnection) -> None:
    """Where nobody made it, whoever comes first and may: on a broker of somebody's own."""
    channel = await open_channel(connection, ignore_late, confirms=False)
    made = channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True, timeout=PATIENCE_SECONDS)
    await until_closed(channel, made)


async def declare(
    channel: AbstractChannel, service: str, queues: Mapping[str, Iterable[type[Event]]]
) -> dict[str, int]:
    """Makes everything that is missing; changes nothing that is there. Returns how many messages wait."""
    await ask_for_exchange(channel)
    waiting: dict[str, int] = {}
    exchange = topology.retry_exchange(service)
    await channel.exchange_declare(exchange, exchange_type="direct", durable=True, timeout=PATIENCE_SECONDS)
    for queue, events in queues.items():
        for name, arguments in topology.queue_arguments(service, queue).items():
            how: dict[str, FieldValue] = dict(arguments)
            answer = await channel.queue_declare(name, durable=True, arguments=how, timeout=PATIENCE_SECONDS)
            if name == queue:
                waiting[queue] = answer.message_count or 0
            await channel.queue_bind(name, exchange, name, timeout=PATIENCE_SECONDS)
        await _bind(channel, queue, CONSUMES[service][queue], set(events))
    return waiting


async def _bind(
    channel: AbstractChannel, queue: str, possible: Iterable[type[Event]], wanted: set[type[Event]]
) -> None:
    for event in possible:
        change = channel.queue_bind if event in wanted else channel.queue_unbind
        await change(queue, EXCHANGE, event.type, timeout=PATIENCE_SECONDS)
