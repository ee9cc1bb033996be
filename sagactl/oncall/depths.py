"""How much is in every queue, whether anybody consumes it, and what leads to it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sagactl.oncall import broker
from sagactl.oncall.broker import Ready
from services.shared.contract import topology
from services.shared.contract.topology import Binding

OURS: Final = frozenset(name for queue in broker.QUEUES for name in topology.all_queues(queue))


class Depth(NamedTuple):
    """How much is in a queue, and how many consumers there are."""

    # Those that no consumer has been given yet: the queue tells it at once.
    ready: int
    consumers: int
    # Those that a consumer holds included, some seconds late. None: the broker, just started, does not know.
    counted: int | None

    @property
    def known(self) -> int:
        """So many are in it, as far as anybody can tell: for people."""
        return max(self.counted or 0, self.ready)

    @property
    def number(self) -> int:
        """For whoever would call a message lost: a queue of which nothing is known may hold one."""
        return max(1, self.ready) if self.counted is None else self.known


async def depths(management_url: str, amqp_url: str) -> Mapping[str, Depth]:
    """Of each of our queues that is there: of retry queues and dead letters, too.

    Raises BrokerError where the management API or the broker does not answer.
    """
    listed = await broker.listed(management_url, broker.vhost_of(amqp_url), "name", "messages")
    ours = [queue for queue in listed if queue["name"] in OURS]
    return depths_of(ours, await broker.ready_in(amqp_url, sorted(queue["name"] for queue in ours)))


def depths_of(listed: Iterable[Mapping[str, Any]], ready: Mapping[str, Ready]) -> Mapping[str, Depth]:
    """`listed`: queues as the management API has them, without numbers while it has not gathered any."""
    told = ((queue, ready[queue["name"]]) for queue in listed)
    return {queue["name"]: Depth(*each, queue.get("messages")) for queue, each in told}


async def bindings(management_url: str, amqp_url: str) -> frozenset[Binding]:
    """Of all queues. Raises BrokerError where the management API does not answer."""
    vhost = broker.vhost_of(amqp_url)
    there = await broker.asked(management_url, f"bindings/{quote(vhost, safe='')}", f"vhost {vhost}")
    return frozenset(topology.bindings_told(there))


async def bound(management_url: str, amqp_url: str) -> Mapping[str, frozenset[str]]:
    """The routing keys by which each queue that is there is bound, by its name.

    Raises BrokerError where the management API does not answer.
    """
    keys: dict[str, set[str]] = {}
    for binding in await bindings(management_url, amqp_url):
        keys.setdefault(binding.queue, set()).add(binding.key)
    return {queue: frozenset(some) for queue, some in keys.items()}
