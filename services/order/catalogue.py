"""What products cost, from the product service: one question for all requests that wait, a short memory."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from services.shared import telemetry
from services.shared.contract import money
from services.shared.contract.decisions import Unavailable

REMEMBERED_SECONDS: Final = 3.0
REMEMBERED_PRODUCTS: Final = 10_000
ASKED_AT_ONCE: Final = 200
TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
log = logging.getLogger(__name__)


class Product(Struct, frozen=True, rename="camel"):
    product_id: str
    price: Decimal
    currency: str

    @property
    def minor_price(self) -> int:
        return money.to_minor(self.price, self.currency)


class _Page(Struct):
    items: list[Product]


_DECODE: Final = msgspec.json.Decoder(_Page).decode


class Catalogue:
    """Remembers prices for a few seconds: a change of price reaches new orders that much later."""

    def __init__(self, session: aiohttp.ClientSession, product_url: str) -> None:
        self._session, self._url = session, f"{product_url}/api/products"
        self._known: dict[str, tuple[Product | None, float]] = {}
        self._wanted: dict[str, asyncio.Future[Product | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def products(self, ids: Collection[str]) -> Mapping[str, Product | None]:
        """Each id's product, or None where there is none. Raises Unavailable."""
        now = time.monotonic()
        found: dict[str, Product | None] = {}
        waiting: dict[str, asyncio.Future[Product | None]] = {}
        for id_ in ids:
            product, until = self._known.get(id_, (None, 0.0))
            if now < until:
                found[id_] = product
            else:
                waiting[id_] = self._want(id_)
        for id_, future in waiting.items():
            found[id_] = await asyncio.shield(future)
        return found

    def _want(self, id_: str) -> asyncio.Future[Product | None]:
        future = self._wanted.get(id_)
        if future is None:
            future = self._wanted[id_] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return future

    async def _ask(self) -> None:
        while self._wanted:
            batch = dict(list(self._wanted.items())[:ASKED_AT_ONCE])
            for id_ in batch:
                del self._wanted[id_]
            try:
                products = await self._fetch(batch)
            except Unavailable as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # whoever waited may have gone
                continue
            until = time.monotonic() + REMEMBERED_SECONDS
            if len(self._known) > REMEMBERED_PRODUCTS:
                self._known.clear()
            for id_, future in batch.items():
                # What is not there may be created any moment: only what exists is remembered.
                if (product := products.get(id_)) is not None:
                    self._known[id_] = (product, until)
                future.set_result(product)

    async def _fetch(self, ids: Collection[str]) -> Mapping[str, Product]:
        headers = {"traceparent": trace} if (trace := telemetry.current_traceparent()) else {}
        try:
            async with self._session.get(
                self._url, params={"ids": ",".join(ids)}, headers=headers, timeout=TIMEOUT
            ) as response:
                response.raise_for_status()
                page = _DECODE(await response.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            log.warning("the product service does not answer: %s", str(error) or type(error).__name__)
            raise Unavailable("prices cannot be had at the moment") from error
        return {product.product_id: product for product in page.items}
