"""The order service asks the product service for prices: together for all orders that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from services.order.catalogue import ASKED_AT_ONCE, Catalogue
from services.shared.contract.decisions import Unavailable
from tests.integration.products import Products, selling

LARGEST_URL = 8_190  # of aiohttp's server, nginx and others; uvicorn takes more
WITHIN = 10.0


@pytest_asyncio.fixture
async def products() -> AsyncIterator[Products]:
    async with selling() as products:
        yield products


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
