"""How much there is of products, from the inventory service: one question for a whole list."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from services.shared.http.peers import ask_by_ids

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
log = logging.getLogger(__name__)


class Stock(Struct, frozen=True, rename="camel"):
    product_id: str
    available: int


class _Page(Struct):
    items: list[Stock]


_DECODE: Final = msgspec.json.Decoder(_Page).decode


class Stocks:
    """Nothing is remembered: stock changes with every order."""

    def __init__(self, session: aiohttp.ClientSession, inventory_url: str) -> None:
        self._session, self._url = session, f"{inventory_url.rstrip('/')}/api/inventory"

    async def available(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Pieces of those products whose stock is known. A catalogue without stock is better than none."""
        if not ids:
            return {}
        try:
            page = await ask_by_ids(self._session, self._url, ids, _DECODE, TIMEOUT)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            log.warning("no stock from the inventory service: %s", str(error) or type(error).__name__)
            return {}
        return {stock.product_id: stock.available for stock in page.items}
