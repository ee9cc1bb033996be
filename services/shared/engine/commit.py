"""Group commit: many messages and commands, one transaction, one acknowledgement.

What came within a few milliseconds is decided in order, in memory, and committed together with the outbox row
that makes it known. There is one way to recover, whatever went wrong: read the homes again in a new
transaction. What its home has seen is done; the rest is decided again.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Message,
    Ref,
    Verdict,
    still_needed,
)
from services.shared.database import trail
from services.shared.database.clock import Clock
from services.shared.database.store import SNAPSHOT, TIMEOUT_MS, WRITE_CONCERN, Store
from services.shared.engine import journal, metrics
from services.shared.engine.availability import Availability
from services.shared.engine.batch import Batch, Undecided
from services.shared.engine.faults import Fault, fault_of, is_outlived, is_undone
from services.shared.engine.hints import Hints
from services.shared.engine.intake import Intake
from services.shared.engine.outbox import Outbox, row_of
from services.shared.engine.rows import Row

BACKOFF_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
# A key that is taken so many times, with nothing else changed, is not another replica's doing.
TAKEN_TRIES: Final = 3
# A batch that so often takes longer than a transaction may is too large for this server, today.
OUTLIVED_TRIES: Final = 3
log = logging.getLogger(__name__)


class CallerGone(Exception):
    """A command of the batch is not waited for any more: the batch is decided again without it."""


class Committer:
    """Decides and commits, batch after batch, what is in the intake."""

    def __init__(
        self,
        store: Store,
        domain: Domain,
        intake: Intake,
        outbox: Outbox,
        hints: Hints,
        clock: Clock,
        *,
        availability: Availability,
        observe: Callable[[Message, Decision], None],
    ) -> None:
        self._store, self._domain, self._intake = store, domain, intake
        self._outbox, self._hints, self._clock = outbox, hints, clock
        self._availability, self._observe = availability, observe
        self._busy = False
        # When a batch was last brought to its end (monotonic seconds).
        self.progressed = time.monotonic()

    async def run(self) -> None:
        while True:
            await self._intake.wait()
            self._busy, self.progressed = True, time.monotonic()
            batch = await self._intake.next_batch()
            await self._commit(await self._without_known_repeats(batch))
            self._busy = False
            self.progressed = time.monotonic()

    async def drain(self) -> None:
        """Waits until everything in the intake is committed."""
        while self.has_work:
            await asyncio.sleep(0.01)

    @property
    def has_work(self) -> bool:
        return self._busy or not self._intake.is_empty

    async def _without_known_repeats(self, batch: list[Undecided]) -> list[Undecided]:
        """Settles what Redis takes for a repeat and its home confirms; that spares a transaction."""
        suspects = [undecided for undecided in batch if undecided.message.may_repeat]
        hits = await self._hints.seen([undecided.message for undecided in suspects])
        if not hits:
            return batch
        try:
            homes = await self._store.load({each.home for each in suspects if each.message.id in hits})
        except Exception as error:  # noqa: BLE001  # the transaction will meet it, too, and deal with it
            log.debug("repeats are looked for in the transaction: %s", error)
            return batch
        rest: list[Undecided] = []
        for undecided in batch:
            home = homes.get(undecided.home)
            if home is not None and undecided.digest in home.seen:
                self._duplicate(undecided, Decision(reply=home, verdict=Verdict.DUPLICATE))
            else:
                rest.append(undecided)
        return rest

    async def _commit(self, waiting: Sequence[Undecided]) -> None:
        """Brings every message of the batch to its end, however long the database takes."""
        started = time.perf_counter()
        # Rows of commits that ended without an answer.
        in_doubt: list[Row] = []
        tries = taken = 0
        while waiting := [each for each in waiting if not each.future.done()]:
            try:
                batch, row = await self._transact(waiting, in_doubt)
            except CallerGone:
                continue
            except Exception as error:  # noqa: BLE001  # told apart here
                fault = fault_of(error)
                metrics.TRANSACTIONS.labels(fault).inc()
                taken = taken + 1 if fault is Fault.TAKEN else 0
                if fault is Fault.MESSAGE or taken == TAKEN_TRIES:
                    await self._isolate(waiting, error)
                    break
                if is_outlived(error) and len(waiting) > 1 and tries >= OUTLIVED_TRIES:
                    await self._isolate(waiting, error)
                    break
                await self._pause(waiting, fault, tries, error)
                tries += 1
            else:
                self._finish(batch, row)
                break
        for row in in_doubt:
            await self._outbox.adopt(row)
        metrics.COMMIT_DURATION.observe(time.perf_counter() - started)

    async def _transact(self, waiting: Sequence[Undecided], in_doubt: list[Row]) -> tuple[Batch, Row | None]:
        async with self._store.client.start_session() as session:
            await session.start_transaction(
                read_concern=SNAPSHOT, write_concern=WRITE_CONCERN, max_commit_time_ms=TIMEOUT_MS
            )
            try:
                batch = Batch(self._domain, await self._load(waiting, session))
                for undecided in waiting:
                    batch.decide(undecided)
                row = row_of(batch.decided, self._clock.now())
                await self._store.write(batch.writes(), session)
                await self._store.trail.append(batch.audit, session)
                if row is not None:
                    await self._outbox.insert(row, session)
                _check_callers(waiting)
            except BaseException:
                await _abort(session)
                raise
            # What only read is committed, too: nothing is answered on what may be rolled back.
            await self._commit_transaction(session, waiting, row, in_doubt)
            return batch, row

    async def _commit_transaction(
        self,
        session: AsyncClientSession,
        waiting: Sequence[Undecided],
        row: Row | None,
        in_doubt: list[Row],
    ) -> None:
        attempted = [undecided for undecided in waiting if not undecided.outcome_unknown]
        for undecided in attempted:
            undecided.outcome_unknown = True
        try:
            await session.commit_transaction()
        except Exception as error:
            if is_undone(error):
                for undecided in attempted:
                    undecided.outcome_unknown = False
            elif row is not None:
                in_doubt.append(row)
            raise

    async def _load(
        self, waiting: Iterable[Undecided], session: AsyncClientSession
    ) -> dict[Ref, Aggregate | None]:
        loaded: dict[Ref, Aggregate | None] = {}
        messages = [undecided.message for undecided in waiting]
        while needed := still_needed(self._domain, messages, loaded):
            loaded.update(await self._store.load(needed, session))
        return loaded

    def _finish(self, batch: Batch, row: Row | None) -> None:
        self._availability.committed()
        metrics.TRANSACTIONS.labels(metrics.COMMITTED).inc()
        metrics.BATCH_SIZE.observe(len(batch.decided))
        if row is not None:
            self._outbox.enqueue(row)
        journal.write([*batch.steps, *batch.found_committed()])
        trail.tell(batch.audit)
        for undecided, decision in batch.decided:
            if decision.verdict is Verdict.ATTENTION:
                metrics.ATTENTION.labels(undecided.message.source).inc()
            self._observe(undecided.message, decision)
            undecided.answer(decision)
        for undecided, decision in batch.duplicates:
            self._duplicate(undecided, decision)
        for undecided, error in batch.failed:
            undecided.fail(error)
        self._hints.remember(undecided.message for undecided, _ in batch.decided if not undecided.is_command)

    def _duplicate(self, undecided: Undecided, decision: Decision) -> None:
        metrics.DUPLICATES.labels(undecided.message.source).inc()
        undecided.answer(decision)

    # --- when it does not go through at once ------------------------------------------------------------

    async def _isolate(self, waiting: Sequence[Undecided], error: Exception) -> None:
        """One of them cannot be loaded or stored, and fails alone; or they are too many: halves are tried."""
        if len(waiting) == 1:
            waiting[0].fail(error)
            return
        middle = len(waiting) // 2
        await self._commit(waiting[:middle])
        await self._commit(waiting[middle:])

    async def _pause(self, waiting: Sequence[Undecided], fault: Fault, tries: int, error: Exception) -> None:
        delay = BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)]
        if fault is Fault.DATABASE:
            self._availability.failed()
            log.warning("%d messages wait %.1f s for the database: %s", len(waiting), delay, error)
            await asyncio.sleep(delay)
        else:
            # Spreads the replicas that are after the same documents.
            await asyncio.sleep(random.uniform(0, min(0.005 * 2**tries, 0.5)))  # noqa: S311  # no secret


def _check_callers(waiting: Iterable[Undecided]) -> None:
    """Raises CallerGone: what its caller was told was not done must not be committed."""
    if any(undecided.future.done() for undecided in waiting):
        raise CallerGone


async def _abort(session: AsyncClientSession) -> None:
    """Ends the transaction, so that its documents are free. Without the database it ends by itself."""
    try:
        await session.abort_transaction()
    except PyMongoError as error:
        log.debug("abort: %s", error)
