"""RabbitMQ, seen from outside: how many messages wait where, and the dead letters one by one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import aiohttp

from services.shared import topology
from services.shared.deliveries import ATTEMPTS, ERROR, ERROR_KIND, FIRST_FAILED_AT, TRACEPARENT
from services.shared.events import CONSUMES

TIMEOUT: Final = 20.0
QUEUES: Final = {queue: service for service, queues in CONSUMES.items() for queue in queues}
DEAD_LETTER_QUEUES: Final = frozenset(topology.dead_letter_queue(queue) for queue in QUEUES)
OURS: Final = frozenset(name for queue in QUEUES for name in topology.all_queues(queue))


class BrokerError(RuntimeError):
    """The broker does not tell what it was asked."""


class DeadLetter(NamedTuple):
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
        headers: Mapping[str, Any] = message.headers
        kind, reason, attempts, since = _explain(headers)
        return cls(
            queue,
            message.message_id or "",
            message.correlation_id or "",
            message.type or "",
            kind,
            reason,
            attempts,
            since,
            str(headers.get(TRACEPARENT) or ""),
            message.body,
        )


def _explain(headers: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """Ours say why; one that the broker made itself has only its x-death."""
    if ERROR in headers:
        attempts = headers.get(ATTEMPTS, 0)
        since = str(headers.get(FIRST_FAILED_AT, ""))
        return str(headers.get(ERROR_KIND, "failed")), str(headers[ERROR]), int(attempts), since
    deaths = headers.get("x-death") or [{}]
    latest: Mapping[str, Any] = deaths[0]
    why, at = str(latest.get("reason", "unknown")), latest.get("time")
    reason = {
        "delivery_limit": f"returned to the queue {topology.DELIVERY_LIMIT} times: its consumer dies over it",
        "maxlen": "the queue was full",
    }.get(why, f"dead-lettered by the broker: {why}")
    since = at.isoformat() if isinstance(at, datetime) else ""
    return "broker", reason, int(latest.get("count", 0)), since


async def waiting(management_url: str) -> Mapping[str, int]:
    """Messages, unacknowledged ones included, in our queues and retry queues; without the dead letters.

    Raises BrokerError where the management API does not answer.
    """
    counts = await _counts(management_url)
    return {name: count for name, count in counts.items() if count and name not in DEAD_LETTER_QUEUES}


async def dead_letter_counts(management_url: str) -> Mapping[str, int]:
    counts = await _counts(management_url)
    return {name: counts.get(name, 0) for name in sorted(DEAD_LETTER_QUEUES)}


async def _counts(management_url: str) -> Mapping[str, int]:
    parts = urlsplit(management_url)
    auth = aiohttp.BasicAuth(unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    url = f"{parts.scheme}://{parts.hostname}:{parts.port}/api/queues/{quote('/', safe='')}"
    try:
        async with (
            aiohttp.ClientSession(auth=auth, timeout=aiohttp.ClientTimeout(TIMEOUT)) as session,
            session.get(url, params={"disable_stats": "false"}) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise BrokerError(f"the management API answered {response.status}: {await response.text()}")
            queues = await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BrokerError(f"the management API does not answer: {error or type(error).__name__}") from error
    # A queue whose statistics have not been gathered yet is not known to be empty.
    return {queue["name"]: queue.get("messages", 1) for queue in queues if queue["name"] in OURS}


@asynccontextmanager
async def channel(amqp_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """What is taken and not acknowledged goes back when it closes."""
    connection = await aio_pika.connect(amqp_url, timeout=TIMEOUT)
    async with connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


async def dead_letters(amqp_url: str, queue: str, limit: int) -> list[DeadLetter]:
    """Looks at the dead letters of one of our queues, and leaves them there."""
    name = topology.dead_letter_queue(queue)
    letters: list[DeadLetter] = []
    async with channel(amqp_url) as opened:
        source = await opened.get_queue(name, ensure=False)
        while len(letters) < limit:
            message = await source.get(fail=False, no_ack=False, timeout=TIMEOUT)
            if message is None:
                break
            letters.append(DeadLetter.of(queue, message))
    return letters
