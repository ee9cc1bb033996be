"""Publishing many messages at once, each with its own confirm.

`basic_publish` takes a lock, a timer and a task for every message, which costs as much again as publishing.
Here all go through the writer in one pass, and one wait is for all confirms. The channel's own bookkeeping
is used, so that confirms, returned messages and a lost connection reach each message as ever.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from aiormq import Channel
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader


class Outgoing(NamedTuple):
    routing_key: str
    body: bytes
    # With a message id: by it the broker's returns are told apart.
    properties: Basic.Properties


async def publish_all(
    channel: Channel, exchange: str, messages: Iterable[Outgoing], patience: float
) -> list[BaseException | None]:
    """What became of each message: None where it was confirmed, otherwise why it was not.

    `patience` is in seconds; a message without an answer until then has a TimeoutError.
    """
    confirmations: list[asyncio.Future[object]] = []
    async with channel.lock:
        for message in messages:
            confirmations.append(_register(channel, str(message.properties.message_id)))
            await channel.write_queue.put(_frames(channel, exchange, message))
    if confirmations:
        await asyncio.wait(confirmations, timeout=patience)
    return [_outcome(confirmation) for confirmation in confirmations]


def _register(channel: Channel, message_id: str) -> "asyncio.Future[object]":
    channel.delivery_tag += 1
    tag = channel.delivery_tag
    confirmation: asyncio.Future[object] = channel.create_future()
    channel.confirmations[tag] = confirmation
    channel.message_id_delivery_tag[message_id] = tag

    def forget(_: "asyncio.Future[object]") -> None:
        if channel.message_id_delivery_tag.get(message_id) == tag:
            del channel.message_id_delivery_tag[message_id]

    confirmation.add_done_callback(forget)
    return confirmation


def _frames(channel: Channel, exchange: str, message: Outgoing) -> ChannelFrame:
    publish = Basic.Publish(exchange=exchange, routing_key=message.routing_key, mandatory=True)
    header = ContentHeader(properties=message.properties, body_size=len(message.body))
    most = channel.max_content_size
    parts = (message.body[start : start + most] for start in range(0, len(message.body), most))
    return ChannelFrame.marshall(
        channel_number=channel.number, frames=[publish, header, *(ContentBody(part) for part in parts)]
    )


def _outcome(confirmation: "asyncio.Future[object]") -> BaseException | None:
    if not confirmation.done():
        confirmation.cancel()
        return TimeoutError("the broker neither confirmed nor refused it")
    if confirmation.cancelled():
        return ConnectionError("the channel closed")
    return confirmation.exception()
