"""Since when fulfilment hears of orders: it has to know of every one that was paid since then. Only reads."""

from datetime import datetime

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.books import Books
from sagactl.oncall.depths import bound
from services.shared.contract.events import FULFILMENT, OrderPaid


async def ships_since(books: Books, access: Access) -> datetime | None:
    """None where it hears of none: it does not run, by what leads to its queue, or nothing was paid yet.

    Raises BrokerError or PyMongoError where a server does not answer.
    """
    queues = await broker.listed(access.management_url, broker.vhost_of(access.amqp_url))
    if all(queue["name"] != FULFILMENT for queue in queues):
        return None
    keys = await bound(access.management_url, access.amqp_url, FULFILMENT)
    return await books.ships_since() if OrderPaid.type in keys else None
