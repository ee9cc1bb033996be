"""Reads how the shop stands: queues, outboxes, the orders that are open. Only reads.

Each part by itself, and all at once: where a server does not answer, the rest is told.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from msgspec import structs
from pymongo import ASCENDING
from pymongo.errors import PyMongoError

from sagactl.access import Access
from sagactl.faults import Fault, answered
from sagactl.oncall import broker
from sagactl.oncall.books import Books
from sagactl.oncall.broker import QUEUES
from sagactl.oncall.depths import bindings
from sagactl.oncall.depths import depths as asked
from sagactl.oncall.status.standing import (
    LATELY,
    Backlog,
    Depth,
    Node,
    Part,
    Settling,
    Status,
    Unseen,
    depths,
    problems,
    settling,
    unbound,
)
from sagactl.oncall.waits import waits
from services.order import queries
from services.order.model import OPEN
from services.payment.queries import count_refused
from services.shared.contract.events import PUBLISHES
from services.shared.engine.leases import OUTBOX

# Longer than any server is waited for by its own client.
WITHIN_SECONDS: Final = 30.0
# By orders that were placed then it is told how long orders take, by so many of them at most.
SETTLED_SINCE: Final = timedelta(hours=1)
SETTLED_UNTIL: Final = timedelta(minutes=1)
SETTLED_LOOKED_AT: Final = 200
# What a node of the broker says it is short of, and that it says so; then nobody may publish.
ALARMS: Final = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
NODE: Final = ("name", "running", *ALARMS)
Found = TypeVar("Found")
Other = TypeVar("Other")


async def read(books: Books, where: Access, within: float = WITHIN_SECONDS) -> Status:
    """What there is to be seen `within` so many seconds; nothing is raised where a server does not answer."""
    # First, as of several questions that a database refuses at once its client tells only one why.
    now = asyncio.ensure_future(books.now())

    async def stored(part: Part, service: str | None, look: Callable[[], Awaitable[Found]]) -> Found | Unseen:
        async def looked() -> Found:
            await asyncio.shield(now)
            return await look()

        return await _seen(part, service, looked(), within)

    at, of_broker, orders, marked, of_orders, outboxes = await asyncio.gather(
        _at(now, within),
        asyncio.gather(
            _seen(Part.QUEUES, None, queues_of(where), within),
            _seen(Part.BINDINGS, None, bindings(where.management_url, where.amqp_url), within),
            _seen(Part.NODES, None, nodes_of(where), within),
        ),
        stored(Part.ORDERS, None, lambda: _open_orders(books, now.result())),
        stored(Part.MARKED, None, lambda: queries.count_attention(books.store("order"))),
        asyncio.gather(
            stored(Part.REFUSED, None, lambda: count_refused(books.store("payment"))),
            stored(Part.SETTLING, None, lambda: _settling(books, now.result())),
            stored(Part.PLACED, None, lambda: _placed(books, now.result())),
            stored(Part.SHED, None, lambda: queries.count_shed(books.store("order"), now.result() - LATELY)),
        ),
        asyncio.gather(*(stored(Part.OUTBOXES, each, partial(_outbox, books, each)) for each in PUBLISHES)),
    )
    queues, bound, nodes = of_broker
    refused, taken, placed, shed = of_orders
    found = Status(
        at=at,
        queues=_or(queues, None),
        unbound=() if isinstance(bound, Unseen) else tuple(unbound(_or(queues, ()), bound)),
        nodes=_or(nodes, ()),
        orders=_or(orders, ()),
        marked=_or(marked, 0),
        refused=_or(refused, 0),
        settling=_or(taken, None),
        placed=_or(placed, None),
        shed=_or(shed, None),
        outboxes=tuple(each for each in outboxes if isinstance(each, Backlog)),
        unseen=tuple(
            each
            for each in (queues, bound, nodes, orders, marked, refused, taken, placed, shed, *outboxes)
            if isinstance(each, Unseen)
        ),
    )
    return structs.replace(found, problems=tuple(problems(found)))


async def queues_of(where: Access) -> tuple[Depth, ...]:
    """Every queue that there should be. Raises BrokerError where the broker does not answer."""
    found = await asked(where.management_url, where.amqp_url)
    filled = [queue for queue in QUEUES if queue in found and found[queue].known]
    oldest = await waits(where.management_url, where.amqp_url, filled)
    return tuple(depths({name: (each.known, each.consumers) for name, each in found.items()}, oldest))


async def nodes_of(where: Access) -> tuple[Node, ...]:
    """Of the broker. Raises BrokerError where its management API does not answer."""
    told = await broker.asked(where.management_url, f"nodes?columns={','.join(NODE)}", "list of nodes")
    return tuple(
        Node(each["name"], each["running"], tuple(of for alarm, of in ALARMS.items() if each.get(alarm)))
        for each in told
    )


def _or(found: Found | Unseen, else_: Other) -> Found | Other:
    return else_ if isinstance(found, Unseen) else found


async def _seen(part: Part, service: str | None, looking: Awaitable[Found], within: float) -> Found | Unseen:
    found = await answered(looking, within)
    return Unseen(part, service, found.says, found.code) if isinstance(found, Fault) else found


async def _at(now: Awaitable[datetime], within: float) -> datetime:
    """By the database's clock, as what is read; by ours where nothing is read."""
    try:
        async with asyncio.timeout(within):
            return await asyncio.shield(now)
    except (PyMongoError, TimeoutError):
        return datetime.now(UTC)


async def _open_orders(books: Books, now: datetime) -> tuple[Backlog, ...]:
    store = books.store("order")
    found: list[Backlog] = []
    for status in OPEN:
        if (longest := await queries.longest(store, status)) is not None:
            number = await queries.count(store, status)
            # What the payment gateway decides later may take its time until then.
            found.append(Backlog(status, number, min(longest.since, now), longest.id))
    return tuple(found)


async def _settling(books: Books, now: datetime) -> Settling | None:
    since, until = now - SETTLED_SINCE, now - SETTLED_UNTIL
    return settling(await queries.times_to_end(books.store("order"), since, until, SETTLED_LOOKED_AT))


async def _placed(books: Books, now: datetime) -> float:
    """Orders a second."""
    number = await queries.count_placed(books.store("order"), now - LATELY, now)
    return round(number / LATELY.total_seconds(), 3)


async def _outbox(books: Books, service: str) -> Backlog | None:
    """The database counts: in an outage there are more than anybody wants to be sent."""
    rows = books.of(service)[OUTBOX]
    oldest = await rows.find_one({}, {"at": 1}, sort=[("_id", ASCENDING)])
    if oldest is None:
        return None
    sum_ = {"$group": {"_id": None, "number": {"$sum": {"$size": "$events"}}}}
    counted = await (await rows.aggregate([sum_])).to_list()
    # None where the last has left meanwhile.
    return Backlog(service, counted[0]["number"], oldest["at"], str(oldest["_id"])) if counted else None
