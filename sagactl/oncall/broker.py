"""RabbitMQ, seen from outside: how many messages wait where, and the dead letters one by one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import aiohttp
from yarl import URL

from sagactl.faults import AbsentError, ForbiddenError, UnavailableError
from sagactl.oncall.unrest import Unrest, Waiting
from sagactl.shop import REFUSALS
from services.shared.contract import topology, wire
from services.shared.contract.events import CONSUMES
from services.shared.engine import lenient
from services.shared.engine.envelope import (
    ATTEMPTS,
    ERROR,
    ERROR_KIND,
    FIRST_FAILED_AT,
    MOST_COUNTED,
    QUEUE,
    TRACEPARENT,
    kept,
)

# A dead letter whose properties cannot be read is listed like any other.
lenient.install()
TIMEOUT: Final = 20.0
QUEUES: Final = {queue: service for service, queues in CONSUMES.items() for queue in queues}
# Those in which something is under way: all but the dead letters.
LIVE: Final = frozenset(
    name
    for queue in QUEUES
    for name in topology.all_queues(queue)
    if name != topology.dead_letter_queue(queue)
)


# Dead letters that are taken into memory together.
AT_ONCE: Final = 10_000
# How often what only reads is asked, each time over a new connection.
TRIES: Final = 3
# What a call ends with whose connection is lost.
LOST: Final = (aio_pika.exceptions.AMQPError, aio_pika.exceptions.ChannelInvalidStateError, OSError)
Found = TypeVar("Found")


class BrokerError(UnavailableError):
    """The broker does not answer what it was asked."""


class Told(Protocol):
    """A message, as it came, or as it is kept."""

    @property
    def type(self) -> str | None: ...

    @property
    def correlation_id(self) -> str | None: ...

    @property
    def timestamp(self) -> datetime | None: ...

    @property
    def headers(self) -> Mapping[str, Any]: ...

    @property
    def body(self) -> bytes: ...


class DeadLetter(NamedTuple):
    """A message that was given up, as a person on call looks at it."""

    queue: str
    id: str
    subject: str
    type: str
    kind: str
    reason: str
    attempts: int
    first_failed_at: str
    trace: str
    body: bytes

    @classmethod
    def of(cls, queue: str, message: aio_pika.abc.AbstractIncomingMessage) -> "DeadLetter":
        return cls.told(queue, identity(queue, message), message)

    @classmethod
    def told(cls, queue: str, id_: str, message: Told) -> "DeadLetter":
        cause = _explain(message.headers)
        return cls(
            queue=queue,
            id=id_,
            subject=message.correlation_id or "",
            type=message.type or "",
            kind=cause.kind,
            reason=cause.reason,
            attempts=cause.attempts,
            first_failed_at=cause.first_failed_at,
            trace=str(message.headers.get(TRACEPARENT) or ""),
            body=message.body,
        )

    @property
    def summary(self) -> str:
        what = self.type or "a message"
        return f"{what} in {topology.dead_letter_queue(self.queue)}: {self.kind}: {self.reason}"

    @property
    def first_failed(self) -> datetime | None:
        return moment_of(self.first_failed_at)


def moment_of(text: str) -> datetime | None:
    """Of what a header says of a time, where it is one: in UTC, unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def identity(queue: str, message: aio_pika.abc.AbstractIncomingMessage) -> str:
    """Return the id by which the consumer of `queue` knows the message."""
    return message.message_id or wire.content_id(queue, message.body)


def headers_of(queue: str, message: aio_pika.abc.AbstractIncomingMessage) -> dict[str, str | int]:
    """Of a dead letter, for a copy of it: ours as they are, and why it is dead; of the broker's own notes no
    more than that.
    """
    cause = _explain(message.headers)
    failed = {FIRST_FAILED_AT: cause.first_failed_at} if cause.first_failed_at else {}
    why = {ERROR: cause.reason, ERROR_KIND: cause.kind, ATTEMPTS: cause.attempts, QUEUE: queue}
    return kept(message.headers) | why | failed


def anew(
    message: Told, id_: str, headers: Mapping[str, str | int], body: bytes | None = None
) -> aio_pika.Message:
    """A copy to be sent; of what others wrote nothing is encoded again. `body`: where it is another."""
    return aio_pika.Message(
        message.body if body is None else body,
        headers=dict(headers),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=id_,
        correlation_id=message.correlation_id,
        timestamp=message.timestamp,
        type=message.type,
    )


class _Cause(NamedTuple):
    """Why a message is a dead letter."""

    kind: str
    reason: str
    attempts: int
    first_failed_at: str


def _explain(headers: Mapping[str, Any]) -> _Cause:
    """Ours carry their reason in headers. The broker's own dead letters have only an x-death."""
    if ERROR in headers:
        return _Cause(
            kind=str(headers.get(ERROR_KIND, "failed")),
            reason=str(headers[ERROR]),
            attempts=_counted(headers.get(ATTEMPTS)),
            first_failed_at=str(headers.get(FIRST_FAILED_AT, "")),
        )
    deaths = headers.get("x-death") or [{}]
    latest: Mapping[str, Any] = deaths[0]
    why, at = str(latest.get("reason", "unknown")), latest.get("time")
    reason = {
        "delivery_limit": f"returned to the queue {topology.DELIVERY_LIMIT} times: its consumer dies over it",
        "maxlen": "the queue was full",
    }.get(why, f"dead-lettered by the broker: {why}")
    since = at.isoformat() if isinstance(at, datetime) else ""
    return _Cause("broker", reason, _counted(latest.get("count")), since)


def _counted(value: object) -> int:
    """What others write into our headers may be anything."""
    return min(max(value, 0), MOST_COUNTED) if isinstance(value, int) else 0


class Queues(NamedTuple):
    """What the management API tells of our queues, the dead letters left out."""

    vhost: str
    seen: frozenset[str]
    waiting: Unrest


def vhost_of(amqp_url: str) -> str:
    """`/` unless the URL's path names another."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


async def queues(management_url: str, amqp_url: str) -> Queues:
    """Messages, unacknowledged ones included, in our queues and retry queues of the URL's vhost.

    Only the management API knows what is unacknowledged, seconds late where the broker is busy. How many
    are ready each queue tells at once, so that none is called empty in which a message waits.
    Raises BrokerError where the management API or the broker does not answer.
    """
    vhost = vhost_of(amqp_url)
    found = await listed(management_url, vhost)
    ours = sorted((queue for queue in found if queue["name"] in LIVE), key=itemgetter("name"))
    ready = await ready_in(amqp_url, [queue["name"] for queue in ours])
    counted = {queue["name"]: _waiting(queue, ready[queue["name"]].messages) for queue in ours}
    return Queues(
        vhost, frozenset(counted), {name: waiting for name, waiting in counted.items() if waiting.number}
    )


class Ready(NamedTuple):
    """What a queue tells at once, however late the broker's statistics are."""

    # Those that no consumer has been given yet.
    messages: int
    consumers: int


async def ready_in(amqp_url: str, names: Sequence[str]) -> Mapping[str, Ready]:
    """By the queue's name. Raises BrokerError where the broker does not answer."""
    if not names:
        return {}

    async def ask(opened: aio_pika.abc.AbstractChannel) -> Sequence[aio_pika.abc.AbstractQueue]:
        return [await opened.declare_queue(name, passive=True, timeout=TIMEOUT) for name in names]

    try:
        asked = await read(amqp_url, ask)
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError) as error:
        raise BrokerError(f"the broker does not answer: {str(error) or type(error).__name__}") from error
    told = ((queue.name, queue.declaration_result) for queue in asked)
    return {name: Ready(each.message_count or 0, each.consumer_count or 0) for name, each in told}


async def listed(management_url: str, vhost: str, *columns: str) -> Sequence[Mapping[str, Any]]:
    """Every queue of the vhost, as the management API knows it; or of each some columns, in less than half
    the time.
    """
    query = f"?columns={','.join(columns)}" if columns else ""
    return await asked(management_url, f"queues/{quote(vhost, safe='')}{query}", f"vhost {vhost}")


async def asked(management_url: str, path: str, what: str) -> Sequence[Mapping[str, Any]]:
    """What the management API lists. Raises as `told` does."""
    listed: Sequence[Mapping[str, Any]] = await told(management_url, path, what)
    return listed


def session() -> aiohttp.ClientSession:
    """To ask the management API several things by; to be closed."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT))


async def told(management_url: str, path: str, what: str, by: aiohttp.ClientSession | None = None) -> Any:  # noqa: ANN401 - JSON
    """What the management API answers, asked `by` a session, or by one of its own.

    Raises BrokerError, also where there is no `what`, and ForbiddenError where it refuses this user.
    """
    parts = urlsplit(management_url)
    login = aiohttp.encode_basic_auth(unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    url = URL(f"{place}/api/{path}", encoded=True)
    try:
        async with (
            nullcontext(by) if by else session() as asking,
            asking.get(url, headers={"Authorization": login}) as response,
        ):
            if response.status == HTTPStatus.NOT_FOUND:
                raise BrokerError(f"the broker has no {what}, or does not show it to this user")
            if response.status in REFUSALS:
                raise ForbiddenError(
                    f"the management API refuses: {response.status}: {await response.text()}"
                )
            if response.status != HTTPStatus.OK:
                raise BrokerError(f"the management API answered {response.status}: {await response.text()}")
            return await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BrokerError(
            f"the management API does not answer: {str(error) or type(error).__name__}"
        ) from error


def _waiting(queue: Mapping[str, Any], ready: int) -> Waiting:
    """A queue moves when its consumer acknowledges; a retry queue has none, and moves when it is fed."""
    # A queue whose statistics have not been gathered yet is not known to be empty.
    count = max(queue.get("messages", 1), ready)
    moves = "ack" if queue["name"] in QUEUES else "publish"
    return Waiting(count, frozenset({f"{moves} {(queue.get('message_stats') or {}).get(moves, 0)}"}))


@asynccontextmanager
async def channel(amqp_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """Open a channel. Messages that are taken and not acknowledged go back when it closes."""
    connection = await aio_pika.connect(amqp_url, timeout=TIMEOUT)
    async with connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


async def read(
    amqp_url: str, ask: Callable[[aio_pika.abc.AbstractChannel], Awaitable[Found]], tries: int = TRIES
) -> Found:
    """What is asked over a channel of its own, and asked again where that was lost meanwhile: a check of
    minutes is not to be for nothing because somebody closed connections. What changes anything is not to be
    asked so. Raises AMQPError or OSError where there is no connection, or none that lasts.
    """
    connection = await aio_pika.connect(amqp_url, timeout=TIMEOUT)
    async with connection:
        try:
            return await ask(await connection.channel())
        except aio_pika.exceptions.AMQPChannelError:  # the broker refuses it
            raise
        except LOST:
            if tries == 1:
                raise
    return await read(amqp_url, ask, tries - 1)


async def dead_letters(amqp_url: str, queues: Iterable[str], limit: int) -> list[DeadLetter]:
    """Looks at up to `limit` dead letters of each of our `queues`, and leaves them there."""
    wanted = list(queues)

    async def ask(opened: aio_pika.abc.AbstractChannel) -> list[DeadLetter]:
        return [DeadLetter.of(queue, each) for queue in wanted async for each in take(opened, queue, limit)]

    return await read(amqp_url, ask)


async def dead_letter(amqp_url: str, queue: str, id_: str) -> DeadLetter:
    """The one with this id, which stays where it is. Raises AbsentError where there is none."""
    letters = await dead_letters(amqp_url, [queue], AT_ONCE)
    found = next((each for each in letters if each.id == id_), None)
    if found is None:
        raise absent(queue, id_)
    return found


def absent(queue: str, id_: str) -> AbsentError:
    return AbsentError(f"no dead letter {id_} in {queue}: see sagactl letters list --queue {queue}")


async def take(
    opened: aio_pika.abc.AbstractChannel, queue: str, limit: int
) -> AsyncIterator[aio_pika.abc.AbstractIncomingMessage]:
    """Dead letters of `queue`, the oldest first; they go back where they were unless acknowledged."""
    source = await opened.get_queue(topology.dead_letter_queue(queue), ensure=False)
    for _ in range(limit):
        message = await source.get(fail=False, no_ack=False, timeout=TIMEOUT)
        if message is None:
            return
        yield message
