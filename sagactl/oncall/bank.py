"""What a payment gateway of others' has done, as the books have it of the mock: entries, by order."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from sagactl.access import NoAccessError, stripe
from services.payment.gateway import Gateway, Transaction
from services.payment.ledger import LedgerEntry
from services.payment.payment import Payment
from services.shared.database.new_id import made_at

# Calls at a time, where each order is asked for by itself.
AT_ONCE: Final = 8
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How Stripe begins the names of its intents.
STRIPES: Final = "pi_"
# By so much the gateway's clock may be behind ours.
CLOCKS: Final = timedelta(days=1)


class Listed:
    """Everything that it did since some time, by order. It may be more than fits into memory: it is in a file
    of SQLite's, which is gone once it is closed.
    """

    def __init__(self) -> None:
        # Of no name: SQLite begins in memory, and goes on in a file where temporary files are.
        self._database = sqlite3.connect("")
        self._database.execute(
            "CREATE TABLE done (order_id TEXT, number INTEGER, entry BLOB, PRIMARY KEY (order_id, number))"
            " WITHOUT ROWID"
        )
        self._number = 0

    def add(self, done: Transaction) -> None:
        """What it did next."""
        self._number += 1
        row = done.order_id, self._number, msgspec.msgpack.encode(done)
        self._database.execute("INSERT INTO done VALUES (?, ?, ?)", row)

    def after(self, last: str, limit: int) -> Sequence[str]:
        """The next orders that it knows of."""
        query = "SELECT DISTINCT order_id FROM done WHERE order_id > ? ORDER BY order_id LIMIT ?"
        return [order_id for (order_id,) in self._database.execute(query, (last, limit))]

    def of(self, order_id: str) -> Sequence[LedgerEntry]:
        """What it did for the order, the oldest first."""
        query = "SELECT entry FROM done WHERE order_id = ? ORDER BY number"
        found = self._database.execute(query, (order_id,))
        return [LedgerEntry.of(msgspec.msgpack.decode(entry, type=Transaction)) for (entry,) in found]

    def close(self) -> None:
        self._database.close()


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


@asynccontextmanager
async def listed(gateway: Gateway, after: str = "") -> AsyncIterator[Listed]:
    """What it did for the orders after that one, and perhaps for some before. Raises GatewayUnavailable."""
    ordered_at = made_at(after)
    with closing(Listed()) as found:
        async for each in gateway.transactions(ordered_at - CLOCKS if ordered_at else LONG_AGO):
            found.add(each)
        yield found


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


def check_played(payments: Iterable[Payment]) -> None:
    """Raises NoAccessError where Stripe took the money: of that the mock's ledger knows nothing."""
    for payment in payments:
        if payment.transaction_id.startswith(STRIPES):
            raise NoAccessError(
                f"order {payment.id} was paid through Stripe ({payment.transaction_id}): set"
                " PAYMENT_GATEWAY=stripe and STRIPE_API_KEY, as variables or as files in SECRETS_DIR"
            )
