"""Pure: which stale orders a sweep compensates, in which order, and when to look again."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_BACK_OFF = timedelta(minutes=2)

FIRST_RETRY = timedelta(seconds=5)
"""The pause after a failed sweep until one has succeeded: a new shop starts beside its monitor."""

JITTER = 0.1
"""By which part of itself a pause may be longer or shorter."""

CATCH_UP = timedelta(seconds=1)
"""The pause while orders are left over: after an outage they are thousands, and each holds stock."""

FAILURES_IN_A_ROW = 3
"""A sweep gives up after this many failed compensations in a row: the service is ill, not the order."""

REFUSALS = frozenset({"Unauthorized", "Forbidden"})
"""Reasons that hold for every order alike."""

KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
"""The reason that says nothing about the order service."""

LISTED_AT_MOST = 1000
"""What one listing asks for, so that the count of stale orders is honest far beyond `max_per_sweep`."""


class Action(StrEnum):
    COMPENSATE = "Compensate"
    ALERT = "Alert"


class Outcome(StrEnum):
    """The order service's answers to a compensation, and FAILED where there was none."""

    COMPENSATED = "compensated"
    ALREADY = "already"
    NOT_APPLICABLE = "notApplicable"
    FAILED = "failed"


@dataclass(frozen=True)
class Policy:
    stale_after: timedelta
    pending_stale_after: timedelta | None = None
    action: Action = Action.COMPENSATE
    max_per_sweep: int = 200
    dry_run: bool = False

    @property
    def limits(self) -> dict[str, timedelta]:
        """Order status -> the age from which an order in it is stale."""
        confirmed = {"CONFIRMED": self.stale_after}
        return (
            confirmed
            if self.pending_stale_after is None
            else confirmed | {"PENDING": self.pending_stale_after}
        )


@dataclass(frozen=True)
class StaleOrder:
    order_id: str
    status: str
    state_since: datetime


@dataclass(frozen=True)
class Plan:
    compensate: tuple[StaleOrder, ...] = ()
    preview: tuple[StaleOrder, ...] = ()
    """What a dry run would have compensated."""
    deferred: tuple[StaleOrder, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why something could not be done: `reason` is CamelCase, for a condition."""

    reason: str
    message: str


@dataclass(frozen=True)
class Attempt:
    order: StaleOrder
    outcome: Outcome
    at: datetime
    failure: Failure | None = None


@dataclass(frozen=True)
class Sweep:
    """What happened. `found` is None where the orders could not even be listed."""

    started: datetime
    finished: datetime
    found: tuple[StaleOrder, ...] | None = None
    plan: Plan = Plan()
    attempts: tuple[Attempt, ...] = ()
    failure: Failure | None = None

    def count(self, outcome: Outcome) -> int:
        return sum(attempt.outcome is outcome for attempt in self.attempts)

    @property
    def deferred(self) -> int:
        """Orders left for a later sweep: beyond the cap, or not reached before the sweep ended."""
        return len(self.plan.deferred) + len(self.plan.compensate) - len(self.attempts)

    @property
    def succeeded(self) -> bool:
        return self.failure is None and not self.count(Outcome.FAILED)


def plan(found: Iterable[StaleOrder], policy: Policy, failed_before: Collection[str] = ()) -> Plan:
    """Oldest first, at most `max_per_sweep`; those that failed last time go last, and so block no others."""
    distinct = {order.order_id: order for order in found if order.status in policy.limits}
    queue = sorted(distinct.values(), key=lambda o: (o.order_id in failed_before, o.state_since, o.order_id))
    if policy.action is Action.ALERT:
        return Plan()
    now, later = tuple(queue[: policy.max_per_sweep]), tuple(queue[policy.max_per_sweep :])
    return Plan(preview=now, deferred=later) if policy.dry_run else Plan(compensate=now, deferred=later)


def gives_up(attempts: Sequence[Attempt]) -> Failure | None:
    """Tell why to end the sweep early: it is refused, or fails so often that the service is ill."""
    last = [attempt.failure for attempt in attempts[-FAILURES_IN_A_ROW:] if attempt.failure is not None]
    if attempts and attempts[-1].failure is not None:
        refused = last[-1].reason in REFUSALS
        return last[-1] if refused or len(last) == FAILURES_IN_A_ROW else None
    return None


def pause_after(
    sweep: Sweep, interval: timedelta, consecutive_failures: int, *, swept_before: bool = True
) -> timedelta:
    """The pause until the next sweep: hardly any while a sweep that works leaves orders for a later one.

    No back-off until one has succeeded (`swept_before`), for the order service may just be starting.
    """
    if not (sweep.succeeded or swept_before):
        return min(interval, FIRST_RETRY)
    left_over = sweep.deferred or len(sweep.found or ()) >= LISTED_AT_MOST
    if sweep.succeeded and sweep.attempts and left_over:
        return min(interval, CATCH_UP)
    return delay_until_next(interval, consecutive_failures)


def failures_that_degrade(threshold: int, interval: timedelta, *, swept_before: bool) -> int:
    """Failures that come faster than by the interval count for less: a slow start degrades nothing."""
    return threshold if swept_before else threshold * max(1, int(interval / FIRST_RETRY))


def delay_until_next(interval: timedelta, consecutive_failures: int) -> timedelta:
    """Double the interval with every failure in a row, up to two minutes (or the interval, if longer)."""
    doubled = interval * (1 << min(max(consecutive_failures - 1, 0), 10))
    return min(doubled, longest_delay(interval))


def longest_delay(interval: timedelta) -> timedelta:
    return max(interval, LONGEST_BACK_OFF)


def longest_pause(interval: timedelta) -> timedelta:
    """No sweep is put off for longer, jitter included."""
    return longest_delay(interval) * (1 + JITTER)


def is_due(next_sweep: datetime | None, interval: timedelta, now: datetime) -> bool:
    """Tell whether to sweep now; also if the next is further away than any delay: the clock was set back."""
    return next_sweep is None or now >= next_sweep or next_sweep - now > longest_pause(interval)
