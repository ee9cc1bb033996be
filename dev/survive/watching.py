"""The live check looks on while the shop is hurt: what is unsettled is on its way, and nothing is wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aio_pika.exceptions import AMQPError
from pymongo.errors import PyMongoError

from dev.survive.site import Site
from dev.survive.verdict import without_rubbish
from sagactl.access import Access
from sagactl.faults import UnavailableError
from sagactl.oncall.live.checking import check_live
from services.payment.gateway import GatewayUnavailable
from services.shared.waiting import end

# Its reading costs the shop something, on two cores.
PAUSE_SECONDS: Final = 5.0
# While a server is hurt there is nothing to be looked at.
CANNOT_LOOK: Final = (PyMongoError, AMQPError, OSError, TimeoutError, UnavailableError, GatewayUnavailable)


@asynccontextmanager
async def watched(site: Site) -> AsyncIterator[None]:
    """Whatever the live check names meanwhile is a remark of the site's: it is a false alarm."""
    watching = asyncio.create_task(_watch(site))
    try:
        yield
    finally:
        await end([watching])
    if not watching.cancelled():
        watching.result()


async def _watch(site: Site) -> None:
    access = Access.of_stack(site.stack.directory)
    while True:
        with suppress(*CANNOT_LOOK):
            found = (await check_live(access)).findings
            ours = {*site.products, *(each.order_id for each in site.traffic.accepted)}
            wrong = without_rubbish(found, ours) if site.threw_rubbish else found
            site.expect(
                holds=not wrong,
                otherwise=f"the live check named what was under way: {len(wrong)}",
                ids=[f"{each.subject}: {each.what}" for each in wrong],
            )
        await asyncio.sleep(PAUSE_SECONDS)
