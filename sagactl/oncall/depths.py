"""How much is in every queue, whether anybody consumes it, and what leads to it."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from sagactl.oncall import broker
from services.shared.contract import topology

OURS: Final = frozenset(name for queue in broker.QUEUES for name in topology.all_queues(queue))


class Depth(NamedTuple):
    """Messages in a queue, those that a consumer holds included; and how many consumers there are."""

    number: int
    consumers: int


async def depths(management_url: str, amqp_url: str) -> Mapping[str, Depth]:
    """Of each of our queues that is there: of retry queues and dead letters, too.

    Raises BrokerError where the management API or the broker does not answer.
    """
    listed = await broker.listed(management_url, broker.vhost_of(amqp_url))
    ours = {str(queue["name"]): queue for queue in listed if queue["name"] in OURS}
    ready = await broker.ready_in(amqp_url, sorted(ours))
    # What is not gathered yet is not known to be empty.
    return {
        name: Depth(max(queue.get("messages", 1), ready[name]), queue.get("consumers", 0))
        for name, queue in ours.items()
    }


async def bound(management_url: str, amqp_url: str, queue: str) -> frozenset[str]:
    """The routing keys by which the queue is bound. Raises BrokerError where the API does not answer."""
    vhost = quote(broker.vhost_of(amqp_url), safe="")
    path = f"queues/{vhost}/{quote(queue, safe='')}/bindings"
    bindings = await broker.asked(management_url, path, f"queue {queue}")
    return frozenset(str(binding["routing_key"]) for binding in bindings)
