"""One running shop for all tests of the saga. Each test uses orders and products of its own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dev.faults.crashes import Crashes
from dev.stack import Stack
from tests.integration.saga.house import House
from tests.integration.saga.sending import Sending
from tests.integration.saga.shop import Shop, visiting
from tests.integration.saga.traces import receiving


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, one_authority: Path) -> Iterator[House]:
    crashes = Crashes(tmp_path_factory.mktemp("crashes"))
    with receiving() as traces:
        stack = Stack(
            tmp_path_factory.mktemp("shop"),
            settings={
                # Some take over while others are dead.
                "REPLICAS_ORDER": "2",
                "REPLICAS_INVENTORY": "2",
                "RATE_LIMIT_ENABLED": "false",
                "OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "300",
                "SSL_CERT_FILE": str(one_authority),
                **crashes.environment,
            },
            # Auth sends its letters; what is said of orders is recorded, as the tests look at it.
            environments={"notification": {"SMTP_URL": ""}},
            mailbox=True,
        )
        try:
            _run(stack.up())
            house = House(stack, traces, crashes)
            yield house
            _run(house.is_left_in_order())
        finally:
            _run(stack.down())


def _run(work: Coroutine[Any, Any, object]) -> None:
    """In a thread of its own: this one has an event loop already, of pytest-asyncio."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


@pytest_asyncio.fixture
async def shop(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """Every test ends with the invariants, over all that was done so far."""
    async with visiting(house, request.node.name) as shop:
        try:
            yield shop
        finally:
            await shop.heal()
        if {request.node.name} & set(house.accepted.values()):
            await house.holds()


@pytest.fixture(scope="module")
def open_house(house: House) -> Iterator[House]:
    """With the service that the shop does without elsewhere."""
    before = house.stack.wanted
    _run(_open(house, (*before, "fulfilment")))
    try:
        yield house
    finally:
        _run(_open(house, before))


async def _open(house: House, services: Sequence[str]) -> None:
    await house.stack.run(services)
    # It is told where everything is.
    await house.stack.restart("gateway")


@pytest_asyncio.fixture
async def sending(open_house: House, shop: Shop) -> AsyncIterator[Sending]:
    assert shop.house is open_house
    yield Sending(shop)
