"""Plans are made of what is read. Only reads."""

from collections.abc import Sequence
from datetime import timedelta

from msgspec import structs

from sagactl.access import Access
from sagactl.oncall.books import Books, reading
from sagactl.oncall.explain.reading import products_of
from sagactl.oncall.live.judging import STILL
from sagactl.oncall.live.looking import WATCH, Watch, look_again
from sagactl.oncall.repair.plan import Plan
from sagactl.oncall.repair.planning import plan


async def plans(
    access: Access, ids: Sequence[str], still: timedelta = STILL, watch: Watch = WATCH
) -> list[Plan]:
    """What is to be done to each of these orders, of those that nobody has touched for a while. Only reads.

    Raises PyMongoError, AMQPError, OSError or BrokerError where a server does not answer.
    """
    async with reading(access.mongodb_url) as books:
        return await plans_in(books, access, ids, still, watch)


async def plans_in(
    books: Books, access: Access, ids: Sequence[str], still: timedelta, watch: Watch
) -> list[Plan]:
    marks = await look_again(books, access, await books.cases_of(ids), watch)
    products = sorted({id_ for each in marks for id_ in products_of(each.case)})
    stock, held = await books.stock_and_reservations(products)
    of_one_instant = {each.id: each for each in stock}
    return [plan(structs.replace(each, stock=of_one_instant), held, still) for each in marks]
