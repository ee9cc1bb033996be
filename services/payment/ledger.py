"""The mock gateway's ledger: one entry per key, forever. What comes at the same time is written together."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec
from msgspec import Struct, field, structs
from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from services.payment.gateway import (
    Captured,
    Charge,
    Declined,
    GatewayUnavailable,
    Kind,
    Refund,
    Refunded,
    Status,
    Transaction,
)
from services.shared.coalesce import Coalescer

COLLECTION: Final = "gateway_ledger"
DUPLICATE_KEY: Final = 11000
WRITE_AT_ONCE: Final = 200
DECLINE_REASON: Final = "Mock gateway declined the payment"


class LedgerEntry(Struct, frozen=True, rename="camel", kw_only=True):
    """What happened under a key. `amount` is in minor units; `at` is the gateway's own time."""

    id: str = field(name="_id")
    order_id: str
    kind: Kind
    amount: int
    currency: str
    status: Status
    transaction_id: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of_charge(cls, charge: Charge, transaction_id: str, *, accepted: bool) -> Self:
        return cls(
            id=charge.key,
            order_id=charge.order_id,
            kind=Kind.CAPTURE,
            amount=charge.amount,
            currency=charge.currency,
            status=Status.CAPTURED if accepted else Status.DECLINED,
            transaction_id=transaction_id,
        )

    @classmethod
    def of_refund(cls, refund: Refund, transaction_id: str) -> Self:
        return cls(
            id=refund.key,
            order_id=refund.order_id,
            kind=Kind.REFUND,
            amount=refund.amount,
            currency=refund.currency,
            status=Status.REFUNDED,
            transaction_id=transaction_id,
        )

    @property
    def capture_result(self) -> Captured | Declined:
        """What a charge is answered."""
        if self.status is Status.DECLINED:
            return Declined(self.transaction_id, DECLINE_REASON)
        return Captured(self.transaction_id)

    @property
    def outcome(self) -> Captured | Declined | Refunded:
        """What is answered to somebody who asks by the key."""
        return Refunded(self.transaction_id) if self.kind is Kind.REFUND else self.capture_result

    @property
    def transaction(self) -> Transaction:
        """As the gateway tells of it."""
        return Transaction(
            key=self.id,
            order_id=self.order_id,
            kind=self.kind,
            amount=self.amount,
            currency=self.currency,
            status=self.status,
            id=self.transaction_id,
            at=self.at,
        )

    def is_same_request(self, other: "LedgerEntry") -> bool:
        """Whether it was the same that was asked for, whatever came of it."""
        return structs.replace(other, status=self.status, at=self.at) == self


class Ledger:
    """Raises GatewayUnavailable when it cannot tell whether an entry was made."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self._collection = collection
        self._coalescer = Coalescer(self._insert, most_at_once=WRITE_AT_ONCE, unavailable=GatewayUnavailable)

    async def find(self, key: str) -> LedgerEntry | None:
        try:
            document = await self._collection.find_one({"_id": key})
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error
        return None if document is None else msgspec.convert(document, LedgerEntry)

    async def since(self, at: datetime) -> AsyncIterator[LedgerEntry]:
        """The oldest first."""
        try:
            async for document in self._collection.find({"at": {"$gte": at}}).sort("at", ASCENDING):
                yield msgspec.convert(document, LedgerEntry)
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error

    async def enter(self, entry: LedgerEntry) -> LedgerEntry:
        """Makes the entry, unless its key has one. Returns the one that is there then.

        Raises GatewayUnavailable, or what is wrong with the entry itself.
        """
        try:
            return await self._coalescer.ask(entry)
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error

    async def _insert(self, entries: Sequence[LedgerEntry]) -> Sequence[LedgerEntry]:
        """The entries under the keys of `entries`, afterwards: one command for all.

        Raises GatewayUnavailable where the database is why, and else what may be one entry's fault.
        """
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
                there[document["_id"]] = msgspec.convert(document, LedgerEntry)
        except ConnectionFailure as error:
            raise GatewayUnavailable(str(error)) from error
        return [there[entry.id] for entry in entries]
