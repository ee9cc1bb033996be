"""Counts requests in this process: what the limiter does while Redis is unavailable."""

from collections.abc import Sequence
from typing import Final

from services.gateway.limits import Budget, Count, Verdict, judged

# Some 20 MB. Where there are more, the oldest are forgotten.
MOST_KEYS: Final = 100_000


class OwnCount:
    """The same sliding window as in Redis, of the requests that come to this replica."""

    def __init__(self, window_seconds: float, most_keys: int = MOST_KEYS) -> None:
        self._window, self._most = window_seconds, most_keys
        self._slot = -1
        self._before: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def judge(self, budgets: Sequence[Budget], now: float) -> Verdict:
        """Count a request at `now` (monotonic seconds) against all of its budgets, or against none."""
        slot, elapsed = divmod(now / self._window, 1)
        self._turn_to(int(slot))
        verdict = judged(
            budgets,
            [Count(self._before.get(key, 0), self._current.get(key, 0), elapsed) for key, _ in budgets],
        )
        if verdict.has_room:
            for key, _ in budgets:
                self._current[key] = self._current.get(key, 0) + 1
            while len(self._current) > self._most:
                del self._current[next(iter(self._current))]
        return verdict

    def _turn_to(self, slot: int) -> None:
        if slot == self._slot:
            return
        self._before = self._current if slot == self._slot + 1 else {}
        self._current = {}
        self._slot = slot
