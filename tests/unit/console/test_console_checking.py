"""The live check that is begun at the console is heard of until its end, though MongoDB fails meanwhile."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest
from pymongo.errors import AutoReconnect

from console import checking
from console.checking import Checks
from sagactl.access import Access
from sagactl.oncall.books import Books
from sagactl.oncall.report import Report, Verdict

NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
# Nothing here takes so many seconds, unless it takes for ever.
LONG: Final = 10.0


class Collection:
    """Takes what is written, unless it is the turn of a write that fails."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.written: list[dict[str, Any]] = []
        self.heard = asyncio.Event()

    async def update_one(self, _: Any, change: dict[str, Any], *, upsert: bool = False) -> None:
        del upsert
        what = next((name for name in ("going.soFar", "done") if name in change["$set"]), "going")
        if what in self.failing:
            self.failing.remove(what)
            raise AutoReconnect("there is no primary")
        self.written.append(change["$set"])
        if what == "going.soFar":
            self.heard.set()


class Kept:
    """Books of which the console's own collection is all there is."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def of(self, _: str) -> dict[str, Collection]:
        return {checking.COLLECTION: self._collection}

    async def now(self) -> datetime:
        return NOW


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A check beside it lasts until it was heard of."""
    made = Collection()

    async def check_live(*_: Any, **__: Any) -> Report:
        await made.heard.wait()
        return Report({}, (), (), 7)

    monkeypatch.setattr(checking, "check_live", check_live)
    monkeypatch.setattr(checking, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(checking, "AGAIN_SECONDS", 0.01)
    return made


async def end_of_a_check(collection: Collection) -> dict[str, Any]:
    """What is written of it at last."""
    checks = Checks(cast("Access", None), cast("Books", Kept(collection)))
    working = asyncio.create_task(checks.work())
    try:
        async with asyncio.timeout(LONG):
            assert await checks.begin("eve", None)
            while "done" not in collection.written[-1]:
                await asyncio.sleep(0.01)
    finally:
        working.cancel()
    return collection.written[-1]


async def test_a_check_is_heard_of_again_after_a_write_that_failed(collection: Collection) -> None:
    collection.failing = {"going.soFar"}
    ended = await end_of_a_check(collection)
    assert ended["done"]["verdict"] == Verdict.HOLDS
    assert not collection.failing


async def test_what_a_check_found_is_kept_though_the_first_write_of_it_failed(collection: Collection) -> None:
    collection.failing = {"done"}
    ended = await end_of_a_check(collection)
    assert ended["going"] is None
    assert not collection.failing


@pytest.mark.parametrize("turns", range(12))
async def test_who_checks_can_be_told_to_end_in_every_moment_of_a_check(
    collection: Collection, turns: int
) -> None:
    collection.heard.set()
    checks = Checks(cast("Access", None), cast("Books", Kept(collection)))
    working = asyncio.create_task(checks.work())
    assert await checks.begin("eve", None)
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait({working}, timeout=LONG)
    assert working.cancelled()
