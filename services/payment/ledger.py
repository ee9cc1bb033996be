"""The mock gateway's ledger: one entry a key, for ever. What comes at the same time is written together."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct, field, structs
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, PyMongoError

from services.payment.gateway import GatewayUnavailable

COLLECTION: Final = "gateway_ledger"
DUPLICATE_KEY: Final = 11000
WRITE_AT_ONCE: Final = 200


class Kind(StrEnum):
    CAPTURE = "capture"
    REFUND = "refund"


class Status(StrEnum):
    CAPTURED = "captured"
    DECLINED = "declined"
    REFUNDED = "refunded"


class Entry(Struct, frozen=True, rename="camel", kw_only=True):
    """What happened under a key. `amount` is in minor units; `at` is the gateway's own time."""

    id: str = field(name="_id")
    order_id: str
    kind: Kind
    amount: int
    currency: str
    status: Status
    transaction_id: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def is_same_request(self, other: "Entry") -> bool:
        """Whether it was the same that was asked for, whatever came of it."""
        return structs.replace(other, status=self.status, at=self.at) == self


class Ledger:
    """Raises GatewayUnavailable when it cannot tell whether an entry was made."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self._collection = collection
        self._waiting: list[tuple[Entry, asyncio.Future[Entry]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def find(self, key: str) -> Entry | None:
        try:
            document = await self._collection.find_one({"_id": key})
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error
        return None if document is None else msgspec.convert(document, Entry)

    async def enter(self, entry: Entry) -> Entry:
        """Makes the entry, unless its key has one. Returns the one that is there then."""
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        """One command for all that came while the last was under way."""
        while self._waiting:
            batch, self._waiting = self._waiting[:WRITE_AT_ONCE], self._waiting[WRITE_AT_ONCE:]
            try:
                there = await self._insert([entry for entry, _ in batch])
            except PyMongoError as error:
                unknown = GatewayUnavailable(str(error))
                for _, future in batch:
                    if not future.done():
                        future.set_exception(unknown)
                continue
            for entry, future in batch:
                if not future.done():
                    future.set_result(there[entry.id])

    async def _insert(self, entries: list[Entry]) -> dict[str, Entry]:
        """The entries under the keys of `entries`, afterwards."""
        there = {entry.id: entry for entry in entries}
        documents = [msgspec.to_builtins(entry, builtin_types=(datetime,)) for entry in entries]
        try:
            await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            errors = (error.details or {}).get("writeErrors", [])
            if any(each["code"] != DUPLICATE_KEY for each in errors):
                raise
            replayed = [documents[each["index"]]["_id"] for each in errors]
            async for document in self._collection.find({"_id": {"$in": replayed}}):
                there[document["_id"]] = msgspec.convert(document, Entry)
        return there
