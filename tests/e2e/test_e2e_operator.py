"""The operator on a real API server: what gets stuck is seen, told and put right, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e.release import CommandError, Release
from tests.e2e.watcher import Watcher

STUCK = 4
IMPATIENT = {"staleAfter": "30s", "pendingStaleAfter": "30s", "interval": "5s"}
CALM = {
    "staleAfter": "5m",
    "pendingStaleAfter": "15m",
    "interval": "5s",
    "action": "Compensate",
    "suspend": False,
    "dryRun": False,
}


@pytest.fixture
async def watcher(release: Release) -> AsyncIterator[Watcher]:
    found = Watcher(release)
    yield found
    await found.change(**CALM)
    for service in ("payment", "order", "saga-operator"):
        await release.scale(service, 1)
    await found.shows("Ready", "True")


@pytest.fixture
async def stuck(release: Release, watcher: Watcher, customer: Client, admin: Client) -> tuple[str, list[str]]:
    """A product, and orders for it that are confirmed and never will be charged: payment is down."""
    await watcher.change(**IMPATIENT, action="Alert")
    await release.scale("payment", 0)
    tea = await admin.add_product(10)
    orders = [(await customer.place({tea: 1}))["orderId"] for _ in range(STUCK)]
    for order in orders:
        await customer.at(order, "CONFIRMED")
    return tea, orders


async def ended_once(customer: Client, order: str) -> None:
    """Hold an order that was compensated to its promises, once payment works again."""
    ended = await customer.settled(order)
    assert ended["status"] == "CANCELLED"
    assert ended["cancellationReason"] == "SAGA_TIMEOUT"
    payment = await until(
        lambda: customer.payment(order),
        lambda found: found and found["status"] in {"VOIDED", "REFUNDED", "DECLINED"},
        within=90,
        what="never charged, or charged and refunded",
    )
    assert payment is not None
    items = (await customer.call("GET", f"/api/orders/{order}/timeline"))["items"]
    assert [entry["to"] for entry in items].count("CANCELLED") >= 1
    assert [(entry["from"], entry["to"]) for entry in items].count(("CONFIRMED", "CANCELLED")) == 1
    assert [entry["event"] for entry in items].count("PAYMENT_REFUNDED") == (payment["status"] == "REFUNDED")


async def test_stale_orders_are_counted_then_compensated_and_nobody_keeps_money(
    release: Release, watcher: Watcher, customer: Client, admin: Client, stuck: tuple[str, list[str]]
) -> None:
    tea, orders = stuck

    # Alert: seen and told, not touched.
    await until(
        watcher.status, lambda status: status.get("staleOrders") == STUCK, within=90, what="the stale orders"
    )
    assert await watcher.shows("StaleOrdersDetected", "True")
    header, row = (await watcher.table()).splitlines()
    assert header.split()[:6] == ["NAME", "READY", "ACTION", "STALE", "CONSISTENT", "COMPENSATED"]
    assert row.split()[1:4] == ["True", "Alert", str(STUCK)]
    assert {(await customer.order(order))["status"] for order in orders} == {"CONFIRMED"}
    assert await admin.stock(tea) == (10 - STUCK, STUCK, 0)

    # Dry run: says which.
    await watcher.change(action="Compensate", dryRun=True)
    status = await until(
        watcher.status, lambda one: one.get("recentCompensations"), within=30, what="what would be done"
    )
    assert {one["orderID"] for one in status["recentCompensations"]} <= {*orders}
    assert {one["result"] for one in status["recentCompensations"]} == {"DryRun"}

    # Compensate: two operators by mistake, and one of them killed in the middle of it.
    await release.kubectl("scale", "deployment/shop-saga-operator", "--replicas=2")
    await watcher.change(dryRun=False)
    await asyncio.sleep(1)
    await release.kill((await release.pods("saga-operator"))[0])
    for order in orders:
        await customer.at(order, "CANCELLED", within=120)
    await release.scale("saga-operator", 1)
    await until(watcher.status, lambda one: one.get("staleOrders") == 0, within=90, what="no stale orders")
    await until(
        lambda: admin.stock(tea), lambda stock: stock.available == 10, within=60, what="the stock back"
    )
    assert {"StaleOrdersDetected", "OrderCompensated", "Compensated"} & await watcher.events()

    # Payment comes back to a queue of confirmed and cancelled orders.
    await release.scale("payment", 1)
    for order in orders:
        await ended_once(customer, order)
    assert await admin.stock(tea) == (10, 0, 0)


async def test_an_order_service_that_is_down_is_told_of_and_forgiven(
    release: Release, watcher: Watcher
) -> None:
    await release.scale("order", 0)
    await watcher.shows("OrderServiceReachable", "False")
    await watcher.shows("Degraded", "True", within=180)
    assert (await watcher.condition("Ready"))[0] == "False"
    await release.scale("order", 1)
    await watcher.shows("OrderServiceReachable", "True", within=180)
    await watcher.shows("Degraded", "False")
    await watcher.shows("Ready", "True")


async def test_a_suspended_monitor_is_ready_and_sweeps_nothing(watcher: Watcher) -> None:
    await watcher.change(suspend=True)
    await until(
        lambda: watcher.condition("Ready"),
        lambda one: one == ("True", "Suspended"),
        within=30,
        what="suspension",
    )
    last = (await watcher.status())["lastSweepTime"]
    await asyncio.sleep(12)
    assert (await watcher.status())["lastSweepTime"] == last


async def test_an_annotation_asks_for_a_sweep_now(release: Release, watcher: Watcher) -> None:
    await watcher.change(interval="1h")
    await asyncio.sleep(7)
    last = (await watcher.status())["lastSweepTime"]
    await release.kubectl(
        "annotate", "sagamonitor", release.name, "sagashop.io/sweep-requested-at=now", "--overwrite"
    )
    await until(watcher.status, lambda status: status["lastSweepTime"] != last, within=20, what="a sweep")


async def test_a_monitor_deleted_while_it_sweeps_is_gone_at_once(release: Release) -> None:
    monitor = {
        "apiVersion": "sagashop.io/v1alpha1",
        "kind": "SagaMonitor",
        "metadata": {"name": "short-lived"},
        "spec": {"orderService": {"serviceRef": {"name": f"{release.name}-order"}}, "interval": "5s"},
    }
    await release.kubectl("apply", "--filename", "-", stdin=json.dumps(monitor))
    await release.kubectl("wait", "sagamonitor/short-lived", "--for=condition=Ready", "--timeout=60s")
    await release.kubectl("delete", "sagamonitor", "short-lived", "--timeout=30s")
    with pytest.raises(CommandError, match="NotFound"):
        await release.kubectl("get", "sagamonitor", "short-lived")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"orderService": {"url": "https://elsewhere.example"}}, "a url needs its own tokenSecretRef"),
        ({"orderService": {"serviceRef": {"name": "x"}}, "staleAfter": "1s"}, "at least 30s"),
        ({"orderService": {"serviceRef": {"name": "x"}}, "action": "Delete"}, "Unsupported value"),
    ],
    ids=["token", "too soon", "action"],
)
async def test_the_api_server_refuses_a_monitor_that_would_do_harm(
    release: Release, spec: dict[str, Any], complaint: str
) -> None:
    monitor = {
        "apiVersion": "sagashop.io/v1alpha1",
        "kind": "SagaMonitor",
        "metadata": {"name": "bad"},
        "spec": spec,
    }
    with pytest.raises(CommandError, match=complaint):
        await release.kubectl("apply", "--filename", "-", stdin=json.dumps(monitor))
