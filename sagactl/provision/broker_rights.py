"""What each user may do on RabbitMQ, as the contract has it: patterns of names, and of routing keys.

`configure` makes and deletes; `write` publishes to an exchange and binds a queue; `read` consumes a queue and
binds to an exchange. A topic permission says which routing keys may be published, and which may be bound to.
"""

import re
from collections.abc import Iterable
from typing import Final

from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, ENGINES, EXCHANGE, PUBLISHES

CONTROL: Final = "sagactl"
CONSOLE: Final = "console"
# For people: they see what waits, look at dead letters, and hand them back.
TOOLS: Final = (CONTROL, CONSOLE)
BROKER_USERS: Final = (*sorted(ENGINES), *TOOLS)


def permissions(user: str) -> dict[str, str]:
    """RabbitMQ's three patterns of object names for a user."""
    if user in TOOLS:  # redrive: takes dead letters, hands them back to their service's own exchange
        dead = [topology.dead_letter_queue(queue) for queues in CONSUMES.values() for queue in queues]
        return {
            "configure": _one_of(()),
            "write": _one_of(map(topology.retry_exchange, CONSUMES)),
            "read": _one_of(dead),
        }
    queues = CONSUMES.get(user, {})
    # Whoever consumes has an exchange of its own, through which retries and dead letters come to its queues.
    retry = [topology.retry_exchange(user)] if queues else []
    owned = [name for queue in queues for name in topology.all_queues(queue)]
    # To declare a queue that dead-letters takes the right to read it; dead letters are read by `sagactl`.
    read = [name for queue in queues for name in topology.all_queues(queue)[:-1]]
    return {
        "configure": _one_of([*retry, *owned]),
        "write": _one_of([*retry, *owned, *([EXCHANGE] if user in PUBLISHES else [])]),
        "read": _one_of([*retry, *read, *([EXCHANGE] if queues else [])]),
    }


def topic_permissions(user: str) -> dict[str, str]:
    """The event types that a user may publish, and those that it may bind its queues to."""
    bound = {event.type for events in CONSUMES.get(user, {}).values() for event in events}
    return {
        "exchange": EXCHANGE,
        "write": _one_of(event.type for event in PUBLISHES.get(user, ())),
        "read": _one_of(bound),
    }


def _one_of(names: Iterable[str]) -> str:
    """A pattern of these names. None is that of the default exchange, which is `amq.default` here."""
    escaped = sorted(map(re.escape, names))
    return f"^({'|'.join(escaped)})$" if escaped else "^$"
