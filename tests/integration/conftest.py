"""Room on real servers for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dev.stack import Stack
from tests.integration.issuer import Issuer, issuing
from tests.integration.room import Room, make_room


@pytest_asyncio.fixture
async def room(servers: Stack) -> AsyncIterator[Room]:
    async with make_room(servers) as room:
        yield room


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer
