"""What of the database's documents can be read."""

import json
import logging
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import ServerSelectionTimeoutError

from services.shared.database import store
from services.shared.database.store import UnreadableError
from services.shared.logs import Structured
from tests.engine.toy import Toy


def test_who_cannot_go_without_it_is_told_which_document_it_is_and_why() -> None:
    with pytest.raises(UnreadableError, match=r"^toys/odd is not .*: Expected `int`, got `str`") as it:
        store.from_document(Toy, {"_id": "odd", "version": "two"})
    assert it.value.document[:2] == ("toys", "odd")


def test_what_cannot_be_read_is_left_out_and_told_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, odd = store.to_document(Toy(id="good")), {"_id": "odd", "version": "two"}
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert [toy.id for toy in store.readable(Toy, [odd, good])] == ["good"]
        assert [record.getMessage().rpartition(":")[0] for record in caplog.records] == [
            "left out: toys/odd is not as this release writes it"
        ]
        monkeypatch.setattr(store, "TOLD_EVERY_SECONDS", 0.0)
        store.readable(Toy, [odd])
    assert len(caplog.records) == 2


async def test_what_is_logged_of_a_database_that_is_away_is_a_line() -> None:
    """The driver tells with every error what it knows of every server, each time anew."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in (1, 2, 3))
    client: AsyncMongoClient[Any] = AsyncMongoClient(
        f"mongodb://{hosts}/?replicaSet=rs0", serverSelectionTimeoutMS=50, connectTimeoutMS=5000
    )
    async with client:
        with pytest.raises(ServerSelectionTimeoutError) as failed:
            await client.admin.command("ping")
    assert "Topology" in str(failed.value)
    assert "configured timeouts" in str(failed.value)
    line = logging.makeLogRecord({"msg": "the outbox is not swept: %s", "args": (failed.value,)})
    said: str = json.loads(Structured("order").format(line))["message"]
    assert said.startswith("the outbox is not swept: ")
    assert "Topology" not in said
    assert "configured timeouts" not in said
    assert "127.0.0.1:2: [Errno 111] Connect call failed" in said
    assert len(said) < 250
