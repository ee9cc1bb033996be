"""A process that was told of a detour takes it wherever its driver connects."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dev.faults import Proxy, detours
from dev.faults.crashes import SERVICE, Crashes
from dev.services import REPOSITORY

ASKS = """
import asyncio, sys
from pymongo import AsyncMongoClient
from pymongo.errors import ServerSelectionTimeoutError
client = AsyncMongoClient("127.0.0.1", int(sys.argv[1]), serverSelectionTimeoutMS=200)
try:
    asyncio.run(client.admin.command("ping"))
except ServerSelectionTimeoutError:
    pass
"""


@pytest.mark.parametrize("is_told", [False, True])
async def test_the_driver_of_who_was_told_of_a_detour_takes_it(tmp_path: Path, *, is_told: bool) -> None:
    arrived: list[bool] = []

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(True)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy("127.0.0.1", port) as proxy:
            told = detours.environment({port: proxy.port}) if is_told else {}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", ASKS, str(port)),
                cwd=REPOSITORY,
                env={**os.environ, **Crashes(tmp_path).environment, SERVICE: "auth", **told},
            )
            assert await process.wait() == 0
            assert arrived
            assert bool(proxy.counts.accepted) is is_told
