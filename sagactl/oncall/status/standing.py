"""How the shop stands, and what of that is wrong. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from msgspec import Struct

from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.wording import plural
from services.shared.contract.events import CONSUMES, EXCHANGE, OPTIONAL, WHERE_IT_RUNS
from services.shared.contract.topology import Binding, all_queues, bindings

# While everything runs, an event leaves its outbox within milliseconds, and its row within two seconds.
OUTBOX_WAITS_AT_MOST: Final = timedelta(seconds=30)
# An order waits for a slow payment no longer than that, and a sweep compensates it then.
OPEN_AT_MOST: Final = timedelta(minutes=5)
# More messages than that wait in a queue only where its consumer cannot keep up.
QUEUE_AT_MOST: Final = 1000

# Of how many orders come, and are refused, those of so long tell.
LATELY: Final = timedelta(seconds=30)
# Of orders, those that are quick enough for what is told of how long they take.
SETTLED_SHARE: Final = 0.95
# Of the rules about late orders, too (charts/sagashop/rules/slo.yaml).
PROMISED: Final = timedelta(seconds=10)


class Depth(Struct, frozen=True, rename="camel", kw_only=True):
    """A queue of a service: its messages, with those that a consumer holds; those that are tried again later;
    those that were given up.
    """

    queue: str
    service: str
    messages: int
    consumers: int
    retrying: int
    dead: int
    # Seconds that the oldest of its messages has waited at least; 0 where that is too short to be noticed.
    waits: float = 0
    # Whether the broker has it.
    exists: bool = True


class Unbound(Struct, frozen=True, rename="camel"):
    """A queue that events do not come to, though they should."""

    queue: str
    # Whose it is: itself, or the one whose dead letters or retries are in it.
    of: str
    service: str
    exchange: str
    # By which it is not bound to it: events' types, or its own name.
    keys: tuple[str, ...]
    # Those of them that are lost to it, as other queues take them; without any the publisher keeps an event.
    lost: tuple[str, ...]


class Node(Struct, frozen=True, rename="camel"):
    """One of the broker's."""

    name: str
    runs: bool
    # Of which it has too little: memory, disk. Then no node takes messages.
    short_of: tuple[str, ...] = ()


class Backlog(Struct, frozen=True, rename="camel"):
    """So many of a kind, and since when the oldest is there."""

    of: str
    number: int
    since: datetime
    oldest: str


class Settling(Struct, frozen=True, rename="camel"):
    """How long orders took from being placed to their end: the latest of the last hour, without those of the
    last minute, of which only the quick ones could be there.
    """

    # How many were looked at.
    orders: int
    # Seconds within which 95 of 100 of them were; None where fewer have come to their end by now.
    within: float | None
    # How many were not within what is promised, or are not by now.
    late: int


class Part(StrEnum):
    """What is asked for by itself: it is told though the others do not answer."""

    QUEUES = "queues"
    BINDINGS = "bindings"
    NODES = "nodes of the broker"
    OUTBOXES = "outboxes"
    ORDERS = "open orders"
    MARKED = "marked orders"
    REFUSED = "refused refunds"
    PLACED = "how many orders come"
    SHED = "how many new orders are refused"
    SETTLING = "how long orders take"


class Unseen(Struct, frozen=True, rename="camel"):
    """A part that could not be looked at."""

    part: Part
    # The service whose part it is; None for that of all.
    service: str | None
    why: str
    # How a command ends for that reason (docs/sagactl.md).
    code: int

    @property
    def name(self) -> str:
        return f"{self.part} of {self.service}" if self.service else self.part


class Status(Document, frozen=True, kw_only=True):
    at: datetime
    # None while they are unseen.
    queues: tuple[Depth, ...] | None
    # Queues that lack a binding.
    unbound: tuple[Unbound, ...] = ()
    nodes: tuple[Node, ...] = ()
    # Events that the broker has not confirmed, by service.
    outboxes: tuple[Backlog, ...] = ()
    # Orders to which something is still to come, by state.
    orders: tuple[Backlog, ...] = ()
    # Orders that are marked for somebody to look at.
    marked: int = 0
    # Orders of which the payment gateway refuses a refund.
    refused: int = 0
    # None where there were no orders, or while it is unseen.
    settling: Settling | None = None
    # Orders that were placed, a second, in the last half minute; None while it is unseen.
    placed: float | None = None
    # New orders that were refused in the last half minute; None while it is unseen.
    shed: int | None = None
    # What is wrong, as far as anybody can see.
    problems: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    @property
    def code(self) -> int:
        """How the command ends: what is wrong is certain, whatever else could not be seen."""
        if self.problems:
            return Exit.BAD
        return min((each.code for each in self.unseen), default=Exit.FINE)


def depths(found: Mapping[str, tuple[int, int]], waits: Mapping[str, float] | None = None) -> Iterator[Depth]:
    """Of every queue that there should be: not of a service that the shop does without. `found`: queue ->
    messages, consumers; retry queues and dead letters, too. `waits`: queue -> for how many seconds its oldest
    message does.
    """
    for service, queues in CONSUMES.items():
        for queue in queues:
            if service in OPTIONAL and not any(map(any, (found.get(each, ()) for each in all_queues(queue)))):
                continue
            *live, dead = all_queues(queue)
            messages, consumers = found.get(queue, (0, 0))
            yield Depth(
                queue=queue,
                service=service,
                messages=messages,
                consumers=consumers,
                retrying=sum(found.get(retry, (0, 0))[0] for retry in live[1:]),
                dead=found.get(dead, (0, 0))[0],
                waits=(waits or {}).get(queue, 0),
                exists=queue in found,
            )


def unbound(depths: Iterable[Depth], found: Collection[Binding]) -> Iterator[Unbound]:
    """What the queues lack that are there. What comes to one of an optional service only where that runs is
    missed only where somebody consumes it.
    """
    taken = {each.key for each in found if each.exchange == EXCHANGE}
    for depth in depths:
        names = set(all_queues(depth.queue)) if depth.exists else set()
        left_out = {event.type for event in WHERE_IT_RUNS.get(depth.queue, ())} if not depth.consumers else ()
        missing: dict[tuple[str, str], list[str]] = {}
        for each in bindings():
            if each.queue in names and each not in found and each.key not in left_out:
                missing.setdefault((each.queue, each.exchange), []).append(each.key)
        for (queue, exchange), keys in missing.items():
            lost = tuple(key for key in keys if exchange == EXCHANGE and key in taken)
            yield Unbound(queue, depth.queue, depth.service, exchange, tuple(keys), lost)


def problems(status: Status) -> Iterator[str]:
    """A sentence each, with what to type next."""
    for node in status.nodes:
        yield from of_node(node)
    for each in status.queues or ():
        yield from _of_queue(each)
    for queue in status.unbound:
        yield from _of_bindings(queue)
    for outbox in status.outboxes:
        age = status.at - outbox.since
        if age > OUTBOX_WAITS_AT_MOST:
            yield (
                f"{outbox.of} does not get its events out: {outbox.number} in its outbox, the oldest for "
                f"{said(age)}. Is the broker up, and does it reach it?"
            )
    yield from _of_orders(status)


def _of_orders(status: Status) -> Iterator[str]:
    if status.shed:
        yield (
            f"{plural(status.shed, 'new order')} refused in the last {said(LATELY)}: more come than can be "
            "served, or a server is slow"
        )
    for orders in status.orders:
        age = status.at - orders.since
        if age > OPEN_AT_MOST:
            yield f"an order has been {orders.of} for {said(age)}. See sagactl explain {orders.oldest}"
    if status.marked:
        yield f"orders that contradict what happened: {status.marked}. See sagactl orders list --marked"
    if status.refused:
        yield f"orders whose refund the payment gateway refuses: {status.refused}. See sagactl payments list"


def of_node(node: Node) -> Iterator[str]:
    if not node.runs:
        yield f"node {node.name} of RabbitMQ does not run"
    if node.short_of:
        yield (
            f"RabbitMQ takes no messages, as {node.name} is short of {' and '.join(node.short_of)}: orders "
            "are taken, and none goes on"
        )


def _of_bindings(unbound: Unbound) -> Iterator[str]:
    """Each service binds its queues again every half minute."""
    queue, service = unbound.queue, unbound.service
    if unbound.exchange != EXCHANGE:
        yield f"{queue} is not bound to {unbound.exchange}, through which {service} retries: is {service} up?"
        return
    if unbound.lost:
        yield (
            f"{queue} is not bound to {', '.join(unbound.lost)}: what of that is published now is lost to "
            f"{service}, until it has bound its queue again. Is it up? See sagactl check --live"
        )
    if waiting := [key for key in unbound.keys if key not in unbound.lost]:
        yield (
            f"{queue} is not bound to {', '.join(waiting)}: that waits in outboxes until {service} has bound "
            "its queue again. Is it up?"
        )


def _of_queue(depth: Depth) -> Iterator[str]:
    if not depth.exists:
        yield f"the broker has no queue {depth.queue}: {depth.service} has never declared it"
    elif not depth.consumers:
        yield f"nobody consumes {depth.queue}, where {depth.messages} wait: is {depth.service} up?"
    elif depth.messages > QUEUE_AT_MOST:
        yield f"{depth.messages} messages wait in {depth.queue}: {depth.service} cannot keep up"
    elif (age := timedelta(seconds=depth.waits)) > OPEN_AT_MOST:
        yield f"a message waits in {depth.queue} for at least {said(age)}: {depth.service} does not handle it"
    if depth.dead:
        yield f"dead letters of {depth.queue}: {depth.dead}. See sagactl letters list --queue {depth.queue}"


def settling(times: Sequence[timedelta | None]) -> Settling | None:
    """`times`: how long each order took, None for one that is not at its end."""
    if not times:
        return None
    ended = sorted(each for each in times if each is not None)
    rank = ceil(SETTLED_SHARE * len(times))
    return Settling(
        orders=len(times),
        within=round(ended[rank - 1].total_seconds(), 3) if rank <= len(ended) else None,
        late=len(times) - sum(each <= PROMISED for each in ended),
    )


def waited(depth: Depth) -> str:
    """For how long at least the oldest of its messages has; empty where that is too short to be noticed."""
    return said(timedelta(seconds=depth.waits)) if depth.waits else ""


def gaps(unseen: Iterable[Unseen]) -> Iterator[str]:
    """A sentence for each reason, with the parts that are unseen for it."""
    reasons: dict[str, list[str]] = {}
    for each in unseen:
        reasons.setdefault(each.why, []).append(each.name)
    for why, parts in reasons.items():
        yield f"{', '.join(parts)} cannot be seen: {why}"


def said(age: timedelta) -> str:
    """In the two largest units, such as `3 min 20 s`."""
    seconds = max(0, round(age.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    parts = ((days, "d"), (hours % 24, "h"), (minutes % 60, "min"), (seconds % 60, "s"))
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    shown = [f"{number} {unit}" for number, unit in parts[first : first + 2] if number]
    return " ".join(shown) or "0 s"
