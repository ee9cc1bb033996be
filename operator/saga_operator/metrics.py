"""Prometheus metrics by monitor. Never by order: an id is a label value for every order there ever was."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from saga_operator.policy.policy import Outcome, Sweep
from saga_operator.report import Report
from saga_operator.resource import Monitor

# When a series was born tells nobody anything, and there would be one more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
_MONITOR = ("namespace", "name")
_ASKED = ("action", "dry_run", "suspended")
_RESULTS = ("succeeded", "failed")
_CONDITION = {"True": 1, "False": 0, "Unknown": -1}
_OUTCOMES = {
    Outcome.COMPENSATED: "compensated",
    Outcome.ALREADY: "already",
    Outcome.NOT_APPLICABLE: "not_applicable",
    Outcome.FAILED: "failed",
}


def process_metrics(registry: CollectorRegistry) -> None:
    """Add what is known of the operator's own process: memory, CPU, files, Python."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"sagamonitor_{name}", text, (*_MONITOR, *labels), registry=registry)

        self._stale = gauge("stale_orders", "Stale orders found by the last sweep.", "status")
        self._oldest = gauge(
            "oldest_stale_order_timestamp_seconds", "Since when the oldest is stale; 0: none is."
        )
        self._deferred = gauge("deferred_orders", "Stale orders the last sweep left for a later one.")
        self._preview = gauge(
            "dry_run_orders", "Orders that the last sweep would have compensated, were it no dry run."
        )
        self._last = gauge("last_sweep_timestamp_seconds", "When the last sweep ended.")
        self._last_good = gauge(
            "last_successful_sweep_timestamp_seconds", "When the last successful sweep ended."
        )
        self._failures = gauge("consecutive_failures", "Failed sweeps in a row.")
        self._checked = gauge("check_timestamp_seconds", "When the last check of the books ended.")
        self._judged = gauge("check_orders", "Orders that it judged.")
        self._findings = gauge(
            "check_findings", "What it found, by the invariant that is broken.", "invariant"
        )
        self._condition = gauge("condition", "A condition: 1 True, 0 False, -1 Unknown.", "type")
        self._sweeps = Counter(
            "sagamonitor_sweeps", "Sweeps by result.", (*_MONITOR, "result"), registry=registry
        )
        self._compensations = Counter(
            "sagamonitor_compensations",
            "Compensations by outcome.",
            (*_MONITOR, "outcome"),
            registry=registry,
        )
        self._duration = Histogram(
            "sagamonitor_sweep_duration_seconds", "How long sweeps take.", _MONITOR, registry=registry
        )
        self._info = gauge("info", "Always 1; its labels say what is asked of it.", *_ASKED)
        # Of no one monitor, so that `forget` has nothing to forget there.
        self._calls = Histogram(
            "sagamonitor_order_service_request_duration_seconds",
            "How long the order service takes to answer.",
            ("call", "result"),
            registry=registry,
        )
        self._unsaved = Gauge(
            "sagamonitor_unsaved_statuses",
            "Statuses that the Kubernetes API has not taken yet.",
            registry=registry,
        )
        self._failed_ticks = Counter(
            "sagamonitor_failed_ticks", "Ticks that ended by a fault of the operator.", registry=registry
        )

    def restored(self, monitor: Monitor) -> None:
        """Show what its status knows of a monitor that is met for the first time: an alert stays one."""
        labels = (monitor.namespace, monitor.name)
        status = monitor.status
        for gauge, field in (
            (self._last, "lastSweepTime"),
            (self._last_good, "lastSuccessfulSweepTime"),
            (self._oldest, "oldestStaleOrderTime"),
        ):
            if text := status.get(field):
                gauge.labels(*labels).set(datetime.fromisoformat(text).timestamp())
        if "lastSweep" in status:
            self._deferred.labels(*labels).set(status["lastSweep"].get("deferred", 0))
        self._show(labels, status)

    def described(self, monitor: Monitor) -> None:
        """Show what is asked of a monitor."""
        labels = {"namespace": monitor.namespace, "name": monitor.name}
        self._info.remove_by_labels(labels)
        asked = (
            str(monitor.spec.get("action", "Compensate")),
            str(bool(monitor.spec.get("dryRun"))).lower(),
            str(bool(monitor.spec.get("suspend"))).lower(),
        )
        self._info.labels(monitor.namespace, monitor.name, *asked).set(1)
        # At zero: a counter that is born at 1 never rose.
        for result in _RESULTS:
            self._sweeps.labels(monitor.namespace, monitor.name, result)
        for outcome in _OUTCOMES.values():
            self._compensations.labels(monitor.namespace, monitor.name, outcome)

    def called(self, call: str, result: str, seconds: float) -> None:
        """Count a request to the order service: what was asked, and how it went."""
        self._calls.labels(call, result).observe(seconds)

    def unsaved(self, statuses: int) -> None:
        self._unsaved.set(statuses)

    def tick_failed(self) -> None:
        self._failed_ticks.inc()

    def swept(self, namespace: str, name: str, sweep: Sweep) -> None:
        """Count a sweep, and what it found and compensated."""
        monitor = (namespace, name)
        ended = sweep.finished.timestamp()
        self._sweeps.labels(*monitor, _RESULTS[not sweep.succeeded]).inc()
        self._duration.labels(*monitor).observe((sweep.finished - sweep.started).total_seconds())
        self._deferred.labels(*monitor).set(sweep.deferred)
        self._preview.labels(*monitor).set(len(sweep.plan.preview))
        self._last.labels(*monitor).set(ended)
        if sweep.succeeded:
            self._last_good.labels(*monitor).set(ended)
        for outcome, label in _OUTCOMES.items():
            self._compensations.labels(*monitor, label).inc(sweep.count(outcome))
        if sweep.found is not None:
            oldest = min((order.state_since.timestamp() for order in sweep.found), default=0)
            self._oldest.labels(*monitor).set(oldest)

    def reported(self, namespace: str, name: str, report: Report) -> None:
        self._show((namespace, name), report.status)

    def forget(self, namespace: str, name: str) -> None:
        """Drop a deleted monitor's series, which would look alive forever."""
        for metric in vars(self).values():
            if metric not in (self._calls, self._failed_ticks, self._unsaved):
                metric.remove_by_labels({"namespace": namespace, "name": name})

    def _show(self, monitor: tuple[str, str], status: Mapping[str, Any]) -> None:
        self._failures.labels(*monitor).set(status.get("consecutiveFailures") or 0)
        for condition in status.get("conditions") or ():
            self._condition.labels(*monitor, condition["type"]).set(_CONDITION[condition["status"]])
        self._show_check(monitor, status.get("lastCheck"))
        for label, field in (("CONFIRMED", "staleOrders"), ("PENDING", "stalePendingOrders")):
            if field in status:
                self._stale.labels(*monitor, label).set(status[field] or 0)

    def _show_check(self, monitor: tuple[str, str], check: Mapping[str, Any] | None) -> None:
        if check is None:
            return
        self._checked.labels(*monitor).set(datetime.fromisoformat(check["time"]).timestamp())
        self._judged.labels(*monitor).set(check["orders"])
        namespace, name = monitor
        self._findings.remove_by_labels({"namespace": namespace, "name": name})
        for each in check["findings"]:
            self._findings.labels(*monitor, each["invariant"]).set(each["number"])
