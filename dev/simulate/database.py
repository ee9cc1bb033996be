"""MongoDB as far as the engine relies on it: documents, snapshot transactions, and their conflicts.

A transaction reads from a snapshot and locks what it writes; who writes what another has locked, or changed
since the snapshot, has a write conflict. What is written outside a transaction waits for the lock. A
transaction that takes longer than the server allows is ended by it.
"""

import asyncio
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pymongo.errors import OperationFailure

from services.shared.engine.faults import NO_SUCH_TRANSACTION, TRANSIENT, WRITE_CONFLICT

Document = dict[str, Any]
# The bundled server's `transactionLifetimeLimitSeconds`, and what its reaper takes on top.
LIFETIME_SECONDS: Final = 3.0
Committed = Callable[[str, Document | None, Document | None], None]


class Locked(Exception):
    """A transaction holds the document: to be tried again."""


class Taken(Exception):
    """There is a document of this id."""


class _Versions:
    """A document's committed versions, the newest last, each with the number of its commit."""

    __slots__ = ("history", "holder")

    def __init__(self) -> None:
        self.history: list[tuple[int, Document | None]] = []
        self.holder: Transaction | None = None

    @property
    def newest(self) -> Document | None:
        return self.history[-1][1] if self.history else None

    @property
    def changed_at(self) -> int:
        return self.history[-1][0] if self.history else 0

    def at(self, commit: int) -> Document | None:
        return next((document for number, document in reversed(self.history) if number <= commit), None)

    def lock(self, transaction: "Transaction | None") -> None:
        """For `transaction`, or None for a write without one. Raises Locked."""
        holder = self.holder
        if holder is not None and holder is not transaction:
            if holder.is_open:
                raise Locked
            self.holder = None
        if transaction is not None:
            self.holder = transaction


class Transaction:
    def __init__(self, database: "Database") -> None:
        self._database = database
        self.snapshot = database.commits
        self._deadline = asyncio.get_running_loop().time() + LIFETIME_SECONDS
        self._ended = False
        self._writes: dict[tuple[str, Any], Document | None] = {}

    @property
    def is_open(self) -> bool:
        if not self._ended and asyncio.get_running_loop().time() > self._deadline:
            self.abort()
        return not self._ended

    def check(self) -> None:
        if not self.is_open:
            raise failure("the transaction has been ended", NO_SUCH_TRANSACTION)

    def read(self, collection: str, id_: object) -> Document | None:
        key = (collection, id_)
        if key in self._writes:
            return self._writes[key]
        versions = self._database.versions(collection).get(id_)
        return None if versions is None else versions.at(self.snapshot)

    def write(self, collection: str, id_: object, document: Document | None) -> None:
        versions = self._database.versions(collection).setdefault(id_, _Versions())
        try:
            versions.lock(self)
        except Locked as error:
            self.abort()
            raise failure("write conflict", WRITE_CONFLICT) from error
        if versions.changed_at > self.snapshot:
            self.abort()
            raise failure("write conflict", WRITE_CONFLICT)
        self._writes[collection, id_] = document

    def is_taken(self, collection: str, id_: object) -> bool:
        """Whether the server says of a new id that it is taken. Where another took it since the snapshot, it
        may say that, or that there is a conflict.
        """
        if self.read(collection, id_) is not None:
            return True
        versions = self._database.versions(collection).get(id_)
        return versions is not None and versions.newest is not None and self._database.commits % 2 == 0

    def commit(self) -> None:
        self.check()
        self._end()
        self._database.apply(self._writes)

    def abort(self) -> None:
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._database.ended(self)


class Database:
    """One service's. `committed` is told of every change: collection, before, after."""

    def __init__(self, name: str, committed: Committed) -> None:
        self.name = name
        self.commits = 0
        self._committed = committed
        self._collections: dict[str, dict[Any, _Versions]] = {}
        self._open: dict[Transaction, None] = {}

    def versions(self, collection: str) -> dict[Any, _Versions]:
        return self._collections.setdefault(collection, {})

    def begin(self) -> Transaction:
        transaction = Transaction(self)
        self._open[transaction] = None
        return transaction

    def ended(self, transaction: Transaction) -> None:
        self._open.pop(transaction, None)

    # --- reading ----------------------------------------------------------------------------------------

    def get(self, collection: str, id_: object, transaction: Transaction | None = None) -> Document | None:
        if transaction is not None:
            return transaction.read(collection, id_)
        versions = self.versions(collection).get(id_)
        return None if versions is None else versions.newest

    def find(
        self, collection: str, query: Document, transaction: Transaction | None = None
    ) -> Iterator[Document]:
        for id_ in self._candidates(collection, query):
            document = self.get(collection, id_, transaction)
            if document is not None and matches(document, query):
                yield document

    def all(self, collection: str) -> list[Document]:
        return list(self.find(collection, {}))

    def _candidates(self, collection: str, query: Document) -> Iterable[object]:
        match query.get("_id"):
            case {"$in": ids}:
                return ids  # type: ignore[no-any-return]  # a list of ids
            case None | {"$nin": _}:
                return list(self.versions(collection))
            case id_:
                return [id_]

    # --- writing, outside transactions ------------------------------------------------------------------

    def insert(self, collection: str, document: Document) -> None:
        """Raises Taken, and Locked."""
        self._lock(collection, document["_id"])
        if self.get(collection, document["_id"]) is not None:
            raise Taken
        self.apply({(collection, document["_id"]): document})

    def put(self, collection: str, id_: object, document: Document | None) -> None:
        """Raises Locked."""
        self._lock(collection, id_)
        self.apply({(collection, id_): document})

    def _lock(self, collection: str, id_: object) -> None:
        versions = self.versions(collection).get(id_)
        if versions is not None:
            versions.lock(None)

    def apply(self, writes: dict[tuple[str, Any], Document | None]) -> None:
        self.commits += 1
        oldest = next(iter(self._open)).snapshot if self._open else self.commits
        for (collection, id_), document in writes.items():
            versions = self.versions(collection).setdefault(id_, _Versions())
            before = versions.newest
            versions.history.append((self.commits, document))
            while len(versions.history) > 1 and versions.history[1][0] <= oldest:
                del versions.history[0]
            versions.holder = None
            self._committed(collection, before, document)
            if document is None and not self._open:
                del self.versions(collection)[id_]


def failure(text: str, code: int) -> OperationFailure:
    """What undoes a transaction for certain."""
    return OperationFailure(text, code, {"errorLabels": [TRANSIENT]})


def matches(document: Document, query: Document) -> bool:
    for field, wanted in query.items():
        if field == "$or":
            if not any(matches(document, each) for each in wanted):
                return False
        elif not _fits(document.get(field), wanted):
            return False
    return True


def _fits(value: Any, wanted: Any) -> bool:  # noqa: ANN401  # any BSON
    if isinstance(wanted, dict):
        return all(OPERATORS[name](value, operand) for name, operand in wanted.items())
    return bool(value == wanted)


def _compared(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Values of the operand's type alone are compared: null is not before any time."""
    return lambda value, operand: isinstance(value, type(operand)) and holds(value, operand)


OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$in": lambda value, operand: value in operand,
    "$nin": lambda value, operand: value not in operand,
    "$lt": _compared(operator.lt),
    "$lte": _compared(operator.le),
    "$gte": _compared(operator.ge),
    "$gt": _compared(operator.gt),
}


def updated(document: Document, update: Document) -> Document:
    """The document after an update of `$set` and `$pull`."""
    after = {**document, **update.get("$set", {})}
    for field, query in update.get("$pull", {}).items():
        after[field] = [each for each in after[field] if not matches(each, query)]
    unknown = update.keys() - {"$set", "$pull", "$setOnInsert"}
    if unknown:
        raise NotImplementedError(f"{unknown}: teach `database.updated` what they do")
    return after
