"""Dead letters that somebody discarded: kept for a while, with who did it, when and why, to be taken back.

A letter is kept before it is taken from its queue, and is back in its queue before it is forgotten here:
whatever ends a command between the two, it is in one of the places, or in both. So it may come twice, to
consumers that know what they have handled.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, TypeAlias

import bson
from aio_pika.abc import AbstractIncomingMessage
from msgspec import Struct, field
from pymongo import DESCENDING, AsyncMongoClient

from sagactl.access import Access
from sagactl.faults import AbsentError, WrongError
from sagactl.oncall import broker
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.stores import connect
from sagactl.wording import command_line
from services.shared.contract import topology
from services.shared.contract.audit import Actor, without_mail
from services.shared.database.store import Document, Store, from_document, to_document
from services.shared.engine.envelope import TRACEPARENT

DATABASE: Final = "sagactl"
COLLECTION: Final = "discarded"
# Puts a dead letter of a queue by, before it is taken from there.
Keep: TypeAlias = Callable[[str, AbstractIncomingMessage], Awaitable[None]]
# Is told each letter's id once it is done with.
Told: TypeAlias = Callable[[str], Awaitable[None]]


async def nobody(_: str) -> None: ...


# A document of MongoDB holds 16 MiB; some is left to the command that stores it.
LARGEST: Final = 16 * 2**20 - 64 * 2**10


class TooLargeError(WrongError):
    """It cannot be kept, and so not discarded."""

    def __init__(self, queue: str, message: str, size: int) -> None:
        super().__init__(
            f"letter {message} of {queue} has {size / 2**20:.1f} MiB, and no more than 16 can be kept: it"
            f" is not discarded. Keep what `{command_line('letters show', queue, message)}` prints, and take"
            f" it from {topology.dead_letter_queue(queue)} with RabbitMQ's own tools"
        )


class Discarded(Struct, frozen=True, rename="camel", kw_only=True):
    """A dead letter as it was, and what became of it."""

    id: str = field(name="_id")
    queue: str
    message: str
    type: str | None
    correlation_id: str | None
    timestamp: datetime | None
    headers: dict[str, str | int]
    body: bytes
    by: Actor
    reason: str
    # Of what is kept, by the database's clock.
    at: datetime

    @classmethod
    def of(cls, queue: str, message: AbstractIncomingMessage, by: Actor, reason: str) -> "Discarded":
        id_ = broker.identity(queue, message)
        return cls(
            id=_place(queue, id_, message.body),
            queue=queue,
            message=id_,
            type=message.type,
            correlation_id=message.correlation_id,
            timestamp=message.timestamp,
            headers=broker.headers_of(queue, message),
            body=message.body,
            by=by,
            reason=without_mail(reason),
            at=datetime.now(UTC),
        )

    @property
    def letter(self) -> DeadLetter:
        return DeadLetter.told(self.queue, self.message, self)

    @property
    def who(self) -> str:
        """With the tools' passwords the name on a person's machine, at the console an account's id."""
        return f"{self.by.kind} {self.by.id}"

    @property
    def says(self) -> str:
        return f"discarded by {self.who} at {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"

    @property
    def place(self) -> str:
        """Of what it says now: who is erased is taken out of it."""
        return _place(self.queue, self.message, self.body)


def _place(queue: str, id_: str, body: bytes) -> str:
    """The same letter again has the same; another that was given its id has another."""
    return sha256(b"\0".join((queue.encode(), id_.encode(errors="surrogateescape"), body))).hexdigest()


class Kept:
    """All methods raise PyMongoError where MongoDB does not answer, or refuses."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        self._all = Store(client, DATABASE).database[COLLECTION]

    async def put(self, letter: Discarded) -> None:
        """Until it expires; one that is there already has been discarded anew. Raises TooLargeError."""
        document = to_document(letter)
        if (size := len(bson.encode(document))) > LARGEST:
            raise TooLargeError(letter.queue, letter.message, size)
        # A wrong clock here would have it expire at once.
        now = {"$mergeObjects": [{"$literal": document}, {"at": "$$NOW"}]}
        await self._all.update_one({"_id": letter.id}, [{"$replaceWith": now}], upsert=True)

    async def latest(self, queue: str | None, limit: int) -> Sequence[Discarded]:
        """Of that queue, or of all. The latest first, by an index each."""
        found = self._all.find({} if queue is None else {"queue": queue}).sort("at", DESCENDING).limit(limit)
        return [from_document(Discarded, document) async for document in found]

    async def of(self, queue: str, message: str) -> Sequence[Discarded]:
        """The latest first: another letter may have been given the same id."""
        found = self._all.find({"queue": queue, "message": message}).sort("at", DESCENDING)
        return [from_document(Discarded, document) async for document in found]

    async def about(self, orders: Sequence[str]) -> Sequence[Discarded]:
        """Those that may be about one of these orders, the latest first: older publishers do not say what a
        message is about but in its body.
        """
        wanted = {"correlationId": {"$in": [*orders, None, ""]}}
        found = self._all.find(wanted).sort("at", DESCENDING)
        return [from_document(Discarded, document) async for document in found]

    async def named(self, text: str, limit: int) -> Sequence[Discarded]:
        """Those that have it for their id, are about it, or have it in their trace; the latest first."""
        trace = {f"headers.{TRACEPARENT}": {"$regex": re.escape(text)}}
        wanted = {"$or": [{"message": text}, {"correlationId": text}, trace]}
        found = self._all.find(wanted).sort("at", DESCENDING).limit(limit)
        return [from_document(Discarded, document) async for document in found]

    async def all(self) -> AsyncIterator[Discarded]:
        async for document in self._all.find():
            yield from_document(Discarded, document)

    async def rewrite(self, letter: Discarded, body: bytes, headers: dict[str, str | int]) -> bool:
        """Whether it was there to be rewritten."""
        changed = {"$set": {"body": body, "headers": headers}}
        return (await self._all.update_one({"_id": letter.id}, changed)).modified_count > 0

    async def forget(self, letter: Discarded) -> None:
        """Unless somebody has discarded it anew."""
        await self._all.delete_one({"_id": letter.id, "at": letter.at})

    async def lasting(self) -> timedelta | None:
        """For how long letters are kept; None where the database was not told to let them expire."""
        indexes = (await self._all.index_information()).values()
        seconds = [index["expireAfterSeconds"] for index in indexes if "expireAfterSeconds" in index]
        return timedelta(seconds=min(seconds)) if seconds else None


def absent(queue: str, message: str) -> AbsentError:
    listed = command_line("letters list", discarded=True, queue=queue)
    return AbsentError(f"no discarded letter {message} of {queue} is kept: see {listed}")


@asynccontextmanager
async def opened(mongodb_url: str) -> AsyncIterator[Kept]:
    async with connect(mongodb_url) as client:
        yield Kept(client)


@asynccontextmanager
async def keeping(mongodb_url: str, by: Actor, reason: str) -> AsyncIterator[Keep]:
    """Keeps what somebody discards. What cannot be kept is not discarded: it raises PyMongoError then, or
    TooLargeError.
    """
    async with opened(mongodb_url) as kept:

        async def keep(queue: str, message: AbstractIncomingMessage) -> None:
            await kept.put(Discarded.of(queue, message, by, reason))

        yield keep


async def put_back(where: Access, queue: str, messages: Iterable[str], told: Told = nobody) -> None:
    """Makes the discarded letters of these ids dead letters of `queue` again, one by one.

    One that is among them already, since a command was ended between the two, is forgotten only. Of an id
    that nobody keeps a letter of nothing is told.
    Raises AMQPError, OSError, PyMongoError.
    """
    # They are back in their queue before the first is put beside them: it may take long.
    there = {_place(queue, each.id, each.body) for each in await _dead(where, queue)}
    async with opened(where.mongodb_url) as kept, broker.channel(where.amqp_url) as channel:
        exchange = await channel.get_exchange(topology.retry_exchange(broker.QUEUES[queue]), ensure=False)
        for message in messages:
            letters = await kept.of(queue, message)
            for letter in letters:
                if letter.place not in there:
                    again = broker.anew(letter, message, letter.headers)
                    dead = topology.dead_letter_queue(queue)
                    await exchange.publish(again, dead, mandatory=True, timeout=broker.TIMEOUT)
                await kept.forget(letter)
            if letters:
                await told(message)


async def _dead(where: Access, queue: str) -> Sequence[DeadLetter]:
    return await broker.dead_letters(where.amqp_url, [queue], broker.AT_ONCE)
