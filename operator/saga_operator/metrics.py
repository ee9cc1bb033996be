"""Prometheus metrics by monitor. Never by order: an id is a label value for every order there ever was."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from saga_operator.policy.policy import Outcome, Sweep
from saga_operator.report import Report

_MONITOR = ("namespace", "name")
_CONDITION = {"True": 1, "False": 0, "Unknown": -1}
_OUTCOMES = {
    Outcome.COMPENSATED: "compensated",
    Outcome.ALREADY: "already",
    Outcome.NOT_APPLICABLE: "not_applicable",
    Outcome.FAILED: "failed",
}


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"sagamonitor_{name}", text, (*_MONITOR, *labels), registry=registry)

        self._stale = gauge("stale_orders", "Stale orders found by the last sweep.", "status")
        self._oldest = gauge(
            "oldest_stale_order_timestamp_seconds", "Since when the oldest is stale; 0: none is."
        )
        self._deferred = gauge("deferred_orders", "Stale orders the last sweep left for a later one.")
        self._last = gauge("last_sweep_timestamp_seconds", "When the last sweep ended.")
        self._last_good = gauge(
            "last_successful_sweep_timestamp_seconds", "When the last successful sweep ended."
        )
        self._failures = gauge("consecutive_failures", "Failed sweeps in a row.")
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

    def swept(self, namespace: str, name: str, sweep: Sweep) -> None:
        """Count a sweep, and what it found and compensated."""
        monitor = (namespace, name)
        ended = sweep.finished.timestamp()
        self._sweeps.labels(*monitor, "succeeded" if sweep.succeeded else "failed").inc()
        self._duration.labels(*monitor).observe((sweep.finished - sweep.started).total_seconds())
        self._deferred.labels(*monitor).set(sweep.deferred)
        self._last.labels(*monitor).set(ended)
        if sweep.succeeded:
            self._last_good.labels(*monitor).set(ended)
        for outcome, label in _OUTCOMES.items():
            self._compensations.labels(*monitor, label).inc(sweep.count(outcome))
        if sweep.found is not None:
            oldest = min((order.state_since.timestamp() for order in sweep.found), default=0)
            self._oldest.labels(*monitor).set(oldest)

    def reported(self, namespace: str, name: str, report: Report) -> None:
        monitor = (namespace, name)
        self._failures.labels(*monitor).set(report.status.get("consecutiveFailures", 0))
        for condition in report.status["conditions"]:
            self._condition.labels(*monitor, condition["type"]).set(_CONDITION[condition["status"]])
        self._set_stale(monitor, report.status)

    def forget(self, namespace: str, name: str) -> None:
        """Drop a deleted monitor's series, which would look alive forever."""
        for metric in vars(self).values():
            metric.remove_by_labels({"namespace": namespace, "name": name})

    def _set_stale(self, monitor: tuple[str, str], status: Mapping[str, Any]) -> None:
        for label, field in (("CONFIRMED", "staleOrders"), ("PENDING", "stalePendingOrders")):
            if field in status:
                self._stale.labels(*monitor, label).set(status[field] or 0)
