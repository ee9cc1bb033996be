"""Side effects outside the database: intent stored first, then performed, then decided on.

Charging a card or sending a mail happens before its message enters a batch, concurrently and bounded, with
an idempotency key. Its outcome is what is decided on, against the state as it is then. A slow card holds up
nobody, and a crash anywhere leaves an intent that the redelivered message resolves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from msgspec import structs
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from services.shared.contract.decisions import Aggregate, Decision, Message, Ref
from services.shared.database.store import Store, to_document
from services.shared.engine import journal
from services.shared.engine.batching import Batching, Pace
from services.shared.engine.commit import BACKOFF_SECONDS
from services.shared.engine.faults import DUPLICATE_KEY, Fault, fault_of
from services.shared.engine.journal import Step

CONCURRENCY: Final = 256
log = logging.getLogger(__name__)


class Effects(NamedTuple):
    """A service's side effects, as the stage wants them. A message's home holds its intent."""

    # Pure: what to store before anything is done, or None where nothing is to be done. The aggregate as it is
    # means that the intent is stored already: perform it again.
    intend: Callable[[Any, Message], Aggregate | None]
    # With the stored intent: the new body of the message, on which the domain decides. Raises Deferred when
    # the outcome is not known.
    perform: Callable[[Any, Message], Awaitable[object]]


class _Waiting(NamedTuple):
    message: Message
    home: Ref
    future: asyncio.Future[Decision]


class EffectStage:
    """Stands between deliveries and the committer: `submit` has the committer's signature."""

    def __init__(
        self,
        store: Store,
        home: Callable[[Message], Ref],
        effects: Effects,
        submit: Callable[[Message], asyncio.Future[Decision]],
        batching: Batching,
    ) -> None:
        self._store, self._home, self._effects, self._commit = store, home, effects, submit
        self._max_batch, self._pace = batching.max_batch, Pace(batching)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, message: Message) -> asyncio.Future[Decision]:
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(message, self._home(message), future))
        return future

    async def run(self) -> None:
        """Stores the intents of what is submitted, batch after batch, and performs them beside that."""
        while True:
            for waiting, intent in await self._store_intents(await self._collect()):
                task = asyncio.create_task(self._perform(waiting, intent))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _collect(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        await self._pace.linger(1 + self._queue.qsize())
        while len(batch) < self._max_batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        self._pace.took(len(batch))
        return batch

    async def _store_intents(self, batch: Sequence[_Waiting]) -> list[tuple[_Waiting, Aggregate | None]]:
        """Loads, intends, stores: one query and one write per batch, again for those whom another overtook.

        What cannot be loaded or stored fails its own message alone, found by halving the batch.
        """
        ready: list[tuple[_Waiting, Aggregate | None]] = []
        failures = 0
        while batch:
            try:
                stored, batch = await self._store_once(batch)
                ready += stored
            except Exception as error:  # noqa: BLE001  # told apart here
                if fault_of(error) is Fault.MESSAGE:
                    return ready + await self._isolate(batch, error)
                delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
                log.warning("%d intents wait %.1f s for the database: %s", len(batch), delay, error)
                await asyncio.sleep(delay)
        return ready

    async def _isolate(
        self, batch: Sequence[_Waiting], error: Exception
    ) -> list[tuple[_Waiting, Aggregate | None]]:
        if len(batch) == 1:
            _fail(batch[0].future, error)
            return []
        middle = len(batch) // 2
        first = await self._store_intents(batch[:middle])
        return first + await self._store_intents(batch[middle:])

    async def _store_once(
        self, batch: Sequence[_Waiting]
    ) -> tuple[list[tuple[_Waiting, Aggregate | None]], list[_Waiting]]:
        loaded = await self._store.load({waiting.home for waiting in batch})
        ready: list[tuple[_Waiting, Aggregate | None]] = []
        again: list[_Waiting] = []
        operations: dict[Ref, InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]] = {}
        for waiting in batch:
            if waiting.home in operations:
                again.append(waiting)  # of one aggregate one at a time
                continue
            before = loaded[waiting.home]
            try:
                intent = self._effects.intend(before, waiting.message)
            except Exception as error:  # noqa: BLE001  # it is this message's, whose consumer deals with it
                _fail(waiting.future, error)
                continue
            if intent is not None and intent is not before:
                intent = structs.replace(intent, version=intent.version + 1)
                operations[waiting.home] = _write(before, intent)
            ready.append((waiting, intent))
        overtaken = await self._write(operations)
        journal.write(
            Step(waiting.message, loaded[waiting.home], intent)
            for waiting, intent in ready
            if intent is not None and waiting.home in operations.keys() - overtaken
        )
        again += [waiting for waiting, _ in ready if waiting.home in overtaken]
        return [pair for pair in ready if pair[0].home not in overtaken], again

    async def _write(self, operations: dict[Ref, Any]) -> set[Ref]:
        """Stores the intents and returns the homes that somebody else changed in the meantime."""
        if not operations:
            return set()
        homes = list(operations)
        (kind,) = {home.kind for home in homes}  # the messages of a queue are all about one kind
        collection = self._store.collection(kind)
        try:
            result = await collection.bulk_write(list(operations.values()), ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            errors = details.get("writeErrors", [])
            # Without a majority an intent is not stored: a fail-over may take it back.
            if details.get("writeConcernErrors") or any(each["code"] != DUPLICATE_KEY for each in errors):
                raise
            taken = {homes[each["index"]] for each in errors}
            matched = details.get("nMatched", 0)
        else:
            taken, matched = set(), result.matched_count
        replaced = {home for home, operation in operations.items() if isinstance(operation, ReplaceOne)}
        # Which of the replacements missed is not told: all are looked at again. Those that did not miss find
        # their intent stored.
        return taken if matched == len(replaced) else taken | replaced

    async def _perform(self, waiting: _Waiting, intent: Aggregate | None) -> None:
        message = waiting.message
        try:
            if intent is not None:
                async with self._slots:
                    message = structs.replace(message, body=await self._effects.perform(intent, message))
            decision = await self._commit(message)
        except Exception as error:  # noqa: BLE001  # it is this message's, whose consumer deals with it
            _fail(waiting.future, error)
        else:
            if not waiting.future.done():
                waiting.future.set_result(decision)


def _fail(future: asyncio.Future[Decision], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _write(before: Aggregate | None, intent: Aggregate) -> InsertOne[Any] | ReplaceOne[Any]:
    document = to_document(intent)
    if before is None:
        return InsertOne(document)
    return ReplaceOne({"_id": before.id, "version": before.version}, document)
