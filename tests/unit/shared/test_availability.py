"""Nothing is consumed for a database that takes no writes."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Self, cast

import pytest
from pymongo.errors import NotPrimaryError

from services.shared.database.clock import Clock
from services.shared.database.store import Store
from services.shared.engine import availability
from services.shared.engine.availability import Availability


class WithoutPrimary:
    """Answers every question, and takes no write at first. Stands for client, database and collection."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def __getattr__(self, _: str) -> Self:
        return self

    def __getitem__(self, _: str) -> Self:
        return self

    async def command(self, _: str) -> dict[str, Any]:
        return {"ok": 1}

    async def find_one(self, *_: object) -> dict[str, Any]:
        return {}

    async def update_one(self, *_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotPrimaryError("there is no primary")


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def test_a_database_that_answers_and_takes_no_writes_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(availability, "RETRY_SECONDS", 0)
    database = WithoutPrimary(refusals=3)
    known = Availability(cast("Store", database), cast("Clock", Now()))
    known.failed()
    async with asyncio.timeout(1):
        await known.wait()
    assert database.refusals == 0
    assert known.lost_for == 0
