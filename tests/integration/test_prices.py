"""The order service asks the product service for prices: together for all orders that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.order.catalogue import ASKED_AT_ONCE, Catalogue
from services.shared.contract.decisions import Unavailable

LARGEST_URL = 8_190  # of aiohttp's server, nginx and others; uvicorn takes more
WITHIN = 10.0


@dataclass
class Products:
    """A product service that has every product but `none`, and will not hear of a `poison`."""

    url: str = ""
    status: int = 200
    asked: list[list[str]] = field(default_factory=list)
    longest_url: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        ids = request.query["ids"].split(",")
        self.asked.append(ids)
        self.longest_url = max(self.longest_url, len(request.raw_path))
        if self.status != 200:
            return web.json_response({}, status=self.status)
        if "poison" in ids:
            return web.json_response({"detail": "that is no id"}, status=422)
        items = [{"productId": id_, "price": "9.99", "currency": "EUR"} for id_ in ids if id_ != "none"]
        return web.json_response({"items": items})


@pytest.fixture
async def products() -> AsyncIterator[Products]:
    service, app = Products(), web.Application()
    app.router.add_get("/api/products", service.answer)
    async with TestServer(app, skip_url_asserts=True) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service


@asynccontextmanager
async def catalogue_of(products: Products) -> AsyncIterator[Catalogue]:
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN):
        yield Catalogue(session, products.url)


async def test_an_order_that_the_product_service_refuses_takes_no_other_along(products: Products) -> None:
    async with catalogue_of(products) as catalogue:
        poisoned, innocent = await asyncio.gather(
            catalogue.products(["poison", "lamp"]), catalogue.products(["tea"]), return_exceptions=True
        )
    assert isinstance(poisoned, Unavailable)
    assert not isinstance(innocent, BaseException)
    assert innocent["tea"] is not None
    assert innocent["tea"].minor_price == 999


async def test_several_orders_ask_together_and_what_exists_is_remembered(products: Products) -> None:
    async with catalogue_of(products) as catalogue:
        await asyncio.gather(catalogue.products(["tea", "none"]), catalogue.products(["lamp", "tea"]))
        assert products.asked == [["tea", "none", "lamp"]]
        found = await catalogue.products(["lamp", "none"])
    assert products.asked[1:] == [["none"]]
    assert found["none"] is None
    assert found["lamp"] is not None


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_product_service_in_trouble_is_asked_once(products: Products, status: int) -> None:
    products.status = status
    async with catalogue_of(products) as catalogue:
        with pytest.raises(Unavailable):
            await catalogue.products(["tea", "lamp"])
    assert len(products.asked) == 1


async def test_an_error_that_nobody_foresaw_leaves_no_order_waiting(products: Products) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN):
        catalogue = Catalogue(session, products.url)
        await session.close()
        with pytest.raises(RuntimeError, match="closed"):
            await catalogue.products(["tea"])


async def test_the_longest_question_fits_into_a_url(products: Products) -> None:
    async with catalogue_of(products) as catalogue:
        await catalogue.products([f"{number:_<64}" for number in range(ASKED_AT_ONCE + 1)])
    assert [len(ids) for ids in products.asked] == [ASKED_AT_ONCE, 1]
    assert products.longest_url < LARGEST_URL
