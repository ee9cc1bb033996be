"""A lab for each test. A part of an engine that dies must not take the test run along."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from dev.stack import Stack
from tests.engine.commands import nothing_left
from tests.engine.lab import Lab, make_lab


@pytest.fixture(autouse=True, scope="package")
def _signals() -> Iterator[None]:
    """An engine ends its process by SIGTERM; here replicas are asked how they are instead."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest_asyncio.fixture
async def lab(servers: Stack) -> AsyncIterator[Lab]:
    async with make_lab(servers) as lab:
        with nothing_left():
            yield lab
