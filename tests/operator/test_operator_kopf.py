"""The operator as a whole, with kopf, from the first sight of a monitor to its deletion."""

import asyncio
import logging

import pytest

from saga_operator.memory import SILENCE
from saga_operator.resource import FINALIZER, SWEEP_REQUEST
from saga_operator.scheduler import AT_ONCE
from tests.operator.kube import UID, Kube, until

pytestmark = pytest.mark.looptime

SWEPT_LATELY = {
    "observedGeneration": 1,
    "lastSweepTime": "2025-12-31T23:59:59Z",
    "nextSweepTime": "2026-01-01T00:00:59Z",
}
SWEPT_LONG_AGO = {
    "lastSweepTime": "2025-12-31T00:00:00Z",
    "lastSuccessfulSweepTime": "2025-12-31T00:00:00Z",
}


async def test_a_new_monitor_is_swept_at_once_and_then_at_its_interval(kube: Kube) -> None:
    kube.order_service.add_stale(3)
    kube.monitor(interval="60s")
    async with kube.operator() as operator:
        await asyncio.sleep(4)
        assert kube.conditions == {
            "Ready": ("True", "Watching"),
            "OrderServiceReachable": ("True", "Answered"),
            "StaleOrdersDetected": ("True", "Found"),
            "Degraded": ("False", "BelowThreshold"),
            "Consistent": ("Unknown", "NotChecked"),
        }
        assert kube.status["staleOrders"] == kube.status["compensatedTotal"] == 3
        await asyncio.sleep(50)
        assert kube.order_service.listings == kube.status_writes == 1
        await asyncio.sleep(16)
        assert kube.order_service.listings == 2
        assert kube.conditions["StaleOrdersDetected"] == ("False", "NoneFound")
        assert operator.metric("sagamonitor_sweeps_total", result="succeeded") == 2
    assert kube.events == ["StaleOrdersDetected", "NoStaleOrders"]


async def test_a_restarted_operator_waits_for_the_sweep_that_was_planned(kube: Kube) -> None:
    kube.monitor(status=SWEPT_LATELY)
    async with kube.operator():
        await asyncio.sleep(40)
        assert kube.order_service.listings == 0
        await asyncio.sleep(25)
        assert kube.order_service.listings == 1


async def test_a_sweep_asked_for_by_annotation_is_made_within_a_tick_and_once(kube: Kube) -> None:
    kube.monitor(status=SWEPT_LATELY)
    async with kube.operator():
        await asyncio.sleep(7)
        await kube.annotate(SWEEP_REQUEST, "now")
        await asyncio.sleep(6)
        assert kube.order_service.listings == 1
        assert kube.status["lastHandledSweepRequest"] == "now"
        await asyncio.sleep(30)
        assert kube.order_service.listings == 1


async def test_a_changed_spec_is_swept_by_within_a_tick(kube: Kube) -> None:
    kube.order_service.add_stale(2)
    kube.monitor(action="Alert")
    async with kube.operator():
        await asyncio.sleep(7)
        assert kube.conditions["Ready"] == ("True", "Alerting")
        assert (kube.status["staleOrders"], kube.order_service.compensated) == (2, [])
        await kube.respec(2, action="Compensate", dryRun=True)
        await asyncio.sleep(6)
        assert kube.conditions["Ready"] == ("True", "DryRun")
        assert kube.order_service.asked == []
        await kube.respec(3, dryRun=False)
        await asyncio.sleep(6)
        assert len(kube.order_service.compensated) == 2


async def test_a_suspended_monitor_sweeps_nothing_until_it_is_resumed(kube: Kube) -> None:
    kube.order_service.add_stale(1)
    kube.monitor(suspend=True, interval="5s")
    async with kube.operator() as operator:
        await asyncio.sleep(100)
        assert kube.conditions["Ready"] == ("True", "Suspended")
        assert kube.order_service.listings == 0
        assert await operator.health() == 200
        await kube.respec(2, suspend=False)
        await asyncio.sleep(4)
        assert kube.order_service.compensated == ["confirmed-0000"]
    assert kube.events == ["Suspended", "Resumed", "StaleOrdersDetected"]


async def test_suspending_ends_a_sweep_that_is_under_way(kube: Kube) -> None:
    kube.order_service.add_stale(50)
    kube.order_service.delay = 1.0
    kube.monitor()
    async with kube.operator():
        await until(lambda: len(kube.order_service.asked) >= 3, "three orders asked for")
        await kube.respec(2, suspend=True)
        await asyncio.sleep(20)
        assert kube.conditions["Ready"] == ("True", "Suspended")
        assert len(kube.order_service.compensated) <= 6


async def test_an_outage_of_the_order_service_is_backed_off_from_told_and_recovered_from(kube: Kube) -> None:
    kube.order_service.failing = lambda _: True
    kube.monitor(SWEPT_LONG_AGO, interval="5s", failureThreshold=3)
    async with kube.operator() as operator:
        await until(lambda: kube.status.get("consecutiveFailures") == 2, "two failures in a row")
        assert kube.conditions["OrderServiceReachable"] == ("False", "ServerError")
        assert kube.conditions["Degraded"][0] == "False"
        await asyncio.sleep(400)
        assert kube.conditions["Degraded"] == ("True", "SweepsFailing")
        assert kube.status["consecutiveFailures"] <= 9  # instead of 80 without a back-off
        assert await operator.health() == 200
        kube.order_service.failing = lambda _: False
        await asyncio.sleep(126)
        assert kube.conditions["Ready"] == ("True", "Watching")
    assert kube.events == ["OrderServiceUnreachable", "Degraded", "OrderServiceReachable", "Recovered"]


async def test_a_status_that_an_api_server_refuses_for_minutes_is_written_when_it_can_be(
    kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kube.order_service.add_stale(3)
    kube.monitor(interval="10s")
    kube.api.refuses_status_writes = True
    async with kube.operator() as operator:
        await asyncio.sleep(300)
        assert kube.order_service.listings > 20
        assert await operator.health() == 200
        assert kube.status == {}
        assert operator.registry.get_sample_value("sagamonitor_unsaved_statuses") == 1
        kube.api.refuses_status_writes = False
        await asyncio.sleep(6)
        assert operator.registry.get_sample_value("sagamonitor_unsaved_statuses") == 0
        assert kube.conditions["Ready"] == ("True", "Watching")
        assert kube.status["compensatedTotal"] == 3
    told = [record.getMessage() for record in caplog.records if "the status is" in record.getMessage()]
    assert len(told) == 2, "the outage is reported once, and its end once"
    assert "not written yet" in told[0]
    assert "written again" in told[1]


async def test_a_kubernetes_api_that_is_away_is_not_blamed_on_the_order_service(kube: Kube) -> None:
    kube.monitor(interval="5s")
    kube.api.refuses_secrets = True
    async with kube.operator():
        await asyncio.sleep(4)
        assert kube.conditions["Ready"] == ("False", "KubernetesUnavailable")
        assert kube.conditions["OrderServiceReachable"][0] == "Unknown"
        kube.api.refuses_secrets = False
        await asyncio.sleep(11)
        assert kube.conditions["Ready"] == ("True", "Watching")


async def test_the_probe_fails_when_a_monitor_is_not_ticked_any_more(kube: Kube) -> None:
    kube.monitor()
    async with kube.operator() as operator:
        await asyncio.sleep(5)
        operator.runtime.heartbeat.expect("a monitor that nobody ticks")
        await asyncio.sleep(SILENCE + 15)
        assert await operator.health() == 500


async def test_a_monitor_deleted_in_mid_sweep_is_let_go_and_leaves_no_metrics(kube: Kube) -> None:
    kube.order_service.add_stale(50)
    kube.order_service.delay = 1.0
    kube.monitor()
    async with kube.operator() as operator:
        await until(lambda: len(kube.order_service.asked) >= 3, "three orders asked for")
        assert kube.finalizers == []
        await kube.delete()
        assert not kube.there  # whatever the operator does
        asked = len(kube.order_service.asked)
        await asyncio.sleep(SILENCE + 15)
        assert len(kube.order_service.asked) <= asked + 1
        assert UID not in operator.metrics
        assert "namespace=" not in operator.metrics
        assert await operator.health() == 200


async def test_the_finalizer_of_an_earlier_operator_is_taken_off(kube: Kube) -> None:
    kube.monitor(metadata={"finalizers": [FINALIZER]})
    async with kube.operator():
        await until(lambda: kube.finalizers == [], "our finalizer to go", within=10)


async def test_a_first_sweep_is_tried_again_every_few_seconds_and_degrades_nothing(kube: Kube) -> None:
    """A new shop's order service starts beside its operator."""
    kube.order_service.failing = lambda _: True
    kube.monitor(interval="60s")
    async with kube.operator():
        await asyncio.sleep(62)
        assert kube.conditions["Ready"] == ("False", "ServerError")
        assert kube.conditions["Degraded"][0] == "False"
        assert kube.status["consecutiveFailures"] >= 10
        kube.order_service.failing = lambda _: False
        await asyncio.sleep(6)
        assert kube.conditions["Ready"] == ("True", "Watching")
    assert kube.events == ["OrderServiceUnreachable", "OrderServiceReachable"]


async def test_a_first_sweep_that_never_succeeds_degrades_as_soon_as_by_the_interval(kube: Kube) -> None:
    kube.order_service.failing = lambda _: True
    kube.monitor(interval="60s", failureThreshold=3)
    async with kube.operator():
        await asyncio.sleep(150)
        assert kube.conditions["Degraded"][0] == "False"
        await asyncio.sleep(60)
        assert kube.conditions["Degraded"] == ("True", "SweepsFailing")


async def test_many_monitors_that_are_due_at_once_sweep_a_few_at_a_time(kube: Kube) -> None:
    kube.order_service.delay = 20.0
    for n in range(3 * AT_ONCE):
        kube.monitor(name=f"monitor-{n}", orderService={**kube.order_service_ref, "timeout": "30s"})
    async with kube.operator() as operator:
        await asyncio.sleep(30)
        assert kube.order_service.most_at_once == AT_ONCE
        await asyncio.sleep(100)
        assert kube.order_service.listings >= 3 * AT_ONCE
        assert await operator.health() == 200  # also those that waited longer than a silence


async def test_a_fault_in_one_monitors_tick_is_told_and_ends_nothing(kube: Kube) -> None:
    kube.monitor()
    kube.monitor({"conditions": "not a list"}, name="broken")
    async with kube.operator() as operator:
        await asyncio.sleep(12)
        assert kube.conditions["Ready"] == ("True", "Watching")
        assert operator.registry.get_sample_value("sagamonitor_failed_ticks_total") == 3


async def test_an_operator_started_before_the_resource_is_defined_waits_for_it(kube: Kube) -> None:
    kube.undefine()
    async with kube.operator():
        await asyncio.sleep(30)
        kube.define()
        kube.monitor()
        await until(lambda: kube.order_service.listings, "a look at the stale orders", within=10)


async def test_two_operators_by_mistake_compensate_each_order_once(kube: Kube) -> None:
    kube.order_service.add_stale(30)
    kube.order_service.delay = 0.2
    kube.monitor(interval="5s", maxPerSweep=20)
    async with kube.operator() as first, kube.operator() as second:
        await asyncio.sleep(60)
        counted = [
            o.metric("sagamonitor_compensations_total", outcome="compensated") or 0 for o in (first, second)
        ]
        first.stop.set()
        second.stop.set()
    assert sorted(kube.order_service.compensated) == sorted(kube.order_service.orders)
    assert sum(counted) == 30
    assert kube.conditions["Ready"] == ("True", "Watching")


async def test_an_operator_of_the_whole_cluster_serves_every_namespace(kube: Kube) -> None:
    kube.order_service.add_stale(1)
    kube.monitor()
    async with kube.operator(namespaces=()):
        await until(lambda: kube.order_service.compensated, "a compensation")


async def test_a_secret_that_was_not_meant_for_it_is_not_sent(kube: Kube) -> None:
    kube.monitor()
    kube.secret("token", labels={})
    async with kube.operator():
        await asyncio.sleep(4)
    assert kube.conditions["Ready"] == ("False", "TokenUnavailable")
    assert kube.order_service.listings == 0


async def test_metrics_are_known_again_at_once_after_a_restart(kube: Kube) -> None:
    """Or an alert would resolve by itself, and that of a suspended monitor for good."""
    degraded = {"type": "Degraded", "status": "True", "reason": "SweepsFailing", "message": "",
                "lastTransitionTime": "2025-12-31T00:00:00Z"}  # fmt: skip
    status = {**SWEPT_LATELY, "staleOrders": 7, "consecutiveFailures": 4, "conditions": [degraded],
              "lastSuccessfulSweepTime": "2025-12-31T00:00:00Z"}  # fmt: skip
    kube.monitor(status, suspend=True)
    async with kube.operator() as operator:
        await asyncio.sleep(1)
        assert kube.order_service.listings == 0
        assert operator.metric("sagamonitor_condition", type="Degraded") == 1
        assert operator.metric("sagamonitor_stale_orders", status="CONFIRMED") == 7
        assert operator.metric("sagamonitor_consecutive_failures") == 4
        assert operator.metric("sagamonitor_last_successful_sweep_timestamp_seconds") == 1767139200
        asked = {"action": "Compensate", "dry_run": "false", "suspended": "true"}
        assert operator.metric("sagamonitor_info", **asked) == 1
        await kube.respec(2, suspend=False)
        await asyncio.sleep(1)
        assert operator.metric("sagamonitor_info", **asked) is None
        assert operator.metric("sagamonitor_info", **{**asked, "suspended": "false"}) == 1


async def test_a_dry_run_says_how_many_orders_it_would_compensate(kube: Kube) -> None:
    """The status names the first ten alone."""
    kube.order_service.add_stale(30)
    kube.monitor(dryRun=True, maxPerSweep=25)
    async with kube.operator() as operator:
        await asyncio.sleep(4)
        assert operator.metric("sagamonitor_dry_run_orders") == 25
        [ready] = [one for one in kube.status["conditions"] if one["type"] == "Ready"]
        assert "25 would be compensated, 5 deferred" in ready["message"]
        assert kube.order_service.asked == []


async def test_requests_to_the_order_service_are_measured_by_what_was_asked_and_how_it_went(
    kube: Kube,
) -> None:
    kube.order_service.add_stale(2)
    kube.order_service.failing = lambda path: "confirmed-0001" in path
    kube.monitor()
    async with kube.operator() as operator:
        await asyncio.sleep(4)

        def count(call: str, result: str) -> float | None:
            name = "sagamonitor_order_service_request_duration_seconds_count"
            return operator.registry.get_sample_value(name, {"call": call, "result": result})

        assert count("list", "ok") == count("compensate", "ok") == count("compensate", "ServerError") == 1


async def test_metrics_name_monitors_and_never_orders(kube: Kube) -> None:
    kube.order_service.add_stale(3)
    kube.monitor(maxPerSweep=2)
    async with kube.operator() as operator:
        await asyncio.sleep(4)
        assert operator.metric("sagamonitor_stale_orders", status="CONFIRMED") == 3
        assert operator.metric("sagamonitor_deferred_orders") == 1
        assert operator.metric("sagamonitor_compensations_total", outcome="compensated") == 2
        assert operator.metric("sagamonitor_condition", type="Ready") == 1
        assert "confirmed-" not in operator.metrics


async def test_an_invalid_spec_is_shown_and_a_corrected_one_swept(kube: Kube) -> None:
    kube.monitor(interval="soon")
    async with kube.operator():
        await asyncio.sleep(12)
        assert kube.conditions["Ready"] == ("False", "InvalidSpec")
        await kube.respec(2, interval="60s")
        await asyncio.sleep(6)
        assert kube.conditions["Ready"] == ("True", "Watching")
    assert kube.events[:2] == ["InvalidSpec", "Degraded"]
