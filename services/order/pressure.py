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
from services.shared.contract.decisions import Decision, Message, Overloaded
from services.shared.contract.events import StockReserved, StockUnavailable

# How long a new order may have to wait until it is committed. A longer line keeps more requests at hand for
# nothing: batches are full with this one, too.
LINE_BOUND_SECONDS: Final = 0.5
# While the first in the line waits less, nothing is foretold: an idle shop has committed few, and is quick.
SHORT_SECONDS: Final = 0.4
# How long an order may wait for its reservation before new ones are refused.
BOUND_SECONDS: Final = 1.5
# What is looked at: the answers of the last second, if there are enough to judge by.
WINDOW_SECONDS: Final = 1.0
ENOUGH: Final = 5
TOO_MANY: Final = "more orders are under way than can be served: try again in a moment"
ANSWERS: Final = frozenset({StockReserved.type, StockUnavailable.type})
SHED: Final = Counter("sagashop_orders_shed_total", "Orders refused because too many were under way")


class Pressure:
    """Who waits here, and how long reservations took that were answered within the last second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # When answers came.
        self._answered: deque[float] = deque()
        # Of those, the ones that may yet be the quickest: when they came, how long their orders had waited
        # (seconds). One that was as quick and came later outlasts them: from the left, waits only rise. Every
        # new order asks for the quickest, and must not look at all of them.
        self._quickest: deque[tuple[float, float]] = deque()
        # Orders that are not committed yet, the first that came first: when they came.
        self._line: dict[object, float] = {}
        # New orders, since this process began.
        self.refused = 0
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
            now, wait = self._now(), (step.at - before.at).total_seconds()
            while self._quickest and self._quickest[-1][1] >= wait:
                self._quickest.pop()
            self._quickest.append((now, wait))
            self._answered.append(now)
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
        return len(self._answered) >= ENOUGH and self._quickest[0][1] > BOUND_SECONDS

    def check(self) -> None:
        """Raises Overloaded where a new order would only make all wait longer."""
        if self.refuses():
            raise Overloaded(TOO_MANY)

    def refuses(self) -> bool:
        """Whether a new order would only make all wait longer. Counts those that are refused."""
        if not self.is_too_high:
            return False
        SHED.inc()
        self.refused += 1
        return True

    def _forget(self) -> None:
        since = self._now() - WINDOW_SECONDS
        while self._answered and self._answered[0] < since:
            self._answered.popleft()
        while self._quickest and self._quickest[0][0] < since:
            self._quickest.popleft()
        while self._served and self._served[0] < since:
            self._served.popleft()
