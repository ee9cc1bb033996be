"""A line per refused request is one that any stranger can have written: so many a second, then none."""

import logging
import time


class Sparing(logging.Filter):
    """Lets so many lines below ERROR pass each second. The next one says how many were `left_out`."""

    def __init__(self, per_second: int) -> None:
        super().__init__()
        self._per_second = per_second
        self._second = 0
        self._passed = self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._passed = second, 0
        if self._passed >= self._per_second:
            self._left_out += 1
            return False
        self._passed += 1
        if self._left_out:
            record.left_out = self._left_out
            self._left_out = 0
        return True
