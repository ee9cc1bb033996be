"""When no new orders are taken: those before them wait too long, here or for their reservations.

More orders than can be served would only wait longer, all of them. What was accepted is never dropped; what
is refused is told to come back.

Most of the waiting is done here, before an order is committed: what is under way comes first. That is seen at
once, and how long one more would wait is foretold; the answers to reservations tell it when it is too late.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter

from services.order.model import HistoryEntry, Order, Status
from services.shared.contract.decisions import Decision, Message, Unavailable
from services.shared.contract.events import StockReserved, StockUnavailable

# How long a new order may have to wait until it is committed.
LINE_BOUND_SECONDS: Final = 1.0
# While the first in the line waits less, nothing is foretold: an idle shop has committed few, and is quick.
SHORT_SECONDS: Final = 0.4
# How long an order may wait for its reservation before new ones are refused.
BOUND_SECONDS: Final = 1.5
# What is looked at: the answers of the last second, if there are enough to judge by.
WINDOW_SECONDS: Final = 1.0
ENOUGH: Final = 5
ANSWERS: Final = frozenset({StockReserved.type, StockUnavailable.type})
SHED: Final = Counter("sagashop_orders_shed_total", "Orders refused because too many were under way")


class Pressure:
    """Who waits here, and how long reservations took that were answered within the last second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # When an answer came, and how long its order had waited for it (seconds).
        self._waits: deque[tuple[float, float]] = deque()
        # Orders that are not committed yet, the first that came first: when they came.
        self._line: dict[object, float] = {}
        # When orders left the line.
        self._served: deque[float] = deque()

    def observe(self, message: Message, decision: Decision) -> None:
        """Looks at a committed decision for the answer to a reservation."""
        for order in decision.changed:
            if (
                isinstance(order, Order)
                and len(order.history) > 1
                and order.history[-1].event_id == message.id
            ):
                self.note(order.history[-2], order.history[-1])

    def note(self, before: HistoryEntry, step: HistoryEntry) -> None:
        """Takes note of a step of an order, and of the step before it."""
        if before.to is Status.PENDING and step.event in ANSWERS:
            self._waits.append((self._now(), (step.at - before.at).total_seconds()))
            self._forget()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While an order waits until it is committed."""
        place = object()
        self._line[place] = self._now()
        try:
            yield
        finally:
            del self._line[place]
            self._served.append(self._now())

    @property
    def is_too_high(self) -> bool:
        self._forget()
        return self._line_is_too_long or self._answers_are_too_late

    @property
    def _line_is_too_long(self) -> bool:
        first = next(iter(self._line.values()), None)
        waited = 0.0 if first is None else self._now() - first
        if waited <= SHORT_SECONDS:
            return False
        foretold = len(self._line) * WINDOW_SECONDS / max(1, len(self._served))
        return max(waited, foretold) > LINE_BOUND_SECONDS

    @property
    def _answers_are_too_late(self) -> bool:
        """Whether even the quickest came too late: one slow product is no pressure."""
        return len(self._waits) >= ENOUGH and min(wait for _, wait in self._waits) > BOUND_SECONDS

    def check(self) -> None:
        """Raises Unavailable where a new order would only make all wait longer."""
        if self.is_too_high:
            SHED.inc()
            raise Unavailable("more orders are under way than can be served: try again in a moment")

    def _forget(self) -> None:
        since = self._now() - WINDOW_SECONDS
        while self._waits and self._waits[0][0] < since:
            self._waits.popleft()
        while self._served and self._served[0] < since:
            self._served.popleft()
