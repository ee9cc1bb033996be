"""The mock gateway's ledger: one entry per key, forever. What comes at the same time is written together."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self

import msgspec
from msgspec import Struct, field, structs
from pymongo import ASCENDING, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from services.payment.gateway import (
    Answer,
    Authorized,
    Captured,
    Charge,
    ChargeAnswer,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Kind,
    Pending,
    Refund,
    Refunded,
    RefundRefused,
    Status,
    Transaction,
    Voided,
)
from services.shared.coalesce import Coalescer
from services.shared.contract.events import NextAction
from services.shared.database.store import readable

COLLECTION: Final = "gateway_ledger"
DUPLICATE_KEY: Final = 11000
WRITE_AT_ONCE: Final = 200
DECLINE_REASON: Final = "Mock gateway declined the payment"
REFUSAL_REASON: Final = "Mock gateway refused the refund"


class LedgerEntry(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What happened under a key. `amount` is in minor units; `at` is the gateway's own time.

    A `Transaction` is what any gateway tells of that; this is what the mock keeps of it: with what it was
    told to play, and with the names of its documents.
    """

    collection: ClassVar[str] = COLLECTION

    id: str = field(name="_id")
    order_id: str
    kind: Kind
    amount: int
    currency: str
    status: Status
    transaction_id: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Of a charge: how many refunds of it are refused before one is made.
    refusals: int = 0
    # Of a charge that is decided on later: when, what it then is, and where the customer has to go for that.
    later: datetime | None = None
    then: Status | None = None
    url: str = ""

    @classmethod
    def of_charge(cls, charge: Charge, transaction_id: str, status: Status, *, refusals: int = 0) -> Self:
        return cls(
            id=charge.key,
            order_id=charge.order_id,
            kind=Kind.CAPTURE,
            amount=charge.amount,
            currency=charge.currency,
            status=status,
            transaction_id=transaction_id,
            refusals=refusals,
        )

    @classmethod
    def of(cls, transaction: Transaction) -> Self:
        """What another gateway did, as this one would have written it down."""
        return cls(
            id=transaction.key,
            order_id=transaction.order_id,
            kind=transaction.kind,
            amount=transaction.amount,
            currency=transaction.currency,
            status=transaction.status,
            transaction_id=transaction.id,
            at=transaction.at,
        )

    @classmethod
    def of_refund(cls, refund: Refund, transaction_id: str, *, accepted: bool = True) -> Self:
        return cls(
            id=refund.key,
            order_id=refund.order_id,
            kind=Kind.REFUND,
            amount=refund.amount,
            currency=refund.currency,
            status=Status.REFUNDED if accepted else Status.REFUSED,
            transaction_id=transaction_id,
        )

    def decided(self, at: datetime) -> Self:
        """What it is at that time."""
        if self.status is not Status.PENDING or self.later is None or self.then is None or at < self.later:
            return self
        return structs.replace(self, status=self.then)

    def captured(self) -> Self:
        """Of one that is held."""
        return structs.replace(self, status=Status.CAPTURED) if self.status is Status.AUTHORIZED else self

    def voided(self) -> Self:
        """Unless money was taken, or never will be."""
        is_open = self.status in {Status.PENDING, Status.AUTHORIZED}
        return structs.replace(self, status=Status.VOIDED) if is_open else self

    @property
    def charge_result(self) -> ChargeAnswer:
        """What a charge is answered."""
        match self.status:
            case Status.PENDING:
                return Pending(self.transaction_id, NextAction("redirect", self.url) if self.url else None)
            case Status.AUTHORIZED:
                return Authorized(self.transaction_id)
            case Status.DECLINED:
                return Declined(self.transaction_id, DECLINE_REASON)
            case Status.VOIDED:
                return Voided(self.transaction_id)
            case _:
                return Captured(self.transaction_id)

    @property
    def refund_result(self) -> Refunded | RefundRefused:
        """What a refund is answered."""
        if self.status is Status.REFUSED:
            return RefundRefused(REFUSAL_REASON)
        return Refunded(self.transaction_id)

    @property
    def outcome(self) -> Answer:
        """What is answered to somebody who asks by the key."""
        return self.refund_result if self.kind is Kind.REFUND else self.charge_result

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
        return _asked(self) == _asked(other)


def _asked(entry: LedgerEntry) -> tuple[object, ...]:
    return entry.id, entry.order_id, entry.kind, entry.amount, entry.currency, entry.transaction_id


def refund_entry(entries: Iterable[LedgerEntry], refund: Refund, transaction_id: str) -> LedgerEntry:
    """What is to be entered for a refund, by all `entries` of its order so far.

    Raises GatewayRefused where there is no such capture, or less of it is left.
    """
    known = {entry.id: entry for entry in entries}
    before, charge = known.get(refund.key), known.get(refund.charge_key)
    if before is not None:
        # Whatever was refunded since: a key that comes again is answered as it was.
        return LedgerEntry.of_refund(refund, transaction_id, accepted=before.status is Status.REFUNDED)
    others = [entry for entry in known.values() if entry.kind is Kind.REFUND]
    given_back = sum(entry.amount for entry in others if entry.status is Status.REFUNDED)
    if charge is None or charge.status is not Status.CAPTURED or charge.amount - given_back < refund.amount:
        raise GatewayRefused(f"there is no capture of {refund.amount} {refund.currency} to be refunded")
    refused = sum(entry.status is Status.REFUSED for entry in others)
    return LedgerEntry.of_refund(refund, transaction_id, accepted=refused >= charge.refusals)


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

    async def of_order(self, order_id: str) -> Sequence[LedgerEntry]:
        try:
            documents = await self._collection.find({"orderId": order_id}).to_list()
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error
        return [msgspec.convert(document, LedgerEntry) for document in documents]

    async def change(self, entry: LedgerEntry, to: LedgerEntry) -> LedgerEntry:
        """Makes `entry` become `to`, unless somebody made something else of it. Returns what it is then."""
        if to == entry:
            return entry
        try:
            changed = await self._collection.find_one_and_update(
                {"_id": entry.id, "status": entry.status},
                {"$set": {"status": to.status}},
                return_document=ReturnDocument.AFTER,
            )
            document = changed or await self._collection.find_one({"_id": entry.id})
        except PyMongoError as error:
            raise GatewayUnavailable(str(error)) from error
        return msgspec.convert(document, LedgerEntry)

    async def since(self, at: datetime) -> AsyncIterator[LedgerEntry]:
        """The oldest first."""
        try:
            async for document in self._collection.find({"at": {"$gte": at}}).sort("at", ASCENDING):
                for entry in readable(LedgerEntry, [document]):
                    yield entry
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
