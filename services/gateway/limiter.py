"""Counts requests in Redis. One round trip serves all the requests that wait when it starts.

The window slides over two fixed ones, of which the older counts by the share that is still inside. Refused
requests do not count. Without Redis each replica counts for itself; log and metric say so.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from services.gateway.limits import Budget, Count, Verdict, judged
from services.gateway.own_count import OwnCount
from services.shared.coalesce import Coalescer

# For each request: how many budgets it has, then key and limit of each. It counts against all or none.
# Answers the elapsed part of the window; then for each request, and each of its budgets, the counts of both
# windows before it. What a verdict is, limits.py says.
_SCRIPT: Final = """
local time = redis.call('TIME')
local window = tonumber(ARGV[1])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.floor(now / window)
local elapsed = (now % window) / window
local answers = {tostring(elapsed)}
local at = 2
for request = 1, tonumber(ARGV[2]) do
  at = at + 1
  local budgets = tonumber(ARGV[at])
  local has_room = true
  for i = 0, budgets - 1 do
    local key = 'rate:' .. ARGV[at + 1 + 2 * i] .. ':'
    local counts = redis.call('MGET', key .. (slot - 1), key .. slot)
    local before, current = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
    has_room = has_room and current + before * (1 - elapsed) + 1 <= tonumber(ARGV[at + 2 + 2 * i])
    table.insert(answers, before)
    table.insert(answers, current)
  end
  if has_room then
    for i = 0, budgets - 1 do
      local key = 'rate:' .. ARGV[at + 1 + 2 * i] .. ':' .. slot
      if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, 2 * window) end
    end
  end
  at = at + 2 * budgets
end
return answers
"""
MOST_AT_ONCE: Final = 100
# After an error Redis is left alone for a while: requests must not wait for it each time.
PAUSE_SECONDS: Final = 5.0
COUNTED_HERE: Final = Counter(
    "sagashop_rate_limit_without_redis_total", "Requests counted by one replica alone"
)
REFUSED: Final = Counter("sagashop_rate_limit_refused_total", "Requests answered 429")
log = logging.getLogger(__name__)


class _RedisUnavailable(Exception):
    """The requests cannot be counted together with those of other replicas."""


class Limiter:
    def __init__(self, redis: Redis, window_seconds: float) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)
        self.window = window_seconds
        self._own = OwnCount(window_seconds)
        self._coalescer = Coalescer(self._count, most_at_once=MOST_AT_ONCE, unavailable=_RedisUnavailable)
        self._paused_until = float("-inf")

    async def judge(self, budgets: Sequence[Budget]) -> Verdict:
        """Count a request, if it has room."""
        verdict = await self._judge(budgets)
        if not verdict.has_room:
            REFUSED.inc()
        return verdict

    async def close(self) -> None:
        await self._redis.aclose()

    async def _judge(self, budgets: Sequence[Budget]) -> Verdict:
        if not self._paused():
            with suppress(_RedisUnavailable):
                return await self._coalescer.ask(budgets)
        COUNTED_HERE.inc()
        return self._own.judge(budgets, time.monotonic())

    async def _count(self, requests: Sequence[Sequence[Budget]]) -> Sequence[Verdict]:
        """Each request's verdict. Raises _RedisUnavailable."""
        if self._paused():  # since these requests began to wait
            raise _RedisUnavailable
        arguments: list[str | int] = [int(self.window * 1000), len(requests)]
        for budgets in requests:
            arguments.append(len(budgets))
            for budget in budgets:
                arguments += budget
        try:
            elapsed, *numbers = await self._ask(arguments)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("Redis is unavailable, each replica counts requests for itself: %s", error)
            raise _RedisUnavailable from error
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [
            judged(budgets, [Count(*next(pairs), float(elapsed)) for _ in budgets]) for budgets in requests
        ]

    def _paused(self) -> bool:
        return time.monotonic() < self._paused_until

    async def _ask(self, arguments: Sequence[str | int]) -> Sequence[Any]:
        """Once more after a time-out: where this loop was busy, the answer came in time, and was read late.

        These requests may then have counted twice, which is better than taking Redis for unavailable.
        """
        try:
            answers: Sequence[Any] = await self._script(args=arguments)
        except RedisTimeout:
            answers = await self._script(args=arguments)
        return answers
