"""What a SagaMonitor shows after sweeps: its status against the CRD's own schema, and the Events it posts."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import given
from hypothesis import strategies as st

from saga_operator.conditions import Event, find
from saga_operator.policy.policy import (
    Attempt,
    Failure,
    Outcome,
    Plan,
    StaleOrder,
    Sweep,
    delay_until_next,
    longest_pause,
    plan,
)
from saga_operator.report import Report, Seen, conclude, invalid, suspended
from saga_operator.spec import Spec, parse_spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CRD = Path("charts/saga-operator/files/sagamonitors.yaml")
SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
    "status"
]
DOWN = Failure("ConnectionFailed", "nobody there")


def spec(**fields: Any) -> Spec:
    return parse_spec({"orderService": {"url": "http://order"}, **fields})


def stale(count: int, status: str = "CONFIRMED") -> list[StaleOrder]:
    return [StaleOrder(f"order-{n}", status, NOW - timedelta(minutes=60 - n)) for n in range(count)]


def swept(
    found: Iterable[StaleOrder] = (), outcome: Outcome = Outcome.COMPENSATED, at: datetime = NOW
) -> Sweep:
    listed = tuple(found)
    planned = plan(listed, spec().policy)
    failure = Failure("ServerError", "500") if outcome is Outcome.FAILED else None
    attempts = tuple(Attempt(order, outcome, at, failure) for order in planned.compensate)
    return Sweep(at, at, listed, planned, attempts)


def unreachable(at: datetime = NOW) -> Sweep:
    return Sweep(at, at, failure=DOWN)


def merged(status: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """As the API server merges a patch."""
    return {key: value for key, value in {**status, **report.status}.items() if value is not None}


def after(*sweeps: Sweep, of: Spec | None = None) -> tuple[dict[str, Any], list[Event]]:
    """Return the status after the sweeps, and all the Events on the way."""
    status: dict[str, Any] = {}
    events: list[Event] = []
    for sweep in sweeps:
        report = conclude(Seen(1, status), of or spec(), sweep)
        status = merged(status, report)
        events.extend(report.events)
    return status, events


def shown(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def reasons(events: Iterable[Event]) -> list[str]:
    return [event.reason for event in events]


some_orders = st.lists(
    st.builds(
        StaleOrder,
        order_id=st.text(max_size=80),
        status=st.sampled_from(["CONFIRMED", "PENDING"]),
        state_since=st.integers(0, 10**6).map(lambda s: NOW - timedelta(seconds=s)),
    ),
    max_size=30,
)
some_failures = st.builds(Failure, st.sampled_from(["Timeout", "ServerError"]), st.text(max_size=5000))


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    if draw(st.booleans()):
        return Sweep(NOW, NOW, failure=draw(some_failures))
    found = tuple(draw(some_orders))
    planned = plan(found, spec(pendingStaleAfter="5m", maxPerSweep=12, dryRun=draw(st.booleans())).policy)
    outcomes = draw(st.lists(st.sampled_from(Outcome), max_size=len(planned.compensate)))
    attempts = tuple(
        Attempt(order, outcome, NOW, draw(some_failures) if outcome is Outcome.FAILED else None)
        for order, outcome in zip(planned.compensate, outcomes, strict=False)
    )
    return Sweep(NOW, NOW, found, planned, attempts, draw(st.none() | some_failures))


@given(st.lists(sweeps(), min_size=1, max_size=4))
def test_every_status_is_valid_by_the_resource_definition(history: list[Sweep]) -> None:
    status, _ = after(*history, of=spec(pendingStaleAfter="5m"))
    jsonschema.validate(status, SCHEMA)
    assert set(status) <= set(SCHEMA["properties"])
    assert status["compensatedTotal"] == sum(sweep.count(Outcome.COMPENSATED) for sweep in history)
    assert status["failedTotal"] == sum(sweep.count(Outcome.FAILED) for sweep in history)


@given(st.lists(sweeps(), min_size=1, max_size=6))
def test_events_are_posted_on_transitions_only(history: list[Sweep]) -> None:
    """So that the same sweep again is never news, and what turned bad is not told again until it was good."""
    status, _ = after(*history)
    again = conclude(Seen(1, status), spec(failureThreshold=100), history[-1])
    repeated = conclude(Seen(1, merged(status, again)), spec(failureThreshold=100), history[-1])
    assert repeated.events == ()


def test_a_quiet_monitor_is_ready_and_says_nothing() -> None:
    status, events = after(swept(), swept())
    assert shown(status) == {
        "Ready": ("True", "Watching"),
        "OrderServiceReachable": ("True", "Answered"),
        "StaleOrdersDetected": ("False", "NoneFound"),
        "Degraded": ("False", "BelowThreshold"),
        "Consistent": ("Unknown", "NotChecked"),
    }
    assert status["staleOrders"] == 0
    assert "oldestStaleOrderTime" not in status
    assert events == []


def test_stale_orders_are_counted_compensated_and_announced_once() -> None:
    status, events = after(swept(stale(3)), swept(stale(2)))
    assert shown(status)["StaleOrdersDetected"] == ("True", "Found")
    assert (status["staleOrders"], status["compensatedTotal"]) == (2, 5)
    assert status["oldestStaleOrderTime"] == "2025-12-31T23:00:00Z"
    assert status["lastSweep"] == {
        "found": 2,
        "compensated": 2,
        "failed": 0,
        "deferred": 0,
        "durationMilliseconds": 0,
    }
    assert reasons(events) == ["StaleOrdersDetected"]
    assert events[0].type == "Warning"
    _, more = after(swept(stale(3)), swept())
    assert reasons(more) == ["StaleOrdersDetected", "NoStaleOrders"]


def test_pending_orders_are_counted_apart() -> None:
    of = spec(pendingStaleAfter="15m")
    status, _ = after(swept([*stale(2), StaleOrder("p", "PENDING", NOW)]), of=of)
    assert (status["staleOrders"], status["stalePendingOrders"]) == (2, 1)


def test_an_outage_degrades_at_the_threshold_and_recovers_and_each_turn_is_told_once() -> None:
    of = spec(failureThreshold=3)
    status, events = after(swept(), *[unreachable()] * 2, of=of)
    assert shown(status)["OrderServiceReachable"] == ("False", "ConnectionFailed")
    assert shown(status)["Ready"] == ("False", "ConnectionFailed")
    assert shown(status)["Degraded"][0] == "False"
    assert reasons(events) == ["OrderServiceUnreachable"]
    status, events = after(swept(), *[unreachable()] * 5, of=of)
    assert shown(status)["Degraded"] == ("True", "SweepsFailing")
    assert status["consecutiveFailures"] == 5
    assert reasons(events) == ["OrderServiceUnreachable", "Degraded"]
    status, events = after(swept(), *[unreachable()] * 5, swept(), of=of)
    assert shown(status)["Ready"] == ("True", "Watching")
    assert status["consecutiveFailures"] == 0
    assert reasons(events)[2:] == ["OrderServiceReachable", "Recovered"]


def test_an_outage_keeps_what_was_last_known_of_stale_orders() -> None:
    status, events = after(swept(stale(3)), unreachable(), swept(stale(3)))
    assert shown(status)["StaleOrdersDetected"] == ("True", "Found")
    assert reasons(events).count("StaleOrdersDetected") == 1
    blind, _ = after(unreachable())
    assert shown(blind)["StaleOrdersDetected"] == ("Unknown", "NotListed")


def test_a_kubernetes_outage_says_nothing_of_the_order_service() -> None:
    status, events = after(Sweep(NOW, NOW, failure=Failure("KubernetesUnavailable", "away")))
    assert shown(status)["OrderServiceReachable"] == ("Unknown", "KubernetesUnavailable")
    assert reasons(events) == ["KubernetesUnavailable"]


def test_failed_compensations_are_told_and_degrade_but_the_monitor_does_its_work() -> None:
    status, events = after(swept(stale(2), Outcome.FAILED))
    assert shown(status)["Ready"] == ("True", "CompensationFailed")
    degraded, more = after(swept(), *[swept(stale(2), Outcome.FAILED)] * 4, swept())
    assert reasons(more).count("CompensationFailed") == 1
    assert reasons(more)[-3:] == ["Degraded", "NoStaleOrders", "Recovered"]
    assert shown(degraded)["Ready"] == ("True", "Watching")
    assert shown(status)["OrderServiceReachable"] == ("True", "Answered")
    assert status["failedTotal"] == 2
    assert {"StaleOrdersDetected", "CompensationFailed"} == set(reasons(events))


def test_the_orders_that_failed_are_remembered_until_they_succeed() -> None:
    status, _ = after(swept(stale(15), Outcome.FAILED))
    assert len(Seen(1, status).failed_before) == 10
    status, _ = after(swept(stale(5), Outcome.FAILED), swept(stale(5)))
    assert Seen(1, status).failed_before == frozenset()
    assert [entry["result"] for entry in status["recentCompensations"]] == ["Accepted"] * 5


def test_only_what_was_compensated_by_this_call_counts() -> None:
    status, _ = after(swept(stale(3), Outcome.ALREADY), swept(stale(3), Outcome.NOT_APPLICABLE))
    assert status["compensatedTotal"] == 0
    assert [entry["result"] for entry in status["recentCompensations"]] == ["AlreadyCompensated"] * 3


def test_alert_and_dry_run_show_as_the_reason_of_ready() -> None:
    status, _ = after(swept(), of=spec(action="Alert"))
    assert shown(status)["Ready"] == ("True", "Alerting")
    found = tuple(stale(2))
    dry = Sweep(NOW, NOW, found, Plan(preview=found))
    status, _ = after(dry, of=spec(dryRun=True))
    assert shown(status)["Ready"] == ("True", "DryRun")
    assert [entry["result"] for entry in status["recentCompensations"]] == ["DryRun", "DryRun"]
    assert status["compensatedTotal"] == 0


def test_a_suspended_monitor_stays_ready_and_knows_nothing() -> None:
    status, _ = after(*[unreachable()] * 3)
    told = suspended(Seen(2, status), NOW)
    status = merged(status, told)
    jsonschema.validate(status, SCHEMA)
    assert shown(status) == {
        "Ready": ("True", "Suspended"),
        "OrderServiceReachable": ("Unknown", "Suspended"),
        "StaleOrdersDetected": ("Unknown", "Suspended"),
        "Degraded": ("Unknown", "Suspended"),
        "Consistent": ("Unknown", "Suspended"),
    }
    assert "nextSweepTime" not in status
    assert reasons(told.events) == ["Suspended"]
    resumed = conclude(Seen(3, status), spec(), swept())
    assert reasons(resumed.events) == ["Resumed"]


def test_an_invalid_spec_is_told_and_not_swept() -> None:
    told = invalid(Seen(1, {}), ValueError("interval is odd"), NOW)
    status = merged({}, told)
    jsonschema.validate(status, SCHEMA)
    assert shown(status)["Ready"] == ("False", "InvalidSpec")
    assert reasons(told.events) == ["InvalidSpec", "Degraded"]


def test_a_condition_keeps_its_transition_time_until_its_status_changes() -> None:
    later, latest = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
    status, _ = after(swept(), swept(stale(1), at=later))
    ready, found = (find(status["conditions"], type_) for type_ in ("Ready", "StaleOrdersDetected"))
    assert ready is not None
    assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert found is not None
    assert found["lastTransitionTime"] == "2026-01-01T00:01:00Z"
    status, _ = after(swept(), swept(stale(1), at=later), swept(stale(2), at=latest))
    found = find(status["conditions"], "StaleOrdersDetected")
    assert found is not None
    assert found["lastTransitionTime"] == "2026-01-01T00:01:00Z"


@given(st.floats(0.9, 1.1), st.integers(0, 6))
def test_a_pause_is_jittered_but_never_put_off_for_longer_than_any_pause(
    jitter: float, failures: int
) -> None:
    status, _ = after(swept(), *[unreachable()] * failures)
    last = unreachable() if failures else swept()
    told = conclude(Seen(1, status), spec(), last, jitter=jitter)
    pause = datetime.fromisoformat(told.status["nextSweepTime"]) - NOW
    usual = delay_until_next(spec().interval, told.status["consecutiveFailures"])
    assert usual * jitter - timedelta(seconds=1) <= pause <= usual * jitter
    assert pause <= longest_pause(spec().interval)


def test_the_generation_and_the_handled_request_are_recorded() -> None:
    told = conclude(Seen(7, {}, sweep_request="now"), spec(), swept())
    assert told.status["observedGeneration"] == 7
    assert told.status["lastHandledSweepRequest"] == "now"
    assert {c["observedGeneration"] for c in told.status["conditions"]} == {7}
