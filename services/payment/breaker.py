"""Between us and a gateway that hangs: after some calls without an answer nobody waits for one. Pure.

Without it every charge would wait as long as a call may take, and hold a place that others could have.
"""

from typing import Final

# In a row, whatever they were about.
UNKNOWN_AT_MOST: Final = 5
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0


class Breaker:
    """Times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._unknown = 0
        self._pause = FIRST_PAUSE_SECONDS
        # When the next call may try; None while all may.
        self._next: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._next is not None

    def lets_through(self, now: float, longest: float) -> bool:
        """While it is open, one call at a time, which takes `longest` at most, finds out how it is."""
        if self._next is None:
            return True
        if now < self._next:
            return False
        self._next, self._probing = now + longest, True
        return True

    def answered(self) -> None:
        """Whatever it said, it is there."""
        self._unknown, self._pause = 0, FIRST_PAUSE_SECONDS
        self._next, self._probing = None, False

    def unknown(self, now: float) -> None:
        """Those that were under way when it opened tell nothing new."""
        self._unknown += 1
        if self._unknown < UNKNOWN_AT_MOST:
            return
        if self._probing:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if self._next is None or self._probing:
            self._next, self._probing = now + self._pause, False
