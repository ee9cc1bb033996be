"""Waiting for the AMQP client library, always with an end.

A connection may die or stand still at any moment, and what waits for it may wait forever, or be cancelled by
the library itself, which nobody then tells apart from being asked to stop.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeVar

from aiormq import Channel
from aiormq.abc import ChannelFrame

# Longer than the heartbeats need to find a connection that is gone.
PATIENCE_SECONDS: Final = 45.0
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Closable(Protocol):
    """A connection or channel of the library."""

    @property
    def closing(self) -> "asyncio.Future[Any]": ...


async def write(channel: Channel, frames: bytes) -> None:
    """Hands bytes to the connection's writer. Raises ConnectionError when the channel closes before.

    The queue to the writer is bounded, and nobody reads it any more when the connection has died: waiting for
    a place in it must end with the connection.
    """
    if channel.is_closed:
        raise ConnectionError("the channel is closed")
    frame = ChannelFrame(payload=frames, should_close=False)
    try:
        channel.write_queue.put_nowait(frame)
    except asyncio.QueueFull:
        await until_closed(channel, channel.write_queue.put(frame))


async def until_closed(
    resource: Closable, work: Coroutine[Any, Any, Result], seconds: float | None = PATIENCE_SECONDS
) -> Result:
    """What the client library does, ended with its channel or connection, and after `seconds`.

    Raises ConnectionError; also where the library cancels what waits for a connection that it gives up.
    """
    task = asyncio.ensure_future(work)
    closing = resource.closing
    try:
        await asyncio.wait({task, closing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not task.cancelled():
            if closing.done() and (error := task.exception()) is not None:
                raise ConnectionError(f"the channel closed: {error!r}") from error
            return task.result()
        raise ConnectionError(
            "the connection or channel closed" if closing.done() else "the broker does not answer"
        )
    finally:
        if task.cancel():  # and the library may raise what closed the channel all the same
            task.add_done_callback(ignore_late)
        closing.cancel()


def ignore_late(task: "asyncio.Future[Any]") -> None:
    """As a done callback of what nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("while closing: %s", error)
