"""A batch on its way through a transaction that fails, takes long, or is not waited for any more."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self, cast

import pytest
from pymongo.errors import ConnectionFailure, OperationFailure

from services.shared.contract.audit import Entry
from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Message,
    Ref,
    Rejected,
    Unavailable,
)
from services.shared.database.clock import Clock
from services.shared.database.store import Store
from services.shared.engine import commit, intake
from services.shared.engine.availability import Availability
from services.shared.engine.batching import Batching
from services.shared.engine.commit import Committer
from services.shared.engine.faults import NO_SUCH_TRANSACTION
from services.shared.engine.hints import Hints
from services.shared.engine.intake import Intake
from services.shared.engine.outbox import Outbox
from services.shared.engine.rows import Row
from tests.engine.toy import Add, Toy, decide, home, reads, release

TOGETHER = Batching(max_batch=100, linger_seconds=0.0)


class Database:
    """Holds toys, and fails where a test says. Stands for the store, its client and its sessions."""

    def __init__(self) -> None:
        self.toys: dict[str, Toy] = {}
        self.commits = self.aborts = 0
        self._uncommitted: list[Toy] = []
        self.entries: list[Entry] = []
        self.on_load: Callable[[int], None] = lambda _: None
        self.on_commit: Callable[[], None] = lambda: None

    client = property(lambda self: self)
    trail = property(lambda self: self)

    def start_session(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def start_transaction(self, **_: object) -> None:
        self._uncommitted = []

    async def load(self, refs: Sequence[Ref], _: object = None) -> dict[Ref, Aggregate | None]:
        await asyncio.sleep(0)
        self.on_load(len(refs))
        return {ref: self.toys.get(ref.id) for ref in refs}

    async def write(self, changed: Iterable[tuple[Toy, bool]], _: object) -> None:
        await asyncio.sleep(0)
        self._uncommitted = [toy for toy, _ in changed]

    async def append(self, entries: Sequence[Entry], _: object) -> None:
        self.entries += entries

    async def commit_transaction(self) -> None:
        self.on_commit()
        self.commits += 1
        self.toys |= {toy.id: toy for toy in self._uncommitted}

    async def abort_transaction(self) -> None:
        self.aborts += 1


class Rows:
    """Stands for the outbox: which rows were handed on, and which were looked for."""

    def __init__(self) -> None:
        self.published: list[Row] = []
        self.adopted: list[Row] = []

    async def insert(self, *_: object) -> None: ...

    def enqueue(self, row: Row) -> bool:
        self.published.append(row)
        return True

    async def adopt(self, row: Row) -> None:
        self.adopted.append(row)


class NoHints:
    async def seen(self, _: object) -> set[str]:
        return set()

    def remember(self, _: object) -> None: ...


class Clocked:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Replica:
    """An intake and its committer."""

    def __init__(self) -> None:
        self.database, self.rows = Database(), Rows()
        domain, store, clock = (
            Domain(home, reads, decide),
            cast("Store", self.database),
            cast("Clock", Clocked()),
        )
        self.intake = Intake(domain, clock, TOGETHER, commands_at_most=100)
        self.availability = Availability(store, clock)
        self.committer = Committer(
            store,
            domain,
            self.intake,
            cast("Outbox", self.rows),
            cast("Hints", NoHints()),
            clock,
            availability=self.availability,
            observe=lambda *_: None,
        )

    def add(self, subject: str) -> "asyncio.Task[Decision]":
        return asyncio.create_task(self.intake.execute(Add(subject=subject), id_=f"add {subject}"))

    def deliver(self, body: Any, id_: str = "1") -> "asyncio.Future[Decision]":
        return self.intake.submit(Message(id=id_, source="inventory", body=body, at=datetime.now(UTC)))


@pytest.fixture
async def replica(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    monkeypatch.setattr(commit, "BACKOFF_SECONDS", (0.0,))
    made = Replica()
    async with running(made.committer):
        yield made


@asynccontextmanager
async def running(committer: Committer) -> AsyncIterator[None]:
    task = asyncio.create_task(committer.run())
    yield
    task.cancel()
    ended = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)


async def test_a_batch_that_outlives_its_transaction_again_and_again_is_halved(replica: Replica) -> None:
    def too_many(count: int) -> None:
        if count > 2:
            raise OperationFailure("the server ended the transaction", NO_SUCH_TRANSACTION)

    replica.database.on_load = too_many
    async with asyncio.timeout(5):
        await asyncio.gather(*(replica.add(subject) for subject in "abcdef"))
    assert {toy.count for toy in replica.database.toys.values()} == {1}
    assert len(replica.database.toys) == 6


async def test_a_batch_that_one_conflict_overtook_stays_together(replica: Replica) -> None:
    errors = [OperationFailure("ended", NO_SUCH_TRANSACTION), OperationFailure("conflict", 112)]

    def sometimes(_: int) -> None:
        if errors:
            raise errors.pop()

    replica.database.on_load = sometimes
    await asyncio.gather(*(replica.add(subject) for subject in "abcdef"))
    assert replica.database.commits == 1
    assert replica.database.aborts == 2


async def test_what_nobody_waits_for_any_more_is_not_committed_with_the_rest_of_its_batch(
    replica: Replica,
) -> None:
    """Its caller goes while the batch is decided."""
    waiting = [replica.add("gone"), replica.add("waits")]

    def leave(_: int) -> None:
        waiting[0].cancel()

    replica.database.on_load = leave
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    assert set(replica.database.toys) == {"waits"}


async def test_a_caller_whose_patience_ends_is_told_what_is_known(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "COMMAND_PATIENCE_SECONDS", 0.05)

    def fail() -> None:
        raise ConnectionFailure("no answer")

    for where, unknown in (("on_commit", True), ("on_load", False)):
        monkeypatch.setattr(replica.database, where, lambda *_: fail())
        with pytest.raises(Unavailable) as told:
            await replica.add(where)
        assert told.value.unknown is unknown
    assert not replica.database.toys


async def test_a_message_is_not_rejected_on_what_may_be_rolled_back(replica: Replica) -> None:
    with pytest.raises(Rejected):
        await replica.deliver(release("a", "reject"))
    assert replica.database.commits == 1


async def test_the_row_of_a_commit_without_an_answer_is_looked_for(replica: Replica) -> None:
    lost = [ConnectionFailure("the answer is lost")]

    def lose() -> None:
        if lost:
            raise lost.pop()

    replica.database.on_commit = lose
    await replica.add("a")
    assert len(replica.rows.adopted) == 1
    assert len(replica.rows.published) == 1
    assert replica.rows.adopted != replica.rows.published


async def test_a_transaction_that_fails_is_aborted_so_that_its_documents_are_free(replica: Replica) -> None:
    errors = [ConnectionFailure("gone")]

    def fail(_: int) -> None:
        if errors:
            raise errors.pop()

    replica.database.on_load = fail
    await replica.deliver(release("a"))
    assert (replica.database.aborts, replica.database.commits) == (1, 1)


async def test_the_first_message_after_an_hour_of_silence_is_no_stall(replica: Replica) -> None:
    await replica.add("before")
    replica.committer.progressed = time.monotonic() - 3600
    looked: list[float] = []
    replica.database.on_load = lambda _: looked.append(time.monotonic() - replica.committer.progressed)
    await replica.add("after")
    assert looked[0] < 60


async def test_how_long_the_database_has_been_lost_counts_from_the_first_failure_to_the_next_commit(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = 0.05
    monkeypatch.setattr(commit, "BACKOFF_SECONDS", (pause,))
    errors = [ConnectionFailure("gone")] * 3
    lost: list[float] = []

    def fail(_: int) -> None:
        lost.append(replica.availability.lost_for)
        if errors:
            raise errors.pop()

    replica.database.on_load = fail
    await replica.add("a")
    assert lost[0] == 0
    assert lost[3] > 2.5 * pause
    assert replica.availability.lost_for == 0
