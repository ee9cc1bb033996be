"""What a payment gateway of others' has done, as the books have it of the mock: entries, by order."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from sagactl.access import stripe
from services.payment.gateway import Gateway
from services.payment.ledger import LedgerEntry
from services.shared.database.new_id import made_at

# Calls at a time, where each order is asked for by itself.
AT_ONCE: Final = 8
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
# By so much the gateway's clock may be behind ours.
CLOCKS: Final = timedelta(days=1)


class Listed(NamedTuple):
    """Everything that it did since some time."""

    by_order: Mapping[str, Sequence[LedgerEntry]]
    # In order.
    orders: Sequence[str]

    def after(self, last: str, limit: int) -> Sequence[str]:
        """The next orders that it knows of."""
        start = bisect_right(self.orders, last)
        return self.orders[start : start + limit]


@asynccontextmanager
async def opened() -> AsyncIterator[Gateway | None]:
    """The gateway that the settings name, only to be read; None for the mock. Raises NoAccessError."""
    access = stripe()
    if access is None:
        yield None
        return
    # Whoever is paid through another gateway does not wait for its library.
    from services.payment.stripe_gateway import StripeGateway  # noqa: PLC0415

    gateway = StripeGateway(access.key, return_url="", url=access.url, only_reads=True)
    try:
        yield gateway
    finally:
        await gateway.close()


async def listed(gateway: Gateway, after: str = "") -> Listed:
    """What it did for the orders after that one, and perhaps for some before. Raises GatewayUnavailable."""
    ordered_at = made_at(after)
    by_order: dict[str, list[LedgerEntry]] = {}
    async for each in gateway.transactions(ordered_at - CLOCKS if ordered_at else LONG_AGO):
        by_order.setdefault(each.order_id, []).append(LedgerEntry.of(each))
    return Listed(by_order, sorted(by_order))


async def asked(gateway: Gateway, references: Mapping[str, str]) -> Mapping[str, Sequence[LedgerEntry]]:
    """What it did for these orders, each with what it calls the charge, as far as we know that.

    Raises GatewayUnavailable.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def one(order_id: str, reference: str) -> Sequence[LedgerEntry]:
        async with places:
            return [LedgerEntry.of(each) for each in await gateway.made_for(order_id, reference)]

    found = await asyncio.gather(*(one(*each) for each in references.items()))
    return dict(zip(references, found, strict=True))
