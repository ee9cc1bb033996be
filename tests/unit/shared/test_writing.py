"""What waits for the client library ends with its channel, and says so by one kind of error."""

import asyncio
import gc
from typing import cast

import pytest
from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelNotFoundEntity

from services.shared.engine.writing import until_closed, write

SOON = 1.0


class Closing:
    """A channel of which nobody reads what is written."""

    def __init__(self) -> None:
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write_queue: asyncio.Queue[ChannelFrame] = asyncio.Queue(1)

    @property
    def closing(self) -> asyncio.Future[None]:
        return asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    def close(self) -> None:
        self._closed.set_result(None)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_an_error_that_a_dying_channel_raises_is_a_lost_connection() -> None:
    channel = Closing()

    async def ask() -> None:
        channel.close()
        raise ChannelNotFoundEntity("whatever the library says")

    with pytest.raises(ConnectionError, match="whatever the library says"):
        await until_closed(channel, ask())


async def test_an_error_on_a_channel_that_lives_is_raised_as_it_is() -> None:
    async def ask() -> None:
        raise ValueError("of the caller's making")

    with pytest.raises(ValueError, match="making"):
        await until_closed(Closing(), ask())


async def test_what_the_library_cancels_is_a_lost_connection_and_no_cancellation() -> None:
    async def cancelled_by_the_library() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ConnectionError):
        await until_closed(Closing(), cancelled_by_the_library())


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_what_waits_for_a_channel_that_closes_waits_no_longer(seconds: float | None) -> None:
    channel = Closing()
    asyncio.get_running_loop().call_soon(channel.close)
    async with asyncio.timeout(SOON):
        with pytest.raises(ConnectionError):
            await until_closed(channel, forever(), seconds)


async def test_what_the_library_raises_once_nobody_waits_any_more_is_no_error_of_ours() -> None:
    """Asyncio logs an exception that nobody has asked for, with all its lines, as an error."""
    channel, unheard = Closing(), list[dict[str, object]]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    ended = asyncio.Event()

    async def ask() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise ConnectionResetError("what closed the channel") from None
        finally:
            ended.set()

    loop.call_soon(channel.close)
    with pytest.raises(ConnectionError):
        await until_closed(channel, ask())
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert unheard == []


async def test_a_broker_that_does_not_answer_in_time_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionError, match="does not answer"):
        await until_closed(Closing(), forever(), 0.01)


async def test_frames_for_a_writer_that_is_no_more_wait_no_longer_than_their_channel_lives() -> None:
    channel = Closing()
    await write(cast("Channel", channel), b"fits")
    asyncio.get_running_loop().call_soon(channel.close)
    async with asyncio.timeout(SOON):
        with pytest.raises(ConnectionError):
            await write(cast("Channel", channel), b"does not fit")
    with pytest.raises(ConnectionError):
        await write(cast("Channel", channel), b"is closed")
