"""RabbitMQ as far as the engine relies on it: exchanges, queues, retries, consumers, dead letters.

What is confirmed is in its queues; what is not acknowledged is delivered again. Routed messages may be slow,
overtake each other, and come twice.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from pamqp.commands import Basic

from dev.simulate.dice import Dice, Fault
from dev.simulate.history import History

DELAYED_SECONDS: Final = 8.0
ON_THE_WAY_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a queue."""

    properties: Basic.Properties
    body: bytes
    # How often it was returned to the queue.
    returns: int = 0

    @property
    def id(self) -> str:
        return str(self.properties.message_id)

    def __str__(self) -> str:
        return f"{self.properties.message_type} of {self.properties.correlation_id} ({self.id[:8]})"


class Receiver(Protocol):
    """A consumer's channel, as the broker sees it."""

    def has_room(self) -> bool: ...

    def deliver(self, queue: "Queue", message: Stored) -> None: ...


@dataclass(slots=True)
class Queue:
    name: str
    arguments: Mapping[str, Any]
    ready: deque[Stored] = field(default_factory=deque)
    receivers: deque[Receiver] = field(default_factory=deque)
    # Delivered, and not acknowledged.
    unacknowledged: int = 0

    @property
    def lifetime_seconds(self) -> float | None:
        milliseconds = self.arguments.get("x-message-ttl")
        return None if milliseconds is None else milliseconds / 1000


# What is told of every acknowledgement: the queue, the message.
Acknowledged = Callable[[str, Stored], None]


class Broker:
    def __init__(self, dice: Dice, history: History, acknowledged: Acknowledged) -> None:
        self._dice, self._history, self.acknowledged = dice, history, acknowledged
        self.queues: dict[str, Queue] = {}
        self._bindings: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self.stalled_until = 0.0
        self.up = True
        # Messages between an exchange and a queue.
        self.under_way = 0
        # How often an event reached any queue.
        self.routed: defaultdict[str, int] = defaultdict(int)
        # (queue, message id): copies that the broker has, by where they went.
        self.copied: defaultdict[tuple[str, str], int] = defaultdict(int)

    # --- topology ---------------------------------------------------------------------------------------

    def declare(self, name: str, arguments: Mapping[str, Any]) -> int:
        queue = self.queues.setdefault(name, Queue(name, dict(arguments)))
        return len(queue.ready)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        self._bindings[exchange, key][queue] = None

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        self._bindings[exchange, key].pop(queue, None)

    # --- in ---------------------------------------------------------------------------------------------

    def publish(self, exchange: str, key: str, message: Stored) -> bool:
        """Whether there is a queue for it."""
        queues = list(self._bindings[exchange, key])
        for name in queues:
            self._route(self.queues[name], message)
        if queues:
            self.routed[message.id] += 1
            self._history.note("broker", f"routes {message} to {', '.join(queues)}")
        return bool(queues)

    def _route(self, queue: Queue, message: Stored) -> None:
        origin = _origin(queue.name)
        if origin != queue.name:
            self.copied[origin, message.id] += 1
        place = self._dice.at(f"queue {queue.name}")
        fault = place.fate(Fault.DELAYED, Fault.TWICE)
        mean = DELAYED_SECONDS if fault is Fault.DELAYED else ON_THE_WAY_SECONDS
        if fault is not None:
            self._history.note("broker", f"{message} to {queue.name}: {fault}")
        for _ in range(2 if fault is Fault.TWICE else 1):
            self.under_way += 1
            asyncio.get_running_loop().call_later(place.seconds(mean), self._enqueue, queue, message)

    def _enqueue(self, queue: Queue, message: Stored) -> None:
        self.under_way -= 1
        queue.ready.append(message)
        if (lifetime := queue.lifetime_seconds) is not None:
            asyncio.get_running_loop().call_later(lifetime, self._expire, queue, message)
        self.pump(queue)

    def _expire(self, queue: Queue, message: Stored) -> None:
        queue.ready.remove(message)
        self._dead_letter(queue, message)

    def _dead_letter(self, queue: Queue, message: Stored) -> None:
        exchange = queue.arguments["x-dead-letter-exchange"]
        self.publish(exchange, queue.arguments["x-dead-letter-routing-key"], replace(message, returns=0))

    # --- out --------------------------------------------------------------------------------------------

    def pump(self, queue: Queue) -> None:
        """Delivers as much as there is room for, to one consumer after another."""
        passed = 0
        while queue.ready and passed < len(queue.receivers):
            receiver = queue.receivers[0]
            queue.receivers.rotate(-1)
            if receiver.has_room():
                passed = 0
                queue.unacknowledged += 1
                receiver.deliver(queue, queue.ready.popleft())
            else:
                passed += 1

    def acknowledge(self, queue: Queue, message: Stored) -> None:
        queue.unacknowledged -= 1
        self._history.note("broker", f"is told that {message} on {queue.name} is done")
        self.acknowledged(queue.name, message)

    def give_back(self, queue: Queue, messages: list[Stored]) -> None:
        """A consumer is gone: what it had is delivered again, in its old place."""
        queue.unacknowledged -= len(messages)
        for message in reversed(messages):
            returned = replace(message, returns=message.returns + 1)
            if returned.returns > queue.arguments.get("x-delivery-limit", 0):
                self._dead_letter(queue, returned)
            else:
                queue.ready.appendleft(returned)
        self.pump(queue)

    # --- looked at --------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """But for dead letters."""
        return not self.under_way and not any(
            queue.ready or queue.unacknowledged for queue in self.queues.values() if not is_dead(queue.name)
        )

    def dead_letters(self) -> list[tuple[Queue, Stored]]:
        return [
            (queue, message)
            for queue in self.queues.values()
            if is_dead(queue.name)
            for message in queue.ready
        ]


def is_dead(queue: str) -> bool:
    return queue.endswith(".dlq")


def _origin(queue: str) -> str:
    """The queue whose retries or dead letters are kept in `queue`; or itself."""
    return queue.removesuffix(".dlq").split(".retry.")[0]
