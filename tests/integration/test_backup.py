"""A copy is of one moment, whatever is written meanwhile, and brings that moment back."""

import asyncio
import io
from contextlib import suppress

import pytest
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern

from dev.stack import Stack
from sagactl.polling import until
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
        """As a copy sees them: what the majority has."""
        seen = ReadConcern("majority")
        there = [room.database(name).get_collection("counters", read_concern=seen) for name in DATABASES]
        found = [await each.find_one({"_id": 1}) for each in there]
        return [each["n"] if each else 0 for each in found]

    async def later_copy() -> bytes:
        before = max(await read())
        await until(read, lambda now: min(now) > before, within=30, what="a transaction since the last copy")
        return await copied(servers, *names)

    async with AsyncMongoClient[dict[str, object]](servers.mongodb.url) as client:
        for name in DATABASES:
            await client[room.database_name(name)].create_collection("counters")
        counting = asyncio.create_task(count(client))
        try:
            copies = [await later_copy() for _ in range(5)]
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


async def test_a_copy_that_was_cut_off_is_refused_and_leaves_what_was_there(
    servers: Stack, room: Room
) -> None:
    database = room.database("order")
    copy_of = [f"{room.database_name('order')}.{name}" for name in ("things", "words")]
    await database.things.insert_many([{"_id": number} for number in range(5)])
    await database.words.insert_one({"_id": "tea"})
    copy = await copied(servers, *copy_of)
    whole = copy.rindex(b"\x11end\0") - 4
    await database.things.insert_one({"_id": "later"})
    for broken in (b"", b"\x05\0\0\0\0", copy[:whole], copy[: whole - 1], copy[: whole // 2]):
        with pytest.raises(NotABackupError):
            await backup.write(servers.mongodb.url, io.BytesIO(broken))
        assert await database.things.count_documents({}) == 6
        assert await database.words.count_documents({}) == 1
    assert sorted(await database.list_collection_names()) == ["things", "words"]


async def test_a_copy_replaces_what_is_there_but_not_its_indexes(servers: Stack, room: Room) -> None:
    database = room.database("order")
    names = ("things", "nothing")
    await database.things.insert_many([{"_id": number, "a.b": {"$c": number}} for number in range(5)])
    await database.create_collection("nothing")
    copy = await copied(servers, *(f"{room.database_name('order')}.{name}" for name in names))
    for name in names:
        await database[name].create_index("n", unique=True, sparse=True)
        await database[name].insert_one({"_id": "later"})
    await backup.write(servers.mongodb.url, io.BytesIO(copy))
    assert [each async for each in database.things.find().sort("_id")] == [
        {"_id": number, "a.b": {"$c": number}} for number in range(5)
    ]
    assert await database.nothing.count_documents({}) == 0
    for name in names:
        assert "n_1" in await database[name].index_information()
    assert sorted(await database.list_collection_names()) == sorted(names)
