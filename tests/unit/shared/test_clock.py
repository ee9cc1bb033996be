"""One time for all replicas: the database's, whatever the clock of a machine says."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from pymongo import AsyncMongoClient

from services.shared.database.clock import Clock

APART = timedelta(hours=1)
NEAR = timedelta(seconds=0.2)


class Server:
    """Its clock is an hour ahead of this machine's, and the first of its answers takes long to come back."""

    def __init__(self) -> None:
        self._asked = 0

    @property
    def admin(self) -> Self:
        return self

    async def command(self, name: str) -> dict[str, Any]:
        assert name == "hello"
        now = datetime.now(UTC) + APART
        self._asked += 1
        if self._asked == 1:
            await asyncio.sleep(0.6)
        return {"localTime": now.replace(tzinfo=None)}


async def test_it_is_the_databases_time_by_its_quickest_answer() -> None:
    clock = Clock(cast("AsyncMongoClient[dict[str, Any]]", Server()))
    assert abs(clock.now() - datetime.now(UTC)) < NEAR, "until it was asked, this machine's"
    await clock.sync()
    assert abs(clock.now() - APART - datetime.now(UTC)) < NEAR
