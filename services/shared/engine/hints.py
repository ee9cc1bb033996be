"""Redis remembers for a day which messages were handled: a hint that saves work, never the truth.

It is asked about deliveries that may be repeats, and a hit is confirmed by the message's home before it is
believed. Flushed, stale, slow or unavailable, nothing changes but speed.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.shared.contract.decisions import Message

KEPT_SECONDS: Final = 24 * 3600
# After an error Redis is left alone for a while: a batch must not wait for it each time.
PAUSE_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 0.5
WRITTEN_AT_ONCE: Final = 1000
# What is not written yet when Redis is unavailable; older ones are forgotten.
BACKLOG: Final = 10_000
# One command for many: a pipeline of as many SETs costs several times as much here.
REMEMBER: Final = "for _, key in ipairs(KEYS) do redis.call('SET', key, '1', 'EX', ARGV[1]) end"
log = logging.getLogger(__name__)


class Hints:
    """Which messages were handled before, as far as Redis remembers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remember = redis.register_script(REMEMBER)
        self._paused_until = 0.0
        self._backlog: deque[str] = deque(maxlen=BACKLOG)
        self._came = asyncio.Event()

    async def seen(self, messages: Sequence[Message]) -> set[str]:
        """The ids of those that Redis remembers."""
        if not messages or time.monotonic() < self._paused_until:
            return set()
        try:
            values = await self._redis.mget([_key(message) for message in messages])
        except (RedisError, OSError) as error:
            self._pause(error)
            return set()
        return {message.id for message, value in zip(messages, values, strict=True) if value is not None}

    def remember(self, messages: Iterable[Message]) -> None:
        """Written later, in the background."""
        self._backlog.extend(map(_key, messages))
        if self._backlog:
            self._came.set()

    async def run(self) -> None:
        """Writes what is to be remembered, many at once."""
        while True:
            await self._came.wait()
            await asyncio.sleep(WRITE_SECONDS)
            self._came.clear()
            await self._write()

    async def _write(self) -> None:
        while self._backlog and time.monotonic() >= self._paused_until:
            keys = [self._backlog.popleft() for _ in range(min(len(self._backlog), WRITTEN_AT_ONCE))]
            try:
                await self._remember(keys=keys, args=[KEPT_SECONDS])
            except (RedisError, OSError) as error:
                self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("Redis is unavailable, duplicates are found by their homes alone: %s", error)


def _key(message: Message) -> str:
    return f"processed:{message.source}:{message.id}"
