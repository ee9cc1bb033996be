"""Declares a service's exchanges, queues and bindings (`contract/topology.py`)."""

from collections.abc import Iterable, Mapping

from aiormq.abc import AbstractChannel
from pamqp.common import FieldValue

from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, EXCHANGE, Event
from services.shared.engine.writing import PATIENCE_SECONDS


async def declare_exchange(channel: AbstractChannel) -> None:
    await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True, timeout=PATIENCE_SECONDS)


async def declare(
    channel: AbstractChannel, service: str, queues: Mapping[str, Iterable[type[Event]]]
) -> dict[str, int]:
    """Makes everything that is missing; changes nothing that is there. Returns how many messages wait."""
    await declare_exchange(channel)
    if not queues:
        return {}
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
