"""A database belongs to the edition of the engine that wrote to it first."""

import pytest
from pymongo import AsyncMongoClient

from dev.stack import Stack
from services.shared.database.store import Store, connect
from services.shared.engine import edition
from services.shared.engine.edition import EDITION, OtherEdition
from tests.integration.room import make_room


async def test_an_empty_database_is_claimed_once_and_for_all_replicas(servers: Stack) -> None:
    async with make_room(servers) as room, connect(room.mongodb_url) as client:
        store = Store(client, room.database_name("order"))
        await edition.check(store)
        assert not await edition.is_claimed(store)
        for _ in range(2):
            await edition.claim(store)
            await edition.check(store)
        assert await store.database["engine"].find().to_list() == [{"_id": "edition", "edition": EDITION}]


async def test_a_database_with_an_inbox_is_refused_with_what_to_do(servers: Stack) -> None:
    async with make_room(servers) as room, connect(room.mongodb_url) as client:
        store = Store(client, room.database_name("order"))
        await store.database["inbox"].insert_one({"ids": ["orders/1"]})
        with pytest.raises(OtherEdition, match=r"edition 1 .* run the release that wrote it, or start with"):
            await edition.check(store)


async def test_a_database_of_a_later_edition_is_refused(servers: Stack) -> None:
    async with make_room(servers) as room, connect(room.mongodb_url) as client:
        store = Store(client, room.database_name("order"))
        await store.database["engine"].insert_one({"_id": "edition", "edition": EDITION + 1})
        for look in (edition.check, edition.claim):
            with pytest.raises(OtherEdition, match=f"edition {EDITION + 1}"):
                await look(store)


async def test_a_server_that_lets_the_dead_block_documents_for_long_is_warned_about(
    servers: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncMongoClient[dict[str, object]](servers.mongodb.url) as client:
        await edition.check_transaction_lifetime(client)
        assert not caplog.records
        name = "transactionLifetimeLimitSeconds"
        set_to = client.admin.command
        await set_to({"setParameter": 1, name: 60})
        try:
            await edition.check_transaction_lifetime(client)
        finally:
            await set_to({"setParameter": 1, name: edition.LIFETIME_SECONDS})
        assert name in caplog.text
