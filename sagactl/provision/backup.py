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
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

Document: TypeAlias = dict[str, Any]
# MongoDB's own.
NOT_OURS: Final = frozenset({"admin", "config", "local"})
AT_ONCE: Final = 1_000
FORMAT: Final = 1
# Documents go as they are: nothing here looks into them.
RAW: Final = CodecOptions(document_class=RawBSONDocument)


class NotABackupError(ValueError):
    """The stream is none, is of another format, or ends too early."""


async def read(url: str, only: Iterable[str] = ()) -> AsyncIterator[bytes]:
    """What `write` takes. `url`: a root's. `only`: `database.collection` names, or all."""
    wanted = frozenset(only)
    async with AsyncMongoClient[Document](url, serverSelectionTimeoutMS=5_000) as client:
        names = sorted(set(await client.list_database_names()) - NOT_OURS)
        found = [
            (name, each) for name in names for each in sorted(await client[name].list_collection_names())
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

    Nobody else may be at work there. Raise NotABackupError.
    """
    parts = _checked(bson.decode_file_iter(stream, RAW))
    async with AsyncMongoClient[RawBSONDocument](url, serverSelectionTimeoutMS=5_000) as client:
        waiting: list[RawBSONDocument] = []
        there = None
        for part in parts:
            if "document" in part:
                waiting.append(part["document"])
            if there is not None and (len(waiting) >= AT_ONCE or "document" not in part) and waiting:
                await there.insert_many(waiting, ordered=False)
                waiting = []
            if "collection" in part:
                there = client[part["database"]].get_collection(part["collection"], RAW)
                await there.delete_many({})
            if "end" in part:
                at: Timestamp = part["end"]
                return at
    raise NotABackupError("it ends before its end")


def _checked(parts: Iterator[RawBSONDocument]) -> Iterator[RawBSONDocument]:
    first = next(parts, None)
    if first is None or first.get("format") != FORMAT:
        raise NotABackupError(f"it does not begin as a backup of format {FORMAT}")
    yield first
    yield from parts
