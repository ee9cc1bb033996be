"""Exchanges, queues and bindings of one service, declared alike on RabbitMQ 3.10 and 4.x.

Each queue Q is a quorum queue with `Q.retry.1`, `.2`, `.3`, one delay each (in a queue of mixed delays the
short ones wait behind the long ones), and `Q.dlq`. A service's own direct exchange leads to its queues by
name, so that retries need no permission on the default exchange, through which one reaches every queue.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from services.shared.contract.events import (
    AUTO_COMPENSATION,
    CONSUMES,
    EXCHANGE,
    INVENTORY_EVENTS,
    Event,
)

RETRY_DELAYS_MS: Final = (1_000, 10_000, 60_000)
# After so many returns to the queue (its consumer died over it each time) the broker itself dead-letters it.
DELIVERY_LIMIT: Final = 50
# Looking at a dead letter counts as a return, too. RabbitMQ 4 drops a message after 20 of them unless told
# otherwise, and RabbitMQ 3 knows no "never".
LOOKS_LIMIT: Final = 1_000_000


def retry_exchange(service: str) -> str:
    return f"{service}.retry"


def retry_queue(queue: str, step: int) -> str:
    """`step` counts from 1."""
    return f"{queue}.retry.{step}"


def dead_letter_queue(queue: str) -> str:
    return f"{queue}.dlq"


def all_queues(queue: str) -> tuple[str, ...]:
    steps = range(1, len(RETRY_DELAYS_MS) + 1)
    return (queue, *(retry_queue(queue, step) for step in steps), dead_letter_queue(queue))


def subscriptions(service: str, *, auto_compensation: bool) -> dict[str, tuple[type[Event], ...]]:
    """What the service's queues are bound to, given the one setting that decides a binding."""
    return {
        queue: tuple(event for event in events if auto_compensation or not _optional(queue, event))
        for queue, events in CONSUMES[service].items()
    }


class Binding(NamedTuple):
    """What is published to the exchange with this key comes to the queue."""

    exchange: str
    queue: str
    key: str


def bindings_told(told: Iterable[Mapping[str, str]]) -> Iterator[Binding]:
    """Those of queues, as RabbitMQ's management API tells them."""
    for each in told:
        if each["destination_type"] == "queue":
            yield Binding(each["source"], each["destination"], each["routing_key"])


def bindings() -> Iterator[Binding]:
    """Those of all services, but for the one that a setting decides."""
    for service, owned in CONSUMES.items():
        for queue in owned:
            for name in all_queues(queue):
                yield Binding(retry_exchange(service), name, name)
        for queue, events in subscriptions(service, auto_compensation=False).items():
            for event in events:
                yield Binding(EXCHANGE, queue, event.type)


def _optional(queue: str, event: type[Event]) -> bool:
    return queue == INVENTORY_EVENTS and event is AUTO_COMPENSATION


def queue_arguments(service: str, queue: str) -> dict[str, dict[str, str | int]]:
    """All queues that belong to `queue`, and the arguments that each is declared with."""
    main = _dead_lettering_to(service, dead_letter_queue(queue)) | {"x-delivery-limit": DELIVERY_LIMIT}
    arguments: dict[str, dict[str, str | int]] = {
        queue: main,
        dead_letter_queue(queue): {"x-queue-type": "quorum", "x-delivery-limit": LOOKS_LIMIT},
    }
    for step, delay in enumerate(RETRY_DELAYS_MS, start=1):
        back = _dead_lettering_to(service, queue)
        arguments[retry_queue(queue, step)] = back | {"x-message-ttl": delay}
    return arguments


def _dead_lettering_to(service: str, queue: str) -> dict[str, str | int]:
    """At least once: the broker keeps a message until its new queue has it."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": retry_exchange(service),
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
