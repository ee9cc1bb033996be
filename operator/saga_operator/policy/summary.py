"""A sweep in one line, for a log, a condition's message and a terminal."""

from collections import Counter
from datetime import datetime

from saga_operator.policy.policy import Outcome, Sweep


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def summary(sweep: Sweep) -> str:
    """Say in one line what a sweep found and did."""
    if not sweep.found:
        return "no order is stale"
    by_status = Counter(order.status for order in sweep.found)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(by_status.items()))
    oldest = timestamp(min(order.state_since for order in sweep.found))
    preview = len(sweep.plan.preview)
    done = f"{preview} would be compensated" if preview else f"{sweep.count(Outcome.COMPENSATED)} compensated"
    listed = f"{len(sweep.found)} stale ({counts}), the oldest since {oldest}"
    return f"{listed}; {done}, {sweep.deferred} deferred"
