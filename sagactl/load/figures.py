"""What came of the orders that were placed, for people, for Prometheus, and for whoever checks the books."""

import statistics
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from sagactl.shop import Json

# When a series was born tells nobody anything, and there would be one more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
# Orders that were accepted within so many seconds are told to whoever asks.
RECENT_SECONDS: Final = 15 * 60.0
# Of so many orders latencies are told: the last ones.
REMEMBERED: Final = 10_000
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Outcome(StrEnum):
    """What a customer saw of an order that was due."""

    SOLD = "sold"
    # The card, which is how one order in ten goes at the mock gateway.
    DECLINED = "declined"
    # For another reason: a timeout, no stock.
    CANCELLED = "cancelled"
    # Not placed: the shop had said to come back later.
    HELD_BACK = "held_back"
    # Refused, or without an answer, again and again.
    GIVEN_UP = "given_up"
    # Answered 201, and not settled in time.
    LATE = "late"
    # Answered 201, and not there afterwards.
    LOST = "lost"


# What no fault of a server excuses.
WRONG: Final = (Outcome.LATE, Outcome.LOST)


def outcome_of(order: Json) -> Outcome:
    """Of one that is settled."""
    if order["status"] != "CANCELLED":
        return Outcome.SOLD
    return Outcome.DECLINED if order["cancellationReason"] == "PAYMENT_FAILED" else Outcome.CANCELLED


class Figures:
    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float], rate: float) -> None:
        """`clock` tells seconds; `rate` is how many orders a second are asked for."""
        self._clock = clock
        self._recent: deque[tuple[float, str]] = deque()
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._accepted = 0
        self._counts = dict.fromkeys(Outcome, 0)
        Gauge(
            "sagashop_load_rate", "The rate of orders that was asked for, per second.", registry=registry
        ).set(rate)
        self._orders = Counter(
            "sagashop_load_orders", "Orders that were due.", ["outcome"], registry=registry
        )
        self._refusals = Counter(
            "sagashop_load_refusals",
            "Answers that ask to come back later, and missing answers.",
            ["status"],
            registry=registry,
        )
        self._duration = Histogram(
            "sagashop_load_order_duration_seconds",
            "From an order's creation to its end.",
            registry=registry,
            buckets=BUCKETS,
        )
        for outcome in Outcome:
            self._orders.labels(outcome)

    def refused(self, status: int) -> None:
        """0 where no answer came."""
        self._refusals.labels(status or "none").inc()

    def accepted(self, order_id: str) -> None:
        self._accepted += 1
        self._recent.append((self._clock(), order_id))
        self._forget()

    def ended(self, outcome: Outcome, seconds: float | None = None) -> None:
        """`seconds`: from the order's creation to its end, where it has come to one."""
        self._counts[outcome] += 1
        self._orders.labels(outcome).inc()
        if seconds is not None:
            self._seconds.append(seconds)
            self._duration.observe(seconds)

    @property
    def recent(self) -> list[str]:
        """The ids of those that were answered 201 within RECENT_SECONDS, the oldest first."""
        self._forget()
        return [order_id for _, order_id in self._recent]

    @property
    def wrong(self) -> int:
        return sum(self._counts[outcome] for outcome in WRONG)

    def __str__(self) -> str:
        parts = [f"{self._accepted} orders accepted"]
        parts += [
            f"{number} {outcome.value.replace('_', ' ')}"
            for outcome, number in self._counts.items()
            if number
        ]
        if len(self._seconds) > 1:
            cuts = statistics.quantiles(self._seconds, n=100, method="inclusive")
            parts.append(f"settled within {cuts[49]:.2f} s (half of them), {cuts[98]:.2f} s (99 %)")
        return ", ".join(parts)

    def _forget(self) -> None:
        while self._recent and self._recent[0][0] < self._clock() - RECENT_SECONDS:
            self._recent.popleft()
