"""Aggregates as MongoDB documents: loading by id, writing what changed, making collections and indexes."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, IndexModel, ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from services.shared.contract.decisions import Aggregate, AnyAggregate, Ref
from services.shared.database.trail import Trail

Document: TypeAlias = dict[str, Any]
AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)
TIMEOUT_MS: Final = 5000
# By which the database's own tools tell our operations from those of others.
APP_NAME: Final = "sagashop"
# Acknowledged means: on the disks of a majority.
WRITE_CONCERN: Final = WriteConcern(w="majority", j=True, wtimeout=TIMEOUT_MS)
SNAPSHOT: Final = ReadConcern("snapshot")
# What a service answers 503: a later attempt may go through.
UNAVAILABLE: Final = (ConnectionFailure,)
# What the server calls it when it does not know a user (as one that came back empty knows none), was given
# another password, or does not grant what was asked for.
REFUSALS: Final = ("AuthenticationFailed", "Unauthorized", "UserNotFound")
# How often the log tells of the same document that it cannot be read.
TOLD_EVERY_SECONDS: Final = 60.0
_REMEMBERED: Final = 1000
# What was told, and when (monotonic seconds).
_told: Final[dict[tuple[str, str], float]] = {}
log = logging.getLogger(__name__)


def connect(url: str) -> AsyncMongoClient[Document]:
    """A client whose calls end, with an error, within seconds when the database is unavailable."""
    return AsyncMongoClient(
        url,
        tz_aware=True,
        serverSelectionTimeoutMS=TIMEOUT_MS,
        connectTimeoutMS=TIMEOUT_MS,
        # Writes wait for the majority no longer than `wtimeout`; a server that stands still must not hold us.
        socketTimeoutMS=2 * TIMEOUT_MS,
        appname=APP_NAME,
    )


def trouble(error: PyMongoError) -> str:
    """What is wrong with the database, for a log or a probe."""
    # The driver soon tells it of a server that it gave up, in the text of another error.
    for refusal in REFUSALS:
        if refusal in str(error):
            return f"the database refuses this service: {refusal}"
    return f"the database is unavailable: {type(error).__name__}"


class Unreadable(NamedTuple):
    """A document that this release cannot read: a newer one wrote it, or somebody changed it by hand."""

    collection: str
    id: str
    why: str

    def __str__(self) -> str:
        return f"{self.collection}/{self.id} is not as this release writes it: {self.why}"


class UnreadableError(msgspec.ValidationError):
    """There is such a document, and what was asked for cannot be told without it."""

    def __init__(self, document: Unreadable) -> None:
        super().__init__(str(document))
        self.document = document


def from_document(kind: type[AnyStruct], document: Mapping[str, Any]) -> AnyStruct:
    """Raises UnreadableError."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        collection = getattr(kind, "collection", kind.__name__)
        raise UnreadableError(Unreadable(collection, str(document.get("_id")), str(error))) from error


def readable(kind: type[AnyStruct], documents: Iterable[Mapping[str, Any]]) -> list[AnyStruct]:
    """Those that can be read. The others are told, and left out: one that a newer release wrote during an
    upgrade, or that somebody changed by hand, must not keep the rest from being looked at.
    """
    found: list[AnyStruct] = []
    for document in documents:
        try:
            found.append(from_document(kind, document))
        except UnreadableError as error:
            _tell(error.document)
    return found


def _tell(document: Unreadable) -> None:
    now, place = time.monotonic(), (document.collection, document.id)
    if now - _told.get(place, float("-inf")) < TOLD_EVERY_SECONDS:
        return
    if len(_told) >= _REMEMBERED:
        _told.clear()
    _told[place] = now
    log.error("left out: %s", document)


def to_document(struct: msgspec.Struct) -> Document:
    document: Document = msgspec.to_builtins(struct, builtin_types=(bytes, datetime))
    return document


class Store:
    """One service's database."""

    def __init__(self, client: AsyncMongoClient[Document], name: str) -> None:
        self.client = client
        self.database: AsyncDatabase[Document] = client.get_database(
            name,
            codec_options=CodecOptions(tz_aware=True),
            write_concern=WRITE_CONCERN,
            read_concern=ReadConcern("majority"),
        )
        self.trail = Trail(client, name, WRITE_CONCERN)

    def collection(self, kind: type[Aggregate]) -> AsyncCollection[Document]:
        return self.database[kind.collection]

    async def prepare(self, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
        """Makes collections and their indexes; safe for several replicas at the same time."""
        existing = set(await self.database.list_collection_names())
        for name, models in indexes.items():
            if name not in existing:
                with suppress(CollectionInvalid):  # another replica was first
                    await self.database.create_collection(name)
            if models:
                await self.database[name].create_indexes(list(models))

    async def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        document = await self.collection(kind).find_one({"_id": id_})
        return None if document is None else from_document(kind, document)

    async def load(
        self, refs: Iterable[Ref], session: AsyncClientSession | None = None
    ) -> dict[Ref, Aggregate | None]:
        """Each ref's aggregate, or None where there is none: one query per collection, in one order."""
        wanted: defaultdict[type[Aggregate], list[str]] = defaultdict(list)
        found: dict[Ref, Aggregate | None] = {}
        for ref in refs:
            wanted[ref.kind].append(ref.id)
            found[ref] = None
        for kind, ids in sorted(wanted.items(), key=lambda each: each[0].collection):
            # One batch, however many: a second trip for the rest would cost as much as the first.
            cursor = self.collection(kind).find(
                {"_id": {"$in": ids}}, session=session, batch_size=len(ids) + 1
            )
            for document in await cursor.to_list():
                found[Ref(kind, document["_id"])] = from_document(kind, document)
        return found

    async def write(
        self, changed: Iterable[tuple[Aggregate, bool]], session: AsyncClientSession | None
    ) -> None:
        """Inserts the aggregates marked new and replaces the others, one command per collection and kind.

        In one order for all writers: two batches with the same documents never abort each other in turn.
        """
        inserts: defaultdict[str, list[Document]] = defaultdict(list)
        replaces: defaultdict[str, list[ReplaceOne[Document]]] = defaultdict(list)
        for aggregate, is_new in sorted(changed, key=_order_of_writing):
            document = to_document(aggregate)
            if is_new:
                inserts[aggregate.collection].append(document)
            else:
                replaces[aggregate.collection].append(ReplaceOne({"_id": aggregate.id}, document))
        for name, replaced in replaces.items():
            await self.database[name].bulk_write(replaced, session=session)
        for name, inserted in inserts.items():
            await self.database[name].insert_many(inserted, session=session)


def _order_of_writing(change: tuple[Aggregate, bool]) -> tuple[str, str]:
    aggregate, _ = change
    return aggregate.collection, aggregate.id
