"""A copy is of one moment, whatever is written meanwhile, and brings that moment back."""

import asyncio
import io
from contextlib import suppress

import pytest
from pymongo import AsyncMongoClient

from dev.stack import Stack
from sagactl.provision import backup
from sagactl.provision.backup import NotABackupError
from tests.integration.room import Room

DATABASES = ("order", "payment")


async def copied(servers: Stack, *only: str) -> bytes:
    return b"".join([part async for part in backup.read(servers.mongodb.url, only)])


async def test_what_two_databases_are_told_together_is_in_a_copy_together(servers: Stack, room: Room) -> None:
    names = [f"{room.database_name(name)}.counters" for name in DATABASES]

    async def count(client: AsyncMongoClient[dict[str, object]]) -> None:
        """Both counters, in one transaction, again and again."""
        while True:
            async with client.start_session() as session, await session.start_transaction():
                for name in DATABASES:
                    counters = client[room.database_name(name)].counters
                    await counters.update_one({"_id": 1}, {"$inc": {"n": 1}}, upsert=True, session=session)

    async def read() -> list[int]:
        found = [await room.database(name).counters.find_one({"_id": 1}) for name in DATABASES]
        return [each["n"] if each else 0 for each in found]

    async with AsyncMongoClient[dict[str, object]](servers.mongodb.url) as client:
        for name in DATABASES:
            await client[room.database_name(name)].create_collection("counters")
        counting = asyncio.create_task(count(client))
        try:
            copies = [await copied(servers, *names) for _ in range(5)]
        finally:
            counting.cancel()
            with suppress(asyncio.CancelledError):
                await counting
        seen = []
        for copy in copies:
            await backup.write(servers.mongodb.url, io.BytesIO(copy))
            [one, other] = await read()
            assert one == other
            seen.append(one)
    assert seen == sorted(set(seen)), "each copy is of a later moment"


async def test_a_copy_that_was_cut_off_is_refused(servers: Stack, room: Room) -> None:
    things = room.database("order").things
    await things.insert_many([{"_id": number} for number in range(5)])
    copy = await copied(servers, f"{room.database_name('order')}.things")
    whole = copy.rindex(b"\x11end\0") - 4
    for broken in (b"", b"\x05\0\0\0\0", copy[:whole]):
        with pytest.raises(NotABackupError):
            await backup.write(servers.mongodb.url, io.BytesIO(broken))
    await things.delete_many({})
    await backup.write(servers.mongodb.url, io.BytesIO(copy))
    assert await things.count_documents({}) == 5
