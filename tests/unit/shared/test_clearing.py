"""What was published is deleted in the end, whatever comes between."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import cast

import pytest
from bson import ObjectId
from pymongo.errors import ConnectionFailure

from services.shared.database.clock import Clock
from services.shared.engine import clearing
from services.shared.engine.clearing import Clearing
from services.shared.engine.leases import Leases, Left, lease_of_writer
from services.shared.engine.rows import OutboxEvent, Row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """The collection: deletes or shortens when it is let, and fails first as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.let = asyncio.Event()
        self.deleted: list[ObjectId] = []
        self.shortened: list[ObjectId] = []
        self._failures = failures

    async def delete(self, ids: Collection[ObjectId]) -> None:
        await self._may()
        self.deleted += ids

    async def shorten(self, left: Iterable[Left]) -> None:
        await self._may()
        self.shortened += [row.id for row, _, _ in left]

    async def _may(self) -> None:
        await self.let.wait()
        if self._failures:
            self._failures -= 1
            raise ConnectionFailure("not now")


class Stopped:
    def now(self) -> datetime:
        return NOW


def made(rows: Rows) -> tuple[Clearing, list[ObjectId]]:
    """And the ids that may be forgotten."""
    forgotten: list[ObjectId] = []
    return Clearing(cast("Leases", rows), cast("Clock", Stopped()), on_deleted=forgotten.append), forgotten


def made_row() -> Row:
    return Row(ObjectId(), (OutboxEvent("1", "T", "s", "{}", None),), NOW, lease_of_writer(NOW))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "CLEAR_SECONDS", 0)


async def test_what_a_replica_was_about_to_delete_when_it_was_stopped_it_deletes_at_its_end() -> None:
    rows = Rows()
    cleared, forgotten = made(rows)
    id_, row = ObjectId(), made_row()
    cleared.delete(id_)
    cleared.shorten(row, (), refused=True)
    running = asyncio.create_task(cleared.run())
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert cleared.published == {id_}
    assert cleared.has_left
    rows.let.set()
    await cleared.finish()
    assert rows.deleted == [id_]
    assert rows.shortened == [row.id], "others would publish again what was published of it"
    assert not forgotten, "its own sweep would have published it again"


async def test_what_the_database_does_not_delete_now_it_deletes_later() -> None:
    rows = Rows(failures=2)
    cleared, forgotten = made(rows)
    id_, row = ObjectId(), made_row()
    cleared.delete(id_)
    cleared.shorten(row, (), refused=True)
    rows.let.set()
    running = asyncio.create_task(cleared.run())
    async with asyncio.timeout(5):
        while cleared.has_left or cleared.published or not forgotten:
            await asyncio.sleep(0)
    running.cancel()
    assert rows.deleted[-1:] == [id_]
    assert rows.shortened == [row.id]
    assert forgotten == [id_]
