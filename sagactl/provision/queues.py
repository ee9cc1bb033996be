"""Makes every queue of the contract before anybody can publish: what comes before a consumer waits for it.

Each service declares its own queues when it starts. An event that goes to several of them, and is published
while some are not there yet, is confirmed by the broker and never reaches those.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from sagactl.provision.management import Management
from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, EXCHANGE, WHERE_IT_RUNS
from services.shared.contract.topology import Binding

# Requests at the same time.
AT_ONCE: Final = 8


class Queue(NamedTuple):
    service: str
    name: str
    arguments: Mapping[str, str | int]


def queues() -> Iterator[Queue]:
    for service, owned in CONSUMES.items():
        for queue in owned:
            for name, arguments in topology.queue_arguments(service, queue).items():
                yield Queue(service, name, arguments)


def bindings(absent: Collection[str] = ()) -> Iterator[Binding]:
    """All but the one that a setting decides, which the service itself makes, and those of services that are
    `absent`, to which nobody sends.
    """
    left_out = {*unwanted(absent)}
    yield from (each for each in topology.bindings() if each not in left_out)


def unwanted(absent: Collection[str]) -> Iterator[Binding]:
    """What would fill the queues of optional services that do not run."""
    for service in absent:
        for queue in CONSUMES[service]:
            yield from (Binding(EXCHANGE, queue, event.type) for event in WHERE_IT_RUNS.get(queue, ()))


class TooFewNodesError(ConnectionError):
    """Nodes of the cluster are still to come: a queue has its members on those that ran when it was made."""


async def declare_all(broker: Management, nodes: int, absent: Collection[str] = ()) -> None:
    """Makes everything that is missing, once so many nodes run, and changes nothing that is there, but for
    the queues of services that are `absent`: they are not filled any more.

    Raises TooFewNodesError, and what `Management` does.
    """
    room, there = broker.room, await broker.names("queues")
    missing = [queue for queue in queues() if queue.name not in there]
    if missing and (running := await broker.running_nodes()) < nodes:
        raise TooFewNodesError(f"{running} of {nodes} nodes of the broker run")
    kinds = {EXCHANGE: "topic"} | {topology.retry_exchange(service): "direct" for service in CONSUMES}
    await _some_at_once(
        partial(broker.put, f"exchanges/{room}/{name}", {"type": kind, "durable": True})
        for name, kind in kinds.items()
    )
    await _some_at_once(
        partial(
            broker.put, f"queues/{room}/{queue.name}", {"durable": True, "arguments": dict(queue.arguments)}
        )
        for queue in missing
    )
    await _some_at_once(
        partial(broker.post, f"bindings/{room}/e/{each.exchange}/q/{each.queue}", {"routing_key": each.key})
        for each in bindings(absent)
    )
    await _some_at_once(
        partial(broker.delete, f"bindings/{room}/e/{each.exchange}/q/{each.queue}/{each.key}")
        for each in unwanted(absent)
    )


async def _some_at_once(requests: Iterable[Callable[[], Awaitable[None]]]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(request: Callable[[], Awaitable[None]]) -> None:
        async with slots:
            await request()

    await asyncio.gather(*map(one, requests))
