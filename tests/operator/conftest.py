"""Servers for the operator's tests: an order service on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.operator.order_service import FakeOrderService


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def order_service(stack: AsyncExitStack) -> FakeOrderService:
    return await FakeOrderService().start(stack)


@pytest.fixture
async def session(stack: AsyncExitStack) -> aiohttp.ClientSession:
    return await stack.enter_async_context(aiohttp.ClientSession())
