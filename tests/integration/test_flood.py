"""One client floods a real gateway from outside; the others do not notice, and the gateway does not grow."""

import asyncio
import resource
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest_asyncio

from dev.stack import Stack
from tests.integration.echo import Echo, echoing
from tests.integration.room import Room
from tests.ports import free_port

HALF_OPEN = 2000
# Seconds within which others are answered: most of them; and each, whatever else the machine does.
# Below the gateway's deadline for headers, after which the flood would have gone by itself.
MOST_WITHIN, WITHIN = 1, 8
# Of 384 MiB that the chart gives it.
GROWTH = 100 * 2**20
BEGUN = b"POST /auth/login HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n" + b"x" * 1000


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    async with echoing() as echo:
        yield echo


@contextmanager
def half_open(gateway: tuple[str, int], number: int) -> Iterator[None]:
    """So many requests that are begun, by turns in the headers and in the body, and never completed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        for begun in range(number):
            connection = stack.enter_context(socket.create_connection(gateway))
            connection.sendall(BEGUN if begun % 2 else BEGUN[:40])
        yield


async def endless_header(gateway: tuple[str, int]) -> None:
    """Again and again: it is refused each time."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as connection, suppress(ConnectionError):
            connection.settimeout(0)
            await loop.sock_connect(connection, gateway)
            await loop.sock_sendall(connection, b"GET /api/products HTTP/1.1\r\nX-Endless: ")
            while True:
                await loop.sock_sendall(connection, b"x" * 65_536)


async def test_a_flood_of_half_open_requests_and_an_endless_header_hold_nobody_up(
    room: Room, echo: Echo, tmp_path: Path
) -> None:
    given = {"MONGODB_URL": room.mongodb_url, "AMQP_URL": room.amqp_url, "REDIS_URL": room.redis_url}
    shop = Stack(
        tmp_path,
        services=("auth", "gateway"),
        settings=given | {"PORT_GATEWAY": str(free_port()), "PRODUCT_URL": echo.url},
    )
    async with shop:
        process = psutil.Process(shop.processes.pid("gateway"))
        before = process.memory_info().rss
        at = urlsplit(shop.gateway)
        gateway = (at.hostname or "", at.port or 0)
        streaming = asyncio.create_task(endless_header(gateway))
        with half_open(gateway, HALF_OPEN):
            async with httpx.AsyncClient(base_url=shop.gateway, timeout=WITHIN) as client:
                seconds = []
                for _ in range(20):  # each by a connection of its own
                    began = time.perf_counter()
                    answer = await client.get("/api/products", headers={"Connection": "close"})
                    seconds.append(time.perf_counter() - began)
                    assert answer.status_code == 201
            assert statistics.median(seconds) < MOST_WITHIN
            assert not streaming.done()
            assert process.memory_info().rss - before < GROWTH
        streaming.cancel()
        await asyncio.wait([streaming])
