"""Redis, lost at the worst of moments, on the event loop that services run on."""

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from threading import Thread
from time import sleep

import pytest
import uvloop
from redis.exceptions import RedisError

from services.shared.cache import connect_redis

CONNECTIONS = 600
# They are reset sooner and later: the moment that counts lies within a tenth of a millisecond.
STEPS = 5
STEP_SECONDS = 2e-5
# A connection is closed by this with a reset, whatever was sent: on, for 0 seconds.
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting() -> Iterator[str]:
    """The URL of what takes connections, and resets each at once: a proxy whose Redis is dead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=_reset_all, args=(listener,))
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _reset_all(listener: socket.socket) -> None:
    with suppress(OSError):  # the listener is shut down
        for number in count():
            accepted, _ = listener.accept()
            sleep(number % STEPS * STEP_SECONDS)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            accepted.close()


def test_a_connection_that_is_reset_is_told_as_one_that_is_lost(resetting: str) -> None:
    """Anything else would end the process, or the request, that asked."""

    async def told() -> Counter[type[Exception]]:
        kinds = Counter[type[Exception]]()
        for _ in range(CONNECTIONS):
            async with connect_redis(resetting) as redis:
                try:
                    await redis.get("anything")
                except Exception as error:  # noqa: BLE001  # what it may be is asked below
                    kinds[type(error)] += 1
        return kinds

    kinds = uvloop.run(told())
    assert kinds.total() == CONNECTIONS
    assert [kind for kind in kinds if not issubclass(kind, (RedisError, OSError))] == []
