"""What products are called and cost, from the product service.

One question for all requests that wait, and a short memory.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from services.shared.coalesce import Coalescer
from services.shared.contract import money
from services.shared.contract.decisions import Unavailable
from services.shared.http.peers import ask_by_ids

REMEMBERED_SECONDS: Final = 3.0
REMEMBERED_PRODUCTS: Final = 10_000
# Ids have 64 characters at most: a hundred make a URL of 6.5 KB, and the usual limit of servers is 8 KB.
ASKED_AT_ONCE: Final = 100
TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
# Of a 4xx answer: these are about the moment, and about none of the ids.
OF_THE_MOMENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
NO_PRICES: Final = "prices are unavailable at the moment: try again"
log = logging.getLogger(__name__)


class Product(Struct, frozen=True, rename="camel"):
    product_id: str
    name: str
    price: Decimal
    currency: str

    @property
    def minor_price(self) -> int:
        return money.to_minor(self.price, self.currency)


class _Page(Struct):
    items: list[Product]


class _QuestionRefused(Exception):
    """The product service will not answer for these ids, or for one of them."""


_DECODE: Final = msgspec.json.Decoder(_Page).decode


class Catalogue:
    """Remembers prices for a few seconds: a change of price reaches new orders that much later."""

    def __init__(self, session: aiohttp.ClientSession, product_url: str) -> None:
        self._session, self._url = session, f"{product_url}/api/products"
        self._known: dict[str, tuple[Product, float]] = {}
        self._coalescer = Coalescer(
            self._fetch, most_at_once=ASKED_AT_ONCE, unavailable=Unavailable, share=True
        )

    async def products(self, ids: Collection[str]) -> Mapping[str, Product | None]:
        """Each id's product, or None where there is none. Raises Unavailable."""
        now = time.monotonic()
        found: dict[str, Product | None] = {
            id_: known[0] for id_ in ids if (known := self._known.get(id_)) is not None and now < known[1]
        }
        missing = [id_ for id_ in ids if id_ not in found]
        try:
            answers = await self._coalescer.ask_all(missing)
        except _QuestionRefused as error:
            raise Unavailable(NO_PRICES) from error
        return found | dict(zip(missing, answers, strict=True))

    async def _fetch(self, ids: Sequence[str]) -> Sequence[Product | None]:
        """Asks the product service. Raises Unavailable, or _QuestionRefused where the ids may be why."""
        try:
            page = await ask_by_ids(self._session, self._url, ids, _DECODE, TIMEOUT)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            if _may_be_the_ids(error):
                log.warning("the product service refuses to answer for %d products: %s", len(ids), error)
                raise _QuestionRefused from error
            log.warning("no prices from the product service: %s", str(error) or type(error).__name__)
            raise Unavailable(NO_PRICES) from error
        products = {product.product_id: product for product in page.items}
        self._remember(products)
        return [products.get(id_) for id_ in ids]

    def _remember(self, products: Mapping[str, Product]) -> None:
        """What does not exist may be created any moment: only what exists is remembered."""
        until = time.monotonic() + REMEMBERED_SECONDS
        if len(self._known) > REMEMBERED_PRODUCTS:
            self._known.clear()
        self._known.update((id_, (product, until)) for id_, product in products.items())


def _may_be_the_ids(error: Exception) -> bool:
    return (
        isinstance(error, aiohttp.ClientResponseError)
        and HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and error.status not in OF_THE_MOMENT
    )
