"""The proxy of faults, on real sockets: each fault as its client sees it."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from dev.faults import Proxy
from dev.faults.__main__ import obey
from dev.faults.proxy import LINGER_ZERO

SOON = 2.0
NEVER = 0.2


class Echo:
    """Sends back what it gets, and knows what that was."""

    def __init__(self) -> None:
        self.got = b""
        self.ends: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []

    def reset(self) -> None:
        for writer in self._writers:
            socket_ = writer.get_extra_info("socket")
            socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            writer.transport.abort()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while data := await reader.read(65536):
                self.got += data
                writer.write(data)
            self.ends.append("closed")
        except ConnectionResetError:
            self.ends.append("reset")
        writer.close()


@pytest_asyncio.fixture
async def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy("127.0.0.1", port) as proxy:
            yield proxy


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self, size: int, within: float = SOON) -> bytes:
        async with asyncio.timeout(within):
            return await self._reader.readexactly(size)

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await self.hears(1, NEVER)


@asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


async def is_reset(work: Awaitable[object]) -> None:
    with pytest.raises(ConnectionResetError):
        await work


async def test_what_is_said_arrives_and_is_counted(proxy: Proxy) -> None:
    async with client_of(proxy) as client:
        await client.says(b"hello")
        assert await client.hears(5) == b"hello"
        assert proxy.counts == (1, 1, 5, 5, 0)
    await until(lambda: proxy.counts.open == 0)


async def test_an_orderly_end_arrives_as_one(proxy: Proxy, echo: Echo) -> None:
    async with client_of(proxy) as client:
        await client.says(b"bye")
        client.writer.write_eof()
        assert await client.hears(3) == b"bye"
    await until(lambda: echo.ends == ["closed"])


async def test_cut_resets_both_ends_and_a_new_connection_works(proxy: Proxy, echo: Echo) -> None:
    async with client_of(proxy) as client:
        await client.says(b"a")
        await client.hears(1)
        proxy.cut()
        await is_reset(client.hears(1))
        await until(lambda: echo.ends == ["reset"])
    async with client_of(proxy) as client:
        await client.says(b"b")
        assert await client.hears(1) == b"b"


async def test_refused_connections_are_refused_and_others_stay(proxy: Proxy) -> None:
    async with client_of(proxy) as client:
        await client.says(b"a")
        await client.hears(1)
        proxy.refuse()
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await client.says(b"b")
        assert await client.hears(1) == b"b"
    proxy.accept()
    async with client_of(proxy) as client:
        await client.says(b"c")
        assert await client.hears(1) == b"c"


async def test_silence_swallows_keeps_open_and_resets_what_lost_bytes(proxy: Proxy, echo: Echo) -> None:
    async with client_of(proxy) as before, client_of(proxy) as idle:
        for client in (before, idle):
            await client.says(b"a")
            await client.hears(1)
        proxy.silence()
        await before.says(b"lost")
        await before.hears_nothing()
        async with client_of(proxy) as meanwhile:
            await meanwhile.says(b"lost too")
            await meanwhile.hears_nothing()
            assert (echo.got, proxy.counts.swallowed) == (b"aa", 12)
            proxy.heal()
            await is_reset(before.hears(1))
            await is_reset(meanwhile.hears(1))
        await idle.says(b"b")  # lost nothing
        assert await idle.hears(1) == b"b"


async def test_silence_of_one_direction_leaves_the_other(proxy: Proxy, echo: Echo) -> None:
    proxy.silence("down")
    async with client_of(proxy) as client:
        await client.says(b"heard")
        await client.hears_nothing()
        assert echo.got == b"heard"
        proxy.heal()
        await is_reset(client.hears(1))


async def test_an_end_is_not_heard_of_during_silence(proxy: Proxy, echo: Echo) -> None:
    async with client_of(proxy) as client:
        await client.says(b"a")
        await client.hears(1)
        proxy.silence()
    await asyncio.sleep(NEVER)
    assert echo.ends == []
    proxy.heal()
    await until(lambda: echo.ends == ["reset"])


async def test_a_reset_of_the_target_is_not_heard_of_during_silence(proxy: Proxy, echo: Echo) -> None:
    async with client_of(proxy) as client:
        await client.says(b"a")
        await client.hears(1)
        proxy.silence()
        echo.reset()
        await client.hears_nothing()
        await client.says(b"lost")
        proxy.heal()
        await is_reset(client.hears(1))


async def test_what_was_frozen_arrives_later(proxy: Proxy, echo: Echo) -> None:
    proxy.freeze("up")
    async with client_of(proxy) as client:
        await client.says(b"late")
        await client.hears_nothing()
        assert echo.got == b""
        proxy.heal()
        assert await client.hears(4) == b"late"


async def test_a_trickle_takes_its_time(proxy: Proxy) -> None:
    proxy.trickle(100, "up")
    async with client_of(proxy) as client:
        started = time.monotonic()
        await client.says(b"x" * 50)
        await client.hears(50)
        assert 0.35 <= time.monotonic() - started < SOON
        await client.says(b"y" * 10_000)
        proxy.heal()
        await client.hears(10_000)


async def test_a_delay_is_the_same_for_all_bytes(proxy: Proxy) -> None:
    proxy.delay(0.3, "down")
    async with client_of(proxy) as client:
        started = time.monotonic()
        for _ in range(10):
            await client.says(b"x")
            await asyncio.sleep(0.01)
        await client.hears(10)
        assert 0.3 <= time.monotonic() - started < 0.8


async def test_a_connection_is_dropped_in_mid_burst_and_the_next_is_not(proxy: Proxy, echo: Echo) -> None:
    proxy.drop_after(1500, "up")
    async with client_of(proxy) as client:
        await client.says(b"x" * 1000)
        assert await client.hears(1000) == b"x" * 1000
        await client.says(b"y" * 1000)
        await until(lambda: echo.ends == ["reset"])
        assert echo.got == b"x" * 1000 + b"y" * 500
    async with client_of(proxy) as client:
        await client.says(b"z" * 5000)
        await client.hears(5000)


async def test_without_a_target_the_client_is_reset() -> None:
    async with await asyncio.start_server(Echo(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with Proxy("127.0.0.1", port) as proxy, client_of(proxy) as client:
        await is_reset(client.hears(1))


async def test_lines_control_it(proxy: Proxy) -> None:
    async with client_of(proxy) as client:
        assert obey(proxy, "freeze up\n").startswith("accepted=")
        await client.says(b"a")
        await client.hears_nothing()
        for line in ("heal", "delay 0.01", "trickle 1000 down", "drop_after 3 up", "silence", "counts"):
            obey(proxy, line)
        obey(proxy, "heal")
        assert await client.hears(1) == b"a"
    for line in ("", "hurry", "silence sideways", "delay", "cut 3"):
        with pytest.raises(ValueError, match="unknown"):
            obey(proxy, line)


async def test_the_command_serves_until_its_input_ends(proxy: Proxy) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.faults", "--to", f"127.0.0.1:{proxy.port}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(15):
        port = int((await process.stdout.readline()).split()[0].rpartition(b":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        process.stdin.write(b"cut\n")
        await is_reset(reader.readexactly(1))
        writer.close()
        process.stdin.close()
        assert await process.wait() == 0


async def test_a_connection_that_is_cut_as_soon_as_it_is_accepted_is_reset_and_leaves_no_socket(
    proxy: Proxy,
) -> None:
    """What is left to the garbage collector fails a test, and looks as if a client had left it."""
    for number in range(1, 6):
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON) as client:
            while proxy.counts.accepted < number:
                await asyncio.sleep(0)
            proxy.cut()
            await asyncio.sleep(0.01)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    gc.collect()
