"""Reads how the shop stands: queues, outboxes, the orders that are open. Only reads."""

from collections.abc import AsyncIterator

from msgspec import structs
from pymongo import ASCENDING

from sagactl.access import Access
from sagactl.oncall.books import Books, reading
from sagactl.oncall.depths import depths as asked
from sagactl.oncall.status.standing import Backlog, Status, depths, problems
from services.order.model import OPEN, Order
from services.shared.contract.events import PUBLISHES
from services.shared.engine.leases import OUTBOX


async def read(where: Access) -> Status:
    """Raises PyMongoError or BrokerError where a server does not answer."""
    async with reading(where.mongodb_url) as books:
        marked = await books.of("order")[Order.collection].count_documents({"attention.0": {"$exists": True}})
        found = Status(
            at=await books.now(),
            queues=tuple(depths(await asked(where.management_url, where.amqp_url))),
            outboxes=tuple([each async for each in _outboxes(books)]),
            orders=tuple([each async for each in _open_orders(books)]),
            marked=marked,
        )
    return structs.replace(found, problems=tuple(problems(found)))


async def _open_orders(books: Books) -> AsyncIterator[Backlog]:
    orders = books.of("order")[Order.collection]
    for status in OPEN:
        query = {"status": status}
        oldest = await orders.find_one(query, {"stateSince": 1}, sort=[("stateSince", ASCENDING)])
        if oldest is not None:
            yield Backlog(status, await orders.count_documents(query), oldest["stateSince"], oldest["_id"])


async def _outboxes(books: Books) -> AsyncIterator[Backlog]:
    """Outboxes are short but for an outage: they are read to their end."""
    for service in PUBLISHES:
        rows = [row async for row in books.of(service)[OUTBOX].find({}, {"at": 1, "events.id": 1})]
        if rows:
            oldest = min(rows, key=lambda row: row["at"])
            number = sum(len(row["events"]) for row in rows)
            yield Backlog(service, number, oldest["at"], str(oldest["_id"]))
