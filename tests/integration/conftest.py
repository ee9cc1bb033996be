"""Real servers for the whole run, and room on them for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from dev.stack import Stack
from tests.integration.issuer import Issuer, issuing
from tests.integration.room import Room, make_room


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("servers"), services=())
    try:
        asyncio.run(stack.up())
        yield stack
    finally:
        asyncio.run(stack.down())


@pytest_asyncio.fixture
async def room(servers: Stack) -> AsyncIterator[Room]:
    async with make_room(servers) as room:
        yield room


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer
