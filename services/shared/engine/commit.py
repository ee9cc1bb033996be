"""Group commit: many messages and commands, one transaction, one acknowledgement.

What came within a few milliseconds is decided in order, in memory, and committed together with the inbox
ids that make it happen once and the outbox row that makes it known. A message whose decision raises is left
out of the batch; its neighbours commit.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import structs
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, PyMongoError

from services.shared import telemetry
from services.shared.contract.decisions import (
    Aggregate,
    AnyAggregate,
    Decision,
    Domain,
    Message,
    Ref,
    Unavailable,
    Verdict,
    still_needed,
)
from services.shared.database.clock import Clock
from services.shared.database.store import SNAPSHOT, WRITE_CONCERN, Document, Store
from services.shared.engine.hints import Hints
from services.shared.engine.outbox import Outbox, Row, rows_of

INBOX: Final = "inbox"
DUPLICATE_KEY: Final = 11000
WRITE_CONFLICT: Final = 112
BACKOFF_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
# A caller at the other end of an HTTP request is told to come back rather than kept waiting longer.
COMMAND_PATIENCE_SECONDS: Final = 8.0
# Under load a batch waits so many times the linger for others to join it. A last batch of more than COMPANY
# messages is what counts as load.
PATIENCE: Final = 4
COMPANY: Final = 4
log = logging.getLogger(__name__)


class Undecided(NamedTuple):
    """A message that waits for its decision to be committed."""

    message: Message
    future: asyncio.Future[Decision]
    # Of a command: when its caller stops waiting (monotonic seconds). Messages wait as long as it takes.
    deadline: float | None

    @property
    def key(self) -> str:
        return f"{self.message.source}/{self.message.id}"


@dataclass(slots=True)
class Batch:
    """The aggregates of a batch: loaded by id, changed in memory, written together."""

    loaded: dict[Ref, Aggregate | None]
    changed: dict[Ref, Aggregate] = field(default_factory=dict)
    decided: list[tuple[Undecided, Decision]] = field(default_factory=list)
    failed: list[tuple[Undecided, Exception]] = field(default_factory=list)

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        ref = Ref(kind, id_)
        # A ref's kind is its aggregate's type.
        return self.changed.get(ref) or self.loaded[ref]  # type: ignore[return-value]

    def decide(self, undecided: Undecided, decide: Callable[["Batch", Message], Decision]) -> None:
        try:
            decision = decide(self, undecided.message)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this message's alone
            self.failed.append((undecided, error))
            return
        for aggregate in decision.changed:
            ref = Ref(type(aggregate), aggregate.id)
            self.changed[ref] = structs.replace(aggregate, version=aggregate.version + 1)
        self.decided.append((undecided, decision))

    def writes(self) -> Iterable[tuple[Aggregate, bool]]:
        return ((aggregate, self.loaded.get(ref) is None) for ref, aggregate in self.changed.items())


class Committer:
    """Decides and commits, batch after batch, what is submitted."""

    def __init__(  # an engine has parts
        self,
        store: Store,
        domain: Domain,
        outbox: Outbox,
        hints: Hints,
        clock: Clock,
        *,
        max_batch: int,
        linger_seconds: float,
        queue_size: int,
        observe: Callable[[Message, Decision], None],
    ) -> None:
        self._store, self._domain, self._outbox, self._hints, self._clock = (
            store,
            domain,
            outbox,
            hints,
            clock,
        )
        self._max_batch, self._linger, self._queue_size = max_batch, linger_seconds, queue_size
        self._observe = observe
        self._queue: asyncio.Queue[Undecided] = asyncio.Queue()
        self._background: set[asyncio.Task[None]] = set()
        self._busy = False
        self._last_size = 0

    # --- in ---------------------------------------------------------------------------------------------

    def submit(self, message: Message) -> asyncio.Future[Decision]:
        """The decision on a delivered message, once committed; what the decision raises otherwise."""
        future = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Undecided(message, future, None))
        return future

    async def execute(self, command: object, *, id_: str) -> Decision:
        """Decides and commits a command over HTTP. Raises what the decision raises, or Unavailable."""
        if self._queue.qsize() >= self._queue_size:
            raise Unavailable("too many requests are waiting")
        message = Message(
            id=id_,
            source="http",
            body=command,
            at=self._clock.now(),
            traceparent=telemetry.current_traceparent(),
        )
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        deadline = time.monotonic() + COMMAND_PATIENCE_SECONDS
        self._queue.put_nowait(Undecided(message, future, deadline))
        # Should a commit hang: the batch lets a command go only between two attempts.
        giving_up = asyncio.get_running_loop().call_later(COMMAND_PATIENCE_SECONDS + 2, _give_up, future)
        try:
            return await future
        finally:
            giving_up.cancel()

    # --- batches ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            await self._commit(await self._collect())
            self._busy = False

    async def drain(self) -> None:
        """Waits until everything submitted is committed."""
        while self._busy or not self._queue.empty():
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _collect(self) -> list[Undecided]:
        batch = [await self._queue.get()]
        self._busy = True
        if self._max_batch > 1 and self._queue.qsize() < self._max_batch - 1:
            # Where many came the last time many are coming: a little patience halves the transactions.
            await asyncio.sleep(self._linger * (PATIENCE if self._last_size > COMPANY else 1))
        while len(batch) < self._max_batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        self._last_size = len(batch)
        return batch

    async def _commit(self, collected: Sequence[Undecided]) -> None:
        started = time.perf_counter()
        waiting, repeats = _split_repeats(collected)
        doubtful = bool(await self._hints.seen([undecided.key for undecided in waiting]))
        failures = 0
        while waiting:
            try:
                if doubtful:
                    waiting = await self._settle_duplicates(waiting)
                    if not waiting:
                        break
                batch, row = await self._transact(waiting)
            except Exception as error:  # noqa: BLE001  # told apart below
                doubtful = True
                if _is_conflict(error):
                    telemetry.TRANSACTIONS.labels("conflict").inc()
                    await asyncio.sleep(random.uniform(0, 0.005))  # noqa: S311  # spreads retries, hides nothing
                elif _is_a_messages_fault(error):
                    waiting = await self._isolate(waiting, error)
                else:
                    telemetry.TRANSACTIONS.labels("away").inc()
                    waiting = await self._back_off(waiting, failures, error)
                    failures += 1
            else:
                self._finish(batch, row)
                waiting = []
        _resolve_repeats(repeats)
        telemetry.COMMIT_DURATION.observe(time.perf_counter() - started)

    async def _transact(self, waiting: Sequence[Undecided]) -> tuple[Batch, Row | None]:
        async with self._store.client.start_session() as session:
            await session.start_transaction(read_concern=SNAPSHOT, write_concern=WRITE_CONCERN)
            row = None
            try:
                loaded: dict[Ref, Aggregate | None] = {}
                while missing := self._missing(waiting, loaded):
                    loaded.update(await self._store.load(missing, session))
                batch = Batch(loaded)
                for undecided in waiting:
                    batch.decide(undecided, self._domain.decide)
                if batch.decided:
                    await self._store.write(batch.writes(), session)
                    inbox: Document = {
                        "ids": [undecided.key for undecided, _ in batch.decided],
                        "at": self._clock.now(),
                    }
                    await self._store.database[INBOX].insert_one(inbox, session=session)
                    row = self._outbox.row(rows_of(batch.decided), self._clock.now())
                    if row is not None:
                        await self._outbox.insert(row, session)
                await session.commit_transaction()
            except BaseException:
                if row is not None:
                    self._outbox.disown(row)
                await _abort(session)
                raise
            return batch, row

    def _missing(self, waiting: Iterable[Undecided], loaded: dict[Ref, Aggregate | None]) -> set[Ref]:
        return still_needed(self._domain, (undecided.message for undecided in waiting), loaded)

    def _finish(self, batch: Batch, row: Row | None) -> None:
        telemetry.TRANSACTIONS.labels("committed").inc()
        telemetry.BATCH_SIZE.observe(len(batch.decided))
        if row is not None:
            self._outbox.hand(row)
        for undecided, decision in batch.decided:
            if decision.verdict is Verdict.ATTENTION:
                telemetry.ATTENTION.labels(undecided.message.source).inc()
            self._observe(undecided.message, decision)
            if not undecided.future.done():
                undecided.future.set_result(decision)
        for undecided, error in batch.failed:
            if not undecided.future.done():
                undecided.future.set_exception(error)
        keys = [undecided.key for undecided, _ in batch.decided if undecided.deadline is None]
        task = asyncio.create_task(self._hints.remember(keys))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # --- when it does not go through at once ------------------------------------------------------------

    async def _settle_duplicates(self, waiting: Sequence[Undecided]) -> list[Undecided]:
        """Answers those whose ids the inbox holds, and returns the others."""
        keys = [undecided.key for undecided in waiting]
        known: set[str] = set()
        async for row in self._store.database[INBOX].find({"ids": {"$in": keys}}, {"ids": 1}):
            known.update(row["ids"])
        for undecided in waiting:
            if undecided.key in known and not undecided.future.done():
                telemetry.DUPLICATES.labels(undecided.message.source).inc()
                undecided.future.set_result(Decision(verdict=Verdict.DUPLICATE))
        return [undecided for undecided in waiting if undecided.key not in known]

    async def _isolate(self, waiting: Sequence[Undecided], error: Exception) -> list[Undecided]:
        """One of them cannot be loaded or stored: each on its own, so that its neighbours are not held up."""
        if len(waiting) > 1:
            for undecided in waiting:
                await self._commit([undecided])
        elif not waiting[0].future.done():
            waiting[0].future.set_exception(error)
        return []

    async def _back_off(
        self, waiting: Sequence[Undecided], failures: int, error: Exception
    ) -> list[Undecided]:
        """Waits for the database. Messages wait with us; a caller who has waited enough is let go."""
        delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
        log.warning("%d messages wait %.1f s for the database: %s", len(waiting), delay, error)
        await asyncio.sleep(delay)
        patient: list[Undecided] = []
        for undecided in waiting:
            if undecided.deadline is None or time.monotonic() < undecided.deadline:
                patient.append(undecided)
            elif not undecided.future.done():
                undecided.future.set_exception(Unavailable("the database is away"))
        return patient


def _give_up(future: asyncio.Future[Decision]) -> None:
    if not future.done():
        future.set_exception(Unavailable("the database does not answer"))


Repeats = list[tuple[Undecided, asyncio.Future[Decision]]]


def _split_repeats(collected: Sequence[Undecided]) -> tuple[list[Undecided], Repeats]:
    """The first occurrence of each id, and the others with the future of their first."""
    first: dict[str, Undecided] = {}
    repeats: Repeats = []
    for undecided in collected:
        original = first.setdefault(undecided.key, undecided)
        if original is not undecided:
            repeats.append((undecided, original.future))
    return list(first.values()), repeats


def _resolve_repeats(repeats: Repeats) -> None:
    for undecided, original in repeats:
        if original.cancelled():
            undecided.future.cancel()
        elif error := original.exception():
            undecided.future.set_exception(error)
        else:
            telemetry.DUPLICATES.labels(undecided.message.source).inc()
            undecided.future.set_result(Decision(verdict=Verdict.DUPLICATE))


def _is_conflict(error: Exception) -> bool:
    """Another replica was first: reload and decide again."""
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        return any(each.get("code") == DUPLICATE_KEY for each in details.get("writeErrors", ()))
    return isinstance(error, DuplicateKeyError) or getattr(error, "code", None) == WRITE_CONFLICT


def _is_a_messages_fault(error: Exception) -> bool:
    """Not the database's: an aggregate that cannot be read, an effect that does not fit a document."""
    return not isinstance(error, PyMongoError) or isinstance(error, DocumentTooLarge)


async def _abort(session: AsyncClientSession) -> None:
    """Ends the transaction; when the database is away it ends by itself."""
    if not session.in_transaction:
        return
    try:
        await session.abort_transaction()
    except PyMongoError as error:
        log.debug("abort: %s", error)
