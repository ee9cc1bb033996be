"""A lab for each test. A part of an engine that dies must not take the test run along."""

import gc
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from dev.stack import Stack
from tests.engine.commands import nothing_left
from tests.engine.lab import REPLICAS, Lab, make_lab


@pytest.fixture(autouse=True, scope="module")
def _few_to_believe(few_to_believe: None) -> None:
    """In each client and process here."""


@pytest.fixture(autouse=True, scope="package")
def _what_lasts() -> Iterator[None]:
    """Modules are not looked through after each test for what it left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _garbage() -> Iterator[None]:
    """What a test left is not to be the next one's."""
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="package")
def _signals() -> Iterator[None]:
    """An engine ends its process by SIGTERM; here replicas are asked how they are instead."""

    def terminated(*_: object) -> None:
        if not any(replica.background.failure for replica in REPLICAS):
            raise KeyboardInterrupt  # somebody else wants the tests to end

    before = signal.signal(signal.SIGTERM, terminated)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest_asyncio.fixture
async def lab(servers: Stack) -> AsyncIterator[Lab]:
    async with make_lab(servers) as lab:
        with nothing_left():
            yield lab
