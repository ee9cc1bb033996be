"""For how long the oldest message of a queue has waited at least, by what the broker has noted of the queue.

RabbitMQ tells that of no quorum queue (docs/adr/0101): but it notes how many messages were there and how many
had been acknowledged, every few seconds, for an hour. A queue gives its messages out in their order: of those
that were there at a moment, some still are while fewer have been acknowledged since than were there then.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from aiohttp import ClientSession

from sagactl.oncall import broker

# The broker's notes: so far back (seconds), one for so many.
FINE: Final = (600, 5)
COARSE: Final = (3600, 60)
# So much later than messages are counted, or sooner, acknowledgements may be.
LATE_SECONDS: Final = 10.0
COLUMNS: Final = "messages_details.samples,message_stats.ack,message_stats.ack_details.samples"


class Sample(NamedTuple):
    # Seconds, by the broker's clock.
    at: float
    number: int


class Notes(NamedTuple):
    """Of one queue; samples are the latest first."""

    messages: Sequence[Sample]
    # Since ever; none where the broker has heard of no acknowledgement.
    acknowledged: Sequence[Sample]
    # By now.
    total: int
    # What a sample says is of its moment, or of one until so much later (seconds).
    step: float


def notes_of(told: Mapping[str, Any] | Sequence[Any], step: float) -> Notes:
    """As the management API tells them, nothing as a list: a sample for each `step` seconds."""
    known = told if isinstance(told, Mapping) else {}
    stats = known.get("message_stats") or {}
    return Notes(
        messages=_samples(known.get("messages_details")),
        acknowledged=_samples(stats.get("ack_details")),
        total=int(stats.get("ack", 0)),
        step=step,
    )


def _samples(details: Mapping[str, Any] | None) -> Sequence[Sample]:
    told = (details or {}).get("samples", ())
    return [Sample(each["timestamp"] / 1000, int(each["sample"])) for each in told]


def longest(notes: Notes) -> float:
    """Seconds; 0 where no message is known to have waited."""
    found = 0.0
    for sample in notes.messages:
        if not sample.number:
            break  # whatever is there has come since
        before = _acknowledged(notes, sample.at - LATE_SECONDS - notes.step)
        if before is None:
            break
        if 0 <= notes.total - before < sample.number:
            found = notes.messages[0].at - sample.at - notes.step
    return max(0.0, found)


def _acknowledged(notes: Notes, at: float) -> int | None:
    """By then; None where the notes do not go back so far."""
    if not notes.acknowledged:
        return 0
    return next((each.number for each in notes.acknowledged if each.at <= at), None)


async def waits(management_url: str, amqp_url: str, queues: Collection[str]) -> Mapping[str, float]:
    """By queue, in seconds. Raises BrokerError where the management API does not answer."""
    vhost = broker.vhost_of(amqp_url)
    async with broker.session() as by:
        return {queue: await _waits_of(by, management_url, vhost, queue) for queue in queues}


async def noted(management_url: str, amqp_url: str, queues: Collection[str]) -> Mapping[str, Notes]:
    """By queue, of the last ten minutes. Raises BrokerError where the management API does not answer."""
    vhost = broker.vhost_of(amqp_url)
    async with broker.session() as by:
        found = await asyncio.gather(*(_notes(by, management_url, vhost, queue, *FINE) for queue in queues))
    return dict(zip(queues, found, strict=True))


async def _waits_of(by: ClientSession, management_url: str, vhost: str, queue: str) -> float:
    found = longest(await _notes(by, management_url, vhost, queue, *FINE))
    if found < FINE[0] / 2:
        return found
    return max(found, longest(await _notes(by, management_url, vhost, queue, *COARSE)))


async def _notes(
    by: ClientSession, management_url: str, vhost: str, queue: str, age: int, increment: int
) -> Notes:
    query = {"columns": COLUMNS}
    for what in ("lengths", "msg_rates"):
        query |= {f"{what}_age": str(age), f"{what}_incr": str(increment)}
    path = f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}?{urlencode(query)}"
    return notes_of(await broker.told(management_url, path, f"queue {queue}", by), increment)
