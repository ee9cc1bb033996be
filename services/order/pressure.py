"""When no new orders are taken: the answers that those under way wait for come too late.

More orders than can be served would only wait longer, all of them. What was accepted is never dropped; what
is refused is told to come back.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter

from services.order.model import HistoryEntry, Order, Status
from services.shared.contract.decisions import Decision, Message, Unavailable
from services.shared.contract.events import StockReserved, StockUnavailable

# How long an order may wait for its reservation before new ones are refused.
BOUND_SECONDS: Final = 1.5
# What is looked at: the answers of the last second, if there are enough to judge by.
WINDOW_SECONDS: Final = 1.0
ENOUGH: Final = 5
ANSWERS: Final = frozenset({StockReserved.type, StockUnavailable.type})
SHED: Final = Counter("sagashop_orders_shed_total", "Orders refused because too many were under way")


class Pressure:
    """How long reservations took that were answered within the last second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # When an answer came, and how long its order had waited for it (seconds).
        self._waits: deque[tuple[float, float]] = deque()

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

    @property
    def is_too_high(self) -> bool:
        """Whether even the quickest waited too long: one slow product is no pressure."""
        self._forget()
        return len(self._waits) >= ENOUGH and min(wait for _, wait in self._waits) > BOUND_SECONDS

    def check(self) -> None:
        """Raises Unavailable where a new order would only make all wait longer."""
        if self.is_too_high:
            SHED.inc()
            raise Unavailable("more orders are under way than can be served: try again in a moment")

    def _forget(self) -> None:
        while self._waits and self._waits[0][0] < self._now() - WINDOW_SECONDS:
            self._waits.popleft()
