"""A copy of all databases as they were at one moment, and the way back, as one stream of BSON documents.

The moment is a cluster time of the replica set: what one service had done and another had not heard of yet is
in the copy just so. A member keeps what it had so long ago for five minutes
(`minSnapshotHistoryWindowInSeconds`), so that this is for shops that are read within that. Users and indexes
are not in it: they are made again by those who made them.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import IO, Any, Final, TypeAlias

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

from sagactl.faults import WrongError

Document: TypeAlias = dict[str, Any]

# MongoDB's own.
NOT_OURS: Final = frozenset({"admin", "config", "local"})
AT_ONCE: Final = 1_000
# A server that is there answers long before.
ANSWERS_WITHIN_MS: Final = 5_000
FORMAT: Final = 1
# Begins the name of a collection that waits beside the one it will replace.
STAGED: Final = "restoring."
# Documents go as they are: nothing here looks into them.
RAW: Final = CodecOptions(document_class=RawBSONDocument)


class NotABackupError(WrongError):
    """The stream is none, is of another format, or ends too early."""


async def read(url: str, only: Iterable[str] = ()) -> AsyncIterator[bytes]:
    """What `write` takes. `url`: a root's. `only`: `database.collection` names, or all."""
    wanted = frozenset(only)
    async with AsyncMongoClient[Document](url, serverSelectionTimeoutMS=ANSWERS_WITHIN_MS) as client:
        names = sorted(set(await client.list_database_names()) - NOT_OURS)
        found = [
            (name, each)
            for name in names
            for each in sorted(await client[name].list_collection_names())
            if not each.startswith(STAGED)
        ]
        count = 0
        async with client.start_session(snapshot=True) as session:
            for database, collection in found:
                if wanted and f"{database}.{collection}" not in wanted:
                    continue
                there = client[database].get_collection(collection, RAW)
                cursor = there.find({}, session=session, batch_size=AT_ONCE)
                begun: Document = {"format": FORMAT, "database": database, "collection": collection}
                yield bson.encode(begun)
                async for document in cursor:
                    count += 1
                    yield bson.encode({"document": document})
            at: Timestamp | None = session._snapshot_time  # noqa: SLF001 - PyMongo has no other way to tell
        yield bson.encode({"end": at, "documents": count})


async def write(url: str, stream: IO[bytes]) -> Timestamp:
    """Replace the collections that are in the stream, and return the moment of which it is.

    What is there stays until all of the stream is in the database, beside it. A collection keeps its indexes.
    Nobody else may be at work there. Raise NotABackupError.
    """
    async with AsyncMongoClient[RawBSONDocument](url, serverSelectionTimeoutMS=ANSWERS_WITHIN_MS) as client:
        staged: list[tuple[str, str]] = []
        try:
            at = await _stage(client, _checked(stream), staged)
            for database, collection in staged:
                there = client[database][STAGED + collection]
                await there.aggregate([{"$out": {"db": database, "coll": collection}}])
        finally:
            for database, collection in staged:
                await client[database][STAGED + collection].drop()
    return at


async def _stage(
    client: AsyncMongoClient[RawBSONDocument],
    parts: Iterator[RawBSONDocument],
    staged: list[tuple[str, str]],
) -> Timestamp:
    """Put the collections beside those they will replace, and their names into `staged`."""
    waiting: list[RawBSONDocument] = []
    there = None
    for part in parts:
        if "document" in part:
            waiting.append(part["document"])
        if there is not None and (len(waiting) >= AT_ONCE or "document" not in part) and waiting:
            await there.insert_many(waiting, ordered=False)
            waiting = []
        if "collection" in part:
            staged.append((part["database"], part["collection"]))
            there = client[part["database"]].get_collection(STAGED + part["collection"], RAW)
            await there.drop()  # of a run that was killed
        if "end" in part:
            at: Timestamp = part["end"]
            return at
    raise NotABackupError("it ends before its end")


def _checked(stream: IO[bytes]) -> Iterator[RawBSONDocument]:
    parts = bson.decode_file_iter(stream, RAW)
    try:
        first = next(parts, None)
        if first is None or first.get("format") != FORMAT:
            raise NotABackupError(f"it does not begin as a backup of format {FORMAT}")
        yield first
        yield from parts
    except InvalidBSON as error:
        raise NotABackupError(f"it is cut off, or is no BSON: {error}") from error
