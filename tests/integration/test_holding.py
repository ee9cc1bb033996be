"""What one replica at a time does, on a real database: who holds it, and until when."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from sagactl.polling import until
from services.shared.database.clock import Clock
from services.shared.database.store import Store
from services.shared.engine import holding
from services.shared.engine.holding import HOLDS, LEASE, MARGIN_SECONDS, Holds
from tests.integration.room import Room

NAMES = {"feed", "e1"}
pytestmark = pytest.mark.without_broker


class Table:
    """Of the holds, and replicas that come to it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.rows = store.database[HOLDS]

    def replica(self) -> Holds:
        return Holds(self._store, self._clock)

    async def leases_end(self, by: timedelta = timedelta(seconds=1)) -> None:
        """As they do when nobody renews them."""
        await self.rows.update_many({}, {"$set": {"due": self._clock.now() - by}})


@pytest.fixture
async def table(room: Room) -> Table:
    clock = Clock(room.mongodb)
    await clock.sync()
    return Table(Store(room.mongodb, room.database_name("notification")), clock)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """On the machine's clock so many seconds more have passed since the test began."""

    def pass_by(seconds: float) -> None:
        monkeypatch.setattr(holding, "monotonic", lambda: time.monotonic() + seconds)

    return pass_by


def held(replica: Holds) -> set[str]:
    return {name for name in NAMES if name in replica}


async def test_what_one_holds_another_does_not(table: Table) -> None:
    first, second = table.replica(), table.replica()
    assert held(first) == set()
    await first.keep(NAMES)
    await second.keep(NAMES)
    assert (held(first), held(second)) == (NAMES, set())


async def test_what_is_let_go_is_had_at_once(table: Table, later: Callable[[float], None]) -> None:
    first, second = table.replica(), table.replica()
    await first.keep(NAMES)
    await second.keep(NAMES)
    await first.let_go()
    assert held(first) == set()
    later(holding.RENEWED_EVERY_SECONDS)
    await second.keep(NAMES)
    assert held(second) == NAMES


async def test_what_is_renewed_stays(table: Table, later: Callable[[float], None]) -> None:
    first, second = table.replica(), table.replica()
    await first.keep(NAMES)
    await table.leases_end()
    later(holding.RENEWED_EVERY_SECONDS)
    await first.keep(NAMES)
    await second.keep(NAMES)
    assert (held(first), held(second)) == (NAMES, set())


async def test_what_nobody_renews_is_anybodys_and_not_his_any_more(
    table: Table, later: Callable[[float], None]
) -> None:
    first, second = table.replica(), table.replica()
    await first.keep(NAMES)
    await table.leases_end()
    await second.keep(NAMES)
    assert held(second) == NAMES
    later(holding.RENEWED_EVERY_SECONDS)
    await first.keep(NAMES)
    assert held(first) == set()


async def test_a_replica_that_does_not_reach_the_database_begins_nothing_more_before_its_lease_ends(
    table: Table, later: Callable[[float], None]
) -> None:
    replica = table.replica()
    await replica.keep(NAMES)
    later(LEASE.total_seconds() - MARGIN_SECONDS - 5)
    assert held(replica) == NAMES
    later(LEASE.total_seconds() - MARGIN_SECONDS + 5)
    assert held(replica) == set()


async def test_a_lease_too_far_ahead_was_made_by_a_clock_that_was_wrong(table: Table) -> None:
    first, second = table.replica(), table.replica()
    await first.keep(NAMES)
    await table.leases_end(by=-timedelta(days=1))
    await second.keep(NAMES)
    assert held(second) == NAMES


async def test_a_new_name_is_had_at_once(table: Table) -> None:
    replica = table.replica()
    await replica.keep({"feed"})
    assert held(replica) == {"feed"}
    await replica.keep(NAMES)
    assert held(replica) == NAMES


async def test_a_database_that_came_back_empty_is_no_end_of_it(
    table: Table, later: Callable[[float], None]
) -> None:
    replica = table.replica()
    await replica.keep(NAMES)
    await table.rows.drop()
    later(holding.RENEWED_EVERY_SECONDS)
    await replica.keep(NAMES)
    assert held(replica) == set()
    await replica.keep(NAMES)
    assert held(replica) == NAMES


async def test_who_attends_goes_on_where_the_database_is_away_and_lets_go_at_the_end(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was begun is ended while it is still held: nobody else begins the same before."""
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.01)
    replica, other = table.replica(), table.replica()
    looks, held_at_the_end = 0, set[str]()

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise AutoReconnect("nobody there")
        await replica.keep(NAMES)

    async def end() -> None:
        held_at_the_end.update(held(replica))

    with caplog.at_level(logging.WARNING):
        attending = asyncio.create_task(replica.attend(look, "letters", end))

        async def found() -> set[str]:
            return held(replica)

        await until(found, lambda names: names == NAMES, within=10, what="all of it is held")
        attending.cancel()
        await asyncio.wait({attending})
    assert attending.cancelled()
    assert [each.getMessage() for each in caplog.records] == ["letters wait for the database: nobody there"]
    assert held_at_the_end == NAMES
    await other.keep(NAMES)
    assert held(other) == NAMES


async def test_who_cannot_let_go_says_when_others_may_have_it(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replica = table.replica()

    async def away() -> None:
        raise AutoReconnect("nobody there")

    monkeypatch.setattr(replica, "let_go", away)
    attending = asyncio.create_task(replica.attend(lambda: replica.keep(NAMES), "letters"))
    await asyncio.sleep(0.1)
    attending.cancel()
    await asyncio.wait({attending})
    assert attending.cancelled()
    assert "letters are others' once this replica's lease has ended: nobody there" in caplog.text
