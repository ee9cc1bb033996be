"""One tick of one monitor: beat the heart, sweep when it is time, and show what happened.

A tick raises nothing that is expected to happen: the conditions tell instead.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp

from saga_operator import consistency, endpoint, own_monitor, report
from saga_operator.conditions import Event
from saga_operator.consistency import Checked, Ended
from saga_operator.endpoint import ClusterUnavailable, OwnToken
from saga_operator.fleet import Fleet, Owner
from saga_operator.memory import Heartbeat, StatusBook
from saga_operator.metrics import Metrics
from saga_operator.policy.orders import OrderService, OrderServiceError
from saga_operator.policy.policy import JITTER, KUBERNETES_UNAVAILABLE, Failure, Sweep, is_due
from saga_operator.policy.summary import summary
from saga_operator.policy.sweep import carry_out
from saga_operator.report import Report, Seen
from saga_operator.resource import Monitor
from saga_operator.spec import Spec, parse_spec

LOG = logging.getLogger(__name__)


class Cluster(endpoint.Cluster, own_monitor.Cluster, Protocol):
    async def serves_sagamonitors(self) -> bool: ...

    async def ended_checks(self, namespace: str, order_service: str) -> tuple[Ended, ...]: ...

    async def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> bool: ...

    async def post(self, monitor: Monitor, event: Event) -> None: ...


@dataclass(frozen=True)
class Runtime:
    """What the handlers work with; one per operator."""

    cluster: Cluster
    session: aiohttp.ClientSession
    own_token: OwnToken
    metrics: Metrics
    heartbeat: Heartbeat
    book: StatusBook
    fleet: Fleet = field(default_factory=Fleet)
    owner: Owner = field(default_factory=Owner)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Callable[[], float] = lambda: random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    """What a pause is multiplied by, so that monitors do not sweep in step."""


async def tick(runtime: Runtime, monitor: Monitor, keep_on: Callable[[], bool]) -> tuple[Event, ...]:
    """Return the Events to post. `keep_on` is asked before each order of a sweep."""
    runtime.heartbeat.beat(monitor.uid)
    status = runtime.book.latest(monitor.uid, monitor.status)
    seen = Seen(monitor.generation, status, monitor.sweep_request)
    told = await _report(runtime, monitor, seen, keep_on)
    if told is not None:
        runtime.book.note(monitor.uid, {**status, **told.status})
        runtime.metrics.reported(monitor.namespace, monitor.name, told)
    await _save(runtime, monitor)
    runtime.metrics.unsaved(runtime.book.behind)
    if not runtime.fleet.has(monitor):
        forget(runtime, monitor)  # it was deleted meanwhile
    return () if told is None else told.events


async def _report(
    runtime: Runtime, monitor: Monitor, seen: Seen, keep_on: Callable[[], bool]
) -> Report | None:
    """None: nothing to do yet, which is what nearly every tick comes to."""
    changed = seen.generation != seen.status.get("observedGeneration")
    try:
        spec = parse_spec(monitor.spec)
    except ValueError as error:
        return report.invalid(seen, error, runtime.clock()) if changed else None
    if spec.suspend:
        return report.suspended(seen, runtime.clock()) if changed else None
    if not (changed or _requested(seen) or _due(seen, spec, runtime.clock())):
        return None
    sweep = await _sweep(runtime, monitor, spec, seen, keep_on)
    runtime.metrics.swept(monitor.namespace, monitor.name, sweep)
    _log(monitor, sweep)
    runtime.heartbeat.beat(monitor.uid)
    checked = await _checked(runtime, monitor, seen)
    return report.conclude(seen, spec, sweep, checked, jitter=runtime.jitter())


async def _checked(runtime: Runtime, monitor: Monitor, seen: Seen) -> Checked | None:
    """What the last check of the books said. Of the release's own: there alone its pods may be listed."""
    remembered = Checked.shown(seen.status)
    if not runtime.owner.owns_orders_of(monitor):
        return remembered
    try:
        ended = await runtime.cluster.ended_checks(monitor.namespace, runtime.owner.order_service)
    except ClusterUnavailable as error:
        LOG.warning("%s: how the last check ended is not known: %s", monitor, error)
        return remembered
    return consistency.latest(remembered, ended)


async def _sweep(
    runtime: Runtime, monitor: Monitor, spec: Spec, seen: Seen, keep_on: Callable[[], bool]
) -> Sweep:
    def alive() -> bool:
        runtime.heartbeat.beat(monitor.uid)
        return keep_on()

    started = runtime.clock()
    try:
        at = await endpoint.resolve(spec.order_service, monitor.namespace, runtime.cluster, runtime.own_token)
    except OrderServiceError as error:
        return Sweep(started, runtime.clock(), failure=error.failure)
    except ClusterUnavailable as error:
        return Sweep(started, runtime.clock(), failure=Failure(KUBERNETES_UNAVAILABLE, str(error)))
    orders = OrderService(runtime.session, at, runtime.metrics.called)
    return await carry_out(
        orders, spec.policy, runtime.clock, failed_before=seen.failed_before, keep_on=alive
    )


async def _save(runtime: Runtime, monitor: Monitor) -> None:
    """Write what is not written yet; while the Kubernetes API is unavailable the next tick tries again."""
    status = runtime.book.unsaved(monitor.uid)
    if status is None:
        return
    try:
        exists = await runtime.cluster.write_status(monitor.namespace, monitor.name, status)
    except ClusterUnavailable as error:
        if runtime.book.failed(monitor.uid):
            LOG.warning("%s: the status is not written yet: %s", monitor, error)
        return
    if runtime.book.saved(monitor.uid):
        LOG.info("%s: the status is written again", monitor)
    if not exists:
        forget(runtime, monitor)


def forget(runtime: Runtime, monitor: Monitor) -> None:
    runtime.heartbeat.forget(monitor.uid)
    runtime.book.forget(monitor.uid)
    runtime.fleet.remove(monitor)
    runtime.metrics.forget(monitor.namespace, monitor.name)


def _requested(seen: Seen) -> bool:
    return seen.sweep_request is not None and seen.sweep_request != seen.status.get("lastHandledSweepRequest")


def _due(seen: Seen, spec: Spec, now: datetime) -> bool:
    text = seen.status.get("nextSweepTime")
    return is_due(None if text is None else datetime.fromisoformat(text), spec.interval, now)


def _log(monitor: Monitor, sweep: Sweep) -> None:
    if sweep.failure is not None:
        LOG.warning("%s: sweep failed: %s: %s", monitor, sweep.failure.reason, sweep.failure.message)
    elif sweep.found:
        LOG.info("%s: %s", monitor, summary(sweep))
    else:
        LOG.debug("%s: no order is stale", monitor)
