"""PyMongo's side of `database`: what the engine calls, with the network in between and all that it does.

Only what the engine uses is here. A call that is not here fails the run: it is to be added, with its faults.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self, TypeVar

from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from dev.simulate.clock import Process
from dev.simulate.database import Database, Document, Locked, Taken, Transaction, failure, matches, updated
from dev.simulate.dice import Dice, Fault
from dev.simulate.history import History
from services.shared.engine.faults import DUPLICATE_KEY, NO_SUCH_TRANSACTION

Result = TypeVar("Result")
Operation = InsertOne[Document] | ReplaceOne[Document] | UpdateOne
# Of no process: what the servers do by themselves.
OUTSIDE: Final = Context()
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
SELECTION_SECONDS: Final = 5.0
LOCKED_SECONDS: Final = 0.02
LATE_SECONDS: Final = 1.5
ANSWERS_LATER: Final = 0.2
READING: Final = (Fault.KILLED_BEFORE, Fault.REQUEST_LOST)
WRITING: Final = (
    Fault.KILLED_BEFORE,
    Fault.KILLED_AFTER,
    Fault.REQUEST_LOST,
    Fault.ANSWER_LOST,
    Fault.LATE,
)
COMMITTING: Final = (*WRITING, Fault.ABORTED)


def now() -> datetime:
    """The database's clock."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


class Way(NamedTuple):
    """Between one process and the databases."""

    process: Process
    dice: Dice
    history: History
    # Whether nothing arrives at present.
    is_cut: Callable[[], bool]
    # Ends the process at once.
    kill: Callable[[], None]

    async def call(
        self,
        name: str,
        possible: Sequence[Fault],
        effect: Callable[[], Result],
        undo: Callable[[], None] = lambda: None,
    ) -> Result:
        """Asks the server for `effect`, which may happen or not, and be heard of or not."""
        process = self.process
        process.check()
        place = self.dice.at(f"{process.name}, {name}")
        await asyncio.sleep(place.latency())
        process.check()
        if self.is_cut():
            await asyncio.sleep(SELECTION_SECONDS)
            raise ServerSelectionTimeoutError("the database cannot be reached")
        fault = place.fate(*possible)
        if fault is not None:
            self.history.note(process.name, f"{name}: {fault}")
        match fault:
            case Fault.KILLED_BEFORE:
                self.kill()
                process.check()
            case Fault.REQUEST_LOST:
                raise AutoReconnect("connection closed")
            case Fault.LATE:
                later = place.seconds(LATE_SECONDS)
                asyncio.get_running_loop().call_later(later, _anyhow, effect, context=OUTSIDE)
                raise AutoReconnect("timed out")
            case Fault.ABORTED:
                undo()
                raise failure("aborted by the server", NO_SUCH_TRANSACTION)
        result = await _unlocked(effect)
        match fault:
            case Fault.KILLED_AFTER:
                self.kill()
                process.check()
            case Fault.ANSWER_LOST:
                raise AutoReconnect("connection closed")
        if place.random.random() < ANSWERS_LATER:
            await asyncio.sleep(place.latency())
        return result


def _anyhow(effect: Callable[[], object]) -> None:
    """What nobody waits for any more: where it cannot be done, nobody is told."""
    try:
        with suppress(PyMongoError):
            effect()
    except Locked:
        asyncio.get_running_loop().call_later(LOCKED_SECONDS, _anyhow, effect)


async def _unlocked(effect: Callable[[], Result]) -> Result:
    while True:
        try:
            return effect()
        except Locked:
            await asyncio.sleep(LOCKED_SECONDS)


class Client:
    """In the place of `AsyncMongoClient`."""

    def __init__(self, way: Way, database: Database) -> None:
        self._way, self._database = way, database
        self.admin = _Admin(way)

    def get_database(self, _name: str, **_: object) -> "_Database":
        return _Database(self._way, self._database)

    def start_session(self) -> "_Session":
        return _Session(self._way, self._database)

    async def close(self) -> None: ...


class _Admin:
    def __init__(self, way: Way) -> None:
        self._way = way

    async def command(self, command: object) -> Document:
        """`hello`, `ping`, `getParameter`: the answers to all of them."""
        del command
        return await self._way.call(
            "db.command", READING, lambda: {"localTime": now(), "transactionLifetimeLimitSeconds": 1}
        )


class _Session:
    def __init__(self, way: Way, database: Database) -> None:
        self._way, self._database = way, database
        self.transaction: Transaction | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.transaction is not None and self._way.process.alive:
            self.transaction.abort()

    async def start_transaction(self, **_: object) -> None:
        """The server hears of it with the first operation."""

    def begun(self) -> Transaction:
        if self.transaction is None:
            self.transaction = self._database.begin()
        self.transaction.check()
        return self.transaction

    async def commit_transaction(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await self._way.call("db.commit", COMMITTING, transaction.commit, transaction.abort)

    async def abort_transaction(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            await self._way.call("db.abort", READING, transaction.abort)


class _Database:
    def __init__(self, way: Way, database: Database) -> None:
        self._way, self._database = way, database
        self.name = database.name

    def __getitem__(self, collection: str) -> "_Collection":
        return _Collection(self._way, self._database, collection)

    async def list_collection_names(self, **_: object) -> list[str]:
        return []

    async def create_collection(self, name: str) -> None: ...


class _Found:
    """A cursor: what it finds is looked for when it is read."""

    def __init__(self, read: Callable[[], list[Document]], way: Way) -> None:
        self._read, self._way = read, way
        self._order: str | None = None
        self._limit: int | None = None

    def sort(self, field: str, _direction: int) -> Self:
        self._order = field
        return self

    def limit(self, count: int) -> Self:
        self._limit = count
        return self

    async def to_list(self) -> list[Document]:
        found = await self._way.call("db.find", READING, self._read)
        if self._order is not None:
            order = self._order
            found.sort(key=lambda document: document[order])
        return found[: self._limit]


class _Written(NamedTuple):
    matched_count: int


class _Collection:
    def __init__(self, way: Way, database: Database, name: str) -> None:
        self._way, self._database, self._name = way, database, name

    # --- reading ----------------------------------------------------------------------------------------

    def find(
        self, query: Document, _fields: object = None, *, session: _Session | None = None, **_: object
    ) -> _Found:
        def read() -> list[Document]:
            transaction = session.begun() if session else None
            return list(self._database.find(self._name, query, transaction))

        return _Found(read, self._way)

    async def find_one(
        self, query: Document, _fields: object = None, *, sort: Sequence[tuple[str, int]] = ()
    ) -> Document | None:
        found = self.find(query)
        for field, direction in sort:
            found = found.sort(field, direction)
        return next(iter(await found.to_list()), None)

    async def count_documents(self, query: Document) -> int:
        return len(await self.find(query).to_list())

    async def estimated_document_count(self) -> int:
        return len(await self.find({}).to_list())

    # --- writing ----------------------------------------------------------------------------------------

    async def insert_one(self, document: Document, *, session: _Session | None = None) -> None:
        try:
            await self._write([InsertOne(document)], session)
        except BulkWriteError as error:
            raise DuplicateKeyError("duplicate key", DUPLICATE_KEY) from error

    async def insert_many(self, documents: Iterable[Document], *, session: _Session | None = None) -> None:
        await self._write([InsertOne(document) for document in documents], session)

    async def bulk_write(
        self, operations: Sequence[Operation], *, session: _Session | None = None, ordered: bool = True
    ) -> _Written:
        return await self._write(operations, session, ordered=ordered)

    async def update_one(self, query: Document, update: Document) -> None:
        await self._write([UpdateOne(query, update)], None)

    async def update_many(self, query: Document, update: Document) -> None:
        await self._way.call("db.update", WRITING, lambda: self._update_many(query, update))

    async def delete_many(self, query: Document) -> None:
        await self._way.call("db.delete", WRITING, lambda: self._delete_many(query))

    async def find_one_and_update(
        self, query: Document, update: Document, *, upsert: bool, return_document: bool
    ) -> Document:
        """The one upsert of the engine: it claims an empty database."""
        assert upsert  # noqa: S101  # nothing else is used
        assert return_document  # noqa: S101  # see above

        def claim() -> Document:
            found = self._database.get(self._name, query["_id"])
            if found is None:
                found = {**query, **update["$setOnInsert"]}
                self._database.put(self._name, query["_id"], found)
            return found

        return await self._way.call("db.claim", WRITING, claim)

    async def create_indexes(self, _: object) -> None: ...

    async def _write(
        self, operations: Sequence[Operation], session: _Session | None, *, ordered: bool = True
    ) -> _Written:
        if session is not None:
            in_transaction = (Fault.KILLED_BEFORE, Fault.REQUEST_LOST, Fault.ANSWER_LOST)
            bulk = _Bulk(self._database, self._name, operations, ordered=ordered, session=session)
            return await self._way.call("db.write", in_transaction, bulk.run)
        bulk = _Bulk(self._database, self._name, operations, ordered=ordered, session=None)
        return await self._way.call("db.write outside", WRITING, bulk.run)

    def _update_many(self, query: Document, update: Document) -> None:
        for document in self._database.find(self._name, query):
            self._database.put(self._name, document["_id"], updated(document, update))

    def _delete_many(self, query: Document) -> None:
        for document in self._database.find(self._name, query):
            self._database.put(self._name, document["_id"], None)


class _Bulk:
    """Operations one after another; where one has to wait for a lock, the next run goes on from there."""

    def __init__(
        self,
        database: Database,
        collection: str,
        operations: Sequence[Operation],
        *,
        ordered: bool,
        session: _Session | None,
    ) -> None:
        self._database, self._collection, self._operations = database, collection, operations
        self._ordered, self._session = ordered, session
        self._done = self._matched = 0
        self._errors: list[Document] = []

    def run(self) -> _Written:
        """Raises BulkWriteError, and what undoes a transaction."""
        while self._done < len(self._operations) and not (self._ordered and self._errors):
            operation = self._operations[self._done]
            try:
                self._matched += self._one(operation)
            except Taken:
                self._errors.append({"index": self._done, "code": DUPLICATE_KEY})
            self._done += 1
        if self._errors:
            if self._session is not None:
                self._session.begun().abort()
            raise BulkWriteError({"writeErrors": self._errors, "nMatched": self._matched})
        return _Written(self._matched)

    def _one(self, operation: Operation) -> int:
        transaction = self._session.begun() if self._session else None
        # PyMongo shows neither of them elsewhere.
        document: Document = operation._doc  # type: ignore[assignment]  # noqa: SLF001
        if isinstance(operation, InsertOne):
            self._insert(document, transaction)
            return 0
        query: Document = operation._filter  # type: ignore[assignment]  # noqa: SLF001  # see above
        found = self._database.get(self._collection, query["_id"], transaction)
        if found is None or not matches(found, query):
            if transaction is not None:
                # Deleted since, or changed: to the server that is a conflict as well.
                transaction.write(self._collection, query["_id"], found)
            return 0
        after = document if isinstance(operation, ReplaceOne) else updated(found, document)
        self._put(query["_id"], after, transaction)
        return 1

    def _insert(self, document: Document, transaction: Transaction | None) -> None:
        if transaction is None:
            self._database.insert(self._collection, document)
            return
        if transaction.is_taken(self._collection, document["_id"]):
            raise Taken
        transaction.write(self._collection, document["_id"], document)

    def _put(self, id_: object, document: Document, transaction: Transaction | None) -> None:
        if transaction is None:
            self._database.put(self._collection, id_, document)
        else:
            transaction.write(self._collection, id_, document)
