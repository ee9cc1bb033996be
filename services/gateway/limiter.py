"""Counts requests in Redis. One round trip serves all the requests that wait when it starts.

The window slides over two fixed ones, of which the older counts by the share that is still inside. Refused
requests do not count. Without Redis everything is let through; log, metric and readiness say so.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.gateway.limits import Budget, Count, seconds_to_wait
from services.shared.coalesce import Coalescer

# For each request: how many budgets it has, then key and limit of each. It counts against all or none.
# Answers, for each request: 1 and three zeros; or 0, the counts of both windows, and the index of its budget.
_SCRIPT: Final = """
local time = redis.call('TIME')
local window = tonumber(ARGV[1])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.floor(now / window)
local elapsed = (now % window) / window
local answers = {tostring(elapsed)}
local at = 2
for first = 1, tonumber(ARGV[2]) do
  at = at + 1
  local budgets = tonumber(ARGV[at])
  local refused = false
  for i = 0, budgets - 1 do
    local key = 'rate:' .. ARGV[at + 1 + 2 * i] .. ':'
    local counts = redis.call('MGET', key .. (slot - 1), key .. slot)
    local before, current = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
    if not refused and current + before * (1 - elapsed) + 1 > tonumber(ARGV[at + 2 + 2 * i]) then
      refused = true
      for _, value in ipairs({0, before, current, i}) do table.insert(answers, value) end
    end
  end
  if not refused then
    for i = 0, budgets - 1 do
      local key = 'rate:' .. ARGV[at + 1 + 2 * i] .. ':' .. slot
      if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, 2 * window) end
    end
    for _, value in ipairs({1, 0, 0, 0}) do table.insert(answers, value) end
  end
  at = at + 2 * budgets
end
return answers
"""
MOST_AT_ONCE: Final = 100
# After an error Redis is left alone for a while: requests must not wait for it each time.
PAUSE_SECONDS: Final = 5.0
UNCHECKED: Final = Counter("sagashop_rate_limit_unchecked_total", "Requests let through without Redis")
REFUSED: Final = Counter("sagashop_rate_limit_refused_total", "Requests answered 429")
log = logging.getLogger(__name__)


class _RedisUnavailable(Exception):
    """The requests cannot be counted."""


class Limiter:
    def __init__(self, redis: Redis, window_seconds: float) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)
        self._window = window_seconds
        self._coalescer = Coalescer(self._count, most_at_once=MOST_AT_ONCE, unavailable=_RedisUnavailable)
        self._paused_until = float("-inf")

    @property
    def works(self) -> bool:
        return time.monotonic() >= self._paused_until

    async def wait_for(self, budgets: Sequence[Budget]) -> int | None:
        """Count a request. Answer None when there is room, else the seconds until there may be."""
        if self.works:
            with suppress(_RedisUnavailable):
                return await self._coalescer.ask(budgets)
        UNCHECKED.inc()
        return None

    async def close(self) -> None:
        await self._redis.aclose()

    async def _count(self, requests: Sequence[Sequence[Budget]]) -> Sequence[int | None]:
        """Each request's answer. Raises _RedisUnavailable."""
        arguments: list[str | int] = [int(self._window * 1000), len(requests)]
        for budgets in requests:
            arguments.append(len(budgets))
            for budget in budgets:
                arguments += budget
        try:
            elapsed, *numbers = await self._script(args=arguments)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("Redis is unavailable, requests are not limited: %s", error)
            raise _RedisUnavailable from error
        return [
            self._answer(budgets, float(elapsed), *numbers[4 * i : 4 * i + 4])
            for i, budgets in enumerate(requests)
        ]

    def _answer(
        self, budgets: Sequence[Budget], elapsed: float, has_room: int, before: int, current: int, which: int
    ) -> int | None:
        if has_room:
            return None
        REFUSED.inc()
        return seconds_to_wait(Count(before, current, elapsed), budgets[which].limit, self._window)
