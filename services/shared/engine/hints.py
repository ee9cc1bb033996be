"""Redis remembers for a day which messages were handled: a hint that saves work, never the truth.

A hit is confirmed in the inbox before it is believed. Flushed, stale or away, nothing changes but speed.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

KEPT_SECONDS: Final = 24 * 3600
# After an error Redis is left alone for a while: a batch must not wait for it each time.
PAUSE_SECONDS: Final = 5.0
# One command for a batch: a pipeline of as many SETs costs several times as much here.
REMEMBER: Final = "for _, key in ipairs(KEYS) do redis.call('SET', key, '1', 'EX', ARGV[1]) end"
log = logging.getLogger(__name__)


class Hints:
    """Which of `{source}/{id}` were handled before, as far as Redis remembers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remember = redis.register_script(REMEMBER)
        self._paused_until = 0.0

    async def seen(self, keys: Sequence[str]) -> set[str]:
        if not keys or time.monotonic() < self._paused_until:
            return set()
        try:
            values = await self._redis.mget([_name(key) for key in keys])
        except (RedisError, OSError) as error:
            self._pause(error)
            return set()
        return {key for key, value in zip(keys, values, strict=True) if value is not None}

    async def remember(self, keys: Sequence[str]) -> None:
        if not keys or time.monotonic() < self._paused_until:
            return
        try:
            await self._remember(keys=[_name(key) for key in keys], args=[KEPT_SECONDS])
        except (RedisError, OSError) as error:
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("Redis is away, duplicates are found in the inbox alone: %s", error)


def _name(key: str) -> str:
    source, _, id_ = key.partition("/")
    return f"processed:{source}:{id_}"
