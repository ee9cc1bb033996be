"""What breaks in a drill, which alert tells of it, and what its page has somebody type."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import aio_pika

from dev.survive.site import Site

LETTER: Final = "nobody-can-read-this"
QUEUE: Final = "orders"


class Scene(NamedTuple):
    alert: str
    says: str
    # Alertmanager's receiver.
    calls: str
    hurt: Callable[[Site], Awaitable[None]]
    # What a person does who found the cause; None where the page's own commands do it.
    mend: Callable[[Site], Awaitable[None]] | None
    # Of the page's commands those that one types for this fault, by how they begin, and a word of the answer.
    typed: Mapping[str, str]
    # What the page calls by these words in capitals.
    words: Mapping[str, str] = {}
    # Alerts that follow from this one: nobody is called for them.
    silent: frozenset[str] = frozenset()


async def _unreadable(site: Site) -> None:
    async with await aio_pika.connect(site.stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        message = aio_pika.Message(b"{", message_id=LETTER, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, QUEUE, timeout=10)


async def _payment_ends(site: Site) -> None:
    for name in site.replicas("payment"):
        await site.stack.kill(name)


async def _payment_starts(site: Site) -> None:
    for name in site.replicas("payment"):
        await site.stack.start(name)


async def _broker_stops(site: Site) -> None:
    await site.stack.stop("rabbitmq")


async def _broker_starts(site: Site) -> None:
    await site.stack.start("rabbitmq")


SCENES: Final = (
    Scene(
        "SagashopDeadLetters",
        "a message that nobody can read is put into a queue",
        "tickets",
        _unreadable,
        None,
        {
            "sagactl letters list": LETTER,
            "sagactl letters show": "invalid",
            "sagactl letters discard": "discarded",
        },
        {"EVENT": LETTER},
    ),
    Scene(
        "SagashopServiceMissing",
        "every replica of payment ends",
        "pages",
        _payment_ends,
        _payment_starts,
        {"sagactl status": "payment"},
        silent=frozenset({"SagashopQueueWithoutConsumer", "SagashopOrdersStuck"}),
    ),
    Scene(
        "SagashopBrokerDisconnected",
        "RabbitMQ is stopped",
        "pages",
        _broker_stops,
        _broker_starts,
        {},
        silent=frozenset({"SagashopOutboxNotDraining", "SagashopEventsLate"}),
    ),
)
