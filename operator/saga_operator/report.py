"""What a SagaMonitor shows after a sweep: its status and the Events worth posting. Pure, as the policy is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from saga_operator import conditions, consistency
from saga_operator.conditions import Condition, Event, Status
from saga_operator.consistency import Checked
from saga_operator.news import COMPENSATION_FAILED, SUSPENDED, news
from saga_operator.policy.policy import (
    KUBERNETES_UNAVAILABLE,
    LISTED_AT_MOST,
    Action,
    Outcome,
    StaleOrder,
    Sweep,
    failures_that_degrade,
    pause_after,
)
from saga_operator.policy.summary import summary, timestamp
from saga_operator.spec import Spec

RECENT = 10
_RESULTS = {
    Outcome.COMPENSATED: "Accepted",
    Outcome.ALREADY: "AlreadyCompensated",
    Outcome.FAILED: "Failed",
}


@dataclass(frozen=True)
class Seen:
    """The resource as it was when the sweep was decided on."""

    generation: int
    status: Mapping[str, Any]
    sweep_request: str | None = None

    @property
    def conditions(self) -> list[Mapping[str, Any]]:
        return list(self.status.get("conditions") or ())

    @property
    def swept_before(self) -> bool:
        """Whether a sweep has ever succeeded."""
        return "lastSuccessfulSweepTime" in self.status

    @property
    def failed_before(self) -> frozenset[str]:
        recent = self.status.get("recentCompensations") or ()
        return frozenset(entry["orderID"] for entry in recent if entry["result"] == "Failed")


@dataclass(frozen=True)
class Report:
    status: dict[str, Any]
    """A JSON merge patch of `.status`: None removes a field."""
    events: tuple[Event, ...]


def conclude(
    seen: Seen, spec: Spec, sweep: Sweep, checked: Checked | None = None, jitter: float = 1.0
) -> Report:
    """Report a sweep: conditions, counters, the time of the next sweep, and the Events worth posting.

    `checked`: what the last check of the books said. `jitter` is what the pause is multiplied by.
    """
    failures = 0 if sweep.succeeded else (seen.status.get("consecutiveFailures") or 0) + 1
    now, before = sweep.finished, seen.swept_before
    pause = pause_after(sweep, spec.interval, failures, swept_before=before)
    judged = (
        _ready(spec, sweep),
        _reachable(sweep),
        _stale(seen, sweep),
        _degraded(
            failures, failures_that_degrade(spec.failure_threshold, spec.interval, swept_before=before), sweep
        ),
        consistency.judged(checked, spec.checked_within, now),
    )
    counted = {} if sweep.found is None else _counts(sweep.found, spec)
    succeeded = {"lastSuccessfulSweepTime": timestamp(now)} if sweep.succeeded else {}
    told = {} if checked is None else {"lastCheck": checked.to_status()}
    return _report(
        seen,
        judged,
        now,
        {
            "lastSweepTime": timestamp(now),
            "nextSweepTime": timestamp(now + pause * jitter),
            "lastHandledSweepRequest": seen.sweep_request,
            "consecutiveFailures": failures,
            "compensatedTotal": (seen.status.get("compensatedTotal") or 0) + sweep.count(Outcome.COMPENSATED),
            "failedTotal": (seen.status.get("failedTotal") or 0) + sweep.count(Outcome.FAILED),
            "lastSweep": _last_sweep(sweep),
            "recentCompensations": _recent(seen, sweep),
            **counted,
            **succeeded,
            **told,
        },
    )


def suspended(seen: Seen, now: datetime) -> Report:
    """Report Ready, as asked for. Nothing is known about the rest, so nothing has recovered either."""
    message = "sweeps are suspended by spec.suspend"
    judged = _all(SUSPENDED, message, ready="True", degraded="Unknown")
    return _report(seen, judged, now, {"nextSweepTime": None, "consecutiveFailures": 0})


def invalid(seen: Seen, error: ValueError, now: datetime) -> Report:
    judged = _all("InvalidSpec", str(error), ready="False", degraded="True")
    return _report(seen, judged, now, {"nextSweepTime": None})


def _all(reason: str, message: str, *, ready: Status, degraded: Status) -> tuple[Condition, ...]:
    statuses: dict[str, Status] = {
        "Ready": ready,
        "OrderServiceReachable": "Unknown",
        "StaleOrdersDetected": "Unknown",
        "Degraded": degraded,
        "Consistent": "Unknown",
    }
    return tuple(Condition(type_, status, reason, message) for type_, status in statuses.items())


def _report(seen: Seen, judged: Iterable[Condition], now: datetime, fields: Mapping[str, Any]) -> Report:
    rendered = conditions.replaced(seen.conditions, judged, seen.generation, now)
    events = tuple(news(seen.conditions, rendered))
    return Report({"observedGeneration": seen.generation, "conditions": rendered, **fields}, events)


def _ready(spec: Spec, sweep: Sweep) -> Condition:
    """Tell whether the monitor does its work. That orders cannot be compensated is for `Degraded` to tell."""
    if sweep.failure is not None:
        return Condition("Ready", "False", sweep.failure.reason, sweep.failure.message)
    if not sweep.succeeded:
        failed = [attempt.failure for attempt in sweep.attempts if attempt.failure is not None]
        message = (
            f"{len(failed)} of {len(sweep.attempts)} compensations failed, the last: {failed[-1].message}"
        )
        return Condition("Ready", "True", COMPENSATION_FAILED, message)
    if spec.policy.action is Action.ALERT:
        return Condition("Ready", "True", "Alerting", summary(sweep))
    return Condition("Ready", "True", "DryRun" if spec.policy.dry_run else "Watching", summary(sweep))


def _reachable(sweep: Sweep) -> Condition:
    if sweep.failure is not None:
        untold: Status = "Unknown" if sweep.failure.reason == KUBERNETES_UNAVAILABLE else "False"
        return Condition("OrderServiceReachable", untold, sweep.failure.reason, sweep.failure.message)
    return Condition("OrderServiceReachable", "True", "Answered", "the order service listed its stale orders")


def _stale(seen: Seen, sweep: Sweep) -> Condition:
    """Judge what was listed; where nothing could be listed, the last known state stays."""
    if sweep.found is None:
        known = conditions.find(seen.conditions, "StaleOrdersDetected")
        if known is None or known["status"] == "Unknown":
            return Condition(
                "StaleOrdersDetected", "Unknown", "NotListed", "stale orders could not be listed yet"
            )
        return Condition("StaleOrdersDetected", known["status"], known["reason"], known["message"])
    if not sweep.found:
        return Condition("StaleOrdersDetected", "False", "NoneFound", "no order is stale")
    return Condition("StaleOrdersDetected", "True", "Found", summary(sweep))


def _degraded(failures: int, threshold: int, sweep: Sweep) -> Condition:
    if failures < threshold:
        return Condition(
            "Degraded", "False", "BelowThreshold", f"{failures} failed sweeps in a row, {threshold} degrade"
        )
    why = sweep.failure.message if sweep.failure else "compensations fail"
    return Condition("Degraded", "True", "SweepsFailing", f"{failures} failed sweeps in a row: {why}")


def _counts(found: tuple[StaleOrder, ...], spec: Spec) -> dict[str, Any]:
    """`LISTED_AT_MOST` of a status means at least that many."""
    by_status = Counter(order.status for order in found)
    pending = None if spec.policy.pending_stale_after is None else min(by_status["PENDING"], LISTED_AT_MOST)
    oldest = timestamp(min(order.state_since for order in found)) if found else None
    return {
        "staleOrders": by_status["CONFIRMED"],
        "stalePendingOrders": pending,
        "oldestStaleOrderTime": oldest,
    }


def _last_sweep(sweep: Sweep) -> dict[str, int]:
    return {
        "found": len(sweep.found or ()),
        "compensated": sweep.count(Outcome.COMPENSATED),
        "failed": sweep.count(Outcome.FAILED),
        "deferred": sweep.deferred,
        "durationMilliseconds": round((sweep.finished - sweep.started).total_seconds() * 1000),
    }


def _recent(seen: Seen, sweep: Sweep) -> list[dict[str, str]]:
    """Newest first, one entry per order, this sweep's failures ahead: the next plan puts those last."""
    attempted = sorted(
        (a for a in reversed(sweep.attempts) if a.outcome in _RESULTS),
        key=lambda a: a.outcome is not Outcome.FAILED,
    )
    entries = [
        *(
            _entry(a.order.order_id, a.at, _RESULTS[a.outcome], a.failure.message if a.failure else "")
            for a in attempted
        ),
        *(_entry(order.order_id, sweep.finished, "DryRun", "") for order in sweep.plan.preview),
        *(seen.status.get("recentCompensations") or ()),
    ]
    distinct: dict[str, dict[str, str]] = {}
    for entry in entries:
        distinct.setdefault(entry["orderID"], entry)
    return list(distinct.values())[:RECENT]


def _entry(order_id: str, at: datetime, result: str, message: str) -> dict[str, str]:
    entry = {"orderID": order_id[:64], "time": timestamp(at), "result": result}
    return entry | {"message": message[:256]} if message else entry
