"""SagaMonitors, as the page of stuck orders shows them: what each would do now, by its own policy. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from console.commands import Command
from saga_operator.policy.policy import Action, Plan, Policy, StaleOrder, plan
from saga_operator.resource import PLURAL, SWEEP_REQUEST, Monitor
from saga_operator.spec import Spec, parse_spec
from sagactl.oncall.status.standing import said
from services.order.model import Order

# A condition that is as it should be has this status.
WANTED: Final[Mapping[str, str]] = {
    "Ready": "True",
    "OrderServiceReachable": "True",
    "StaleOrdersDetected": "False",
    "Degraded": "False",
    "Consistent": "True",
}
# Of another shop its orders are not known here.
ELSEWHERE: Final = "looks at the orders of another order service"
SUSPENDED: Final = "sweeps nothing: it is suspended"


class Condition(NamedTuple):
    type: str
    # Such as `True: Watching`.
    status: str
    message: str
    shape: str
    mood: str


class Row(NamedTuple):
    name: str
    # What it does, by its spec.
    policy: str
    # What a sweep of it would do now.
    now: str
    # None before the first.
    last: datetime | None
    # What that came to.
    came_to: str
    # None where none is to come.
    next: datetime | None
    conditions: tuple[Condition, ...]


def limits(monitor: Monitor, service: str) -> Policy | None:
    """By which orders of ours it goes; None where it looks at no order of `service`, or its spec is none."""
    spec = _spec(monitor)
    return spec.policy if isinstance(spec, Spec) and spec.order_service.service == service else None


def row(monitor: Monitor, stale: Sequence[Order] | None) -> Row:
    """`stale`: ours that are older than its limits, the longest first; None where they are none of its."""
    spec, status = _spec(monitor), monitor.status
    return Row(
        name=monitor.name,
        policy=_policy(spec) if isinstance(spec, Spec) else f"sweeps nothing: {spec}",
        now=_now(spec, stale) if isinstance(spec, Spec) else "waits for a spec that can be read",
        last=_time(status.get("lastSweepTime")),
        came_to=_came_to(status.get("lastSweep") or {}),
        next=_time(status.get("nextSweepTime")),
        conditions=tuple(_condition(each) for each in status.get("conditions") or ()),
    )


def commands(monitors: Sequence[Monitor]) -> Sequence[Command]:
    """To sweep at once: the console itself may change nothing in the cluster."""
    return [Command(f"a sweep of {each.name} at once", _annotate(each)) for each in monitors]


def _annotate(monitor: Monitor) -> str:
    words = ("kubectl", "annotate", "-n", monitor.namespace, PLURAL, monitor.name)
    return f"{shlex.join(words)} {SWEEP_REQUEST}=$(date +%s) --overwrite"


def _spec(monitor: Monitor) -> Spec | str:
    """Or why it is none."""
    try:
        return parse_spec(monitor.spec)
    except ValueError as error:
        return str(error)


def _policy(spec: Spec) -> str:
    policy = spec.policy
    ages = ", ".join(f"{status} for {said(age)}" for status, age in policy.limits.items())
    if policy.action is Action.ALERT:
        does = "tells of orders that are"
    elif policy.dry_run:
        does = f"says that it would compensate, at most {policy.max_per_sweep} a sweep, orders that are"
    else:
        does = f"compensates, at most {policy.max_per_sweep} a sweep, orders that are"
    return f"{does} {ages}; every {said(spec.interval)}"


def _now(spec: Spec, stale: Sequence[Order] | None) -> str:
    if spec.suspend:
        return SUSPENDED
    if stale is None:
        return ELSEWHERE
    orders = [StaleOrder(each.id, each.status, each.waits_since) for each in stale]
    if spec.policy.action is Action.ALERT:
        return f"would tell of {len(orders)}"
    return _planned(plan(orders, replace(spec.policy, dry_run=True)))


def _planned(found: Plan) -> str:
    later = f", and {len(found.deferred)} only the next time" if found.deferred else ""
    return f"would compensate {len(found.preview)}{later}"


def _came_to(counts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{counts[name]} {name}" for name in ("found", "compensated", "failed", "deferred") if name in counts
    )


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _condition(told: Mapping[str, Any]) -> Condition:
    type_, status = str(told["type"]), str(told["status"])
    if status == "Unknown" or type_ not in WANTED:
        shape, mood = "?", "doubtful"
    else:
        shape, mood = ("✓", "good") if status == WANTED[type_] else ("‼", "bad")
    said_ = f"{status}: {told.get('reason', '')}".removesuffix(": ")
    return Condition(type_, said_, str(told.get("message", "")), shape, mood)
