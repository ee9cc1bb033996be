"""Whose SagaMonitors an operator serves, and the one that its release comes with."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmock import action

from saga_operator.endpoint import ClusterUnavailable
from saga_operator.fleet import Fleet, Owner
from saga_operator.own_monitor import APPLIED, Keeper, OwnMonitor
from saga_operator.resource import RELEASE_LABEL, Monitor
from tests.operator.kube import DEPLOYMENT, NAMESPACE, Kube, until

OWN = "of-the-release"
WANTED = OwnMonitor(NAMESPACE, OWN, {RELEASE_LABEL: "shop"}, {"interval": "60s"}, DEPLOYMENT)
names = st.sampled_from(["a", "b", "c"])


def monitor(
    namespace: str = "shop", service: str = "", label: str | None = None, applied: str | None = None
) -> Monitor:
    ref = {"serviceRef": {"name": service}} if service else {"url": "http://order"}
    return Monitor(
        namespace=namespace,
        name="m",
        uid="u",
        generation=1,
        spec={"orderService": ref},
        status={},
        labels={} if label is None else {RELEASE_LABEL: label},
        annotations={} if applied is None else {APPLIED: applied},
    )


@given(names, names, names, st.none() | names, st.none() | names)
def test_of_two_releases_at_most_one_serves_a_monitor(
    namespace: str, one: str, other: str, label: str | None, service: str | None
) -> None:
    found = monitor(namespace, f"{service}-order" if service else "", label)
    owners = {Owner(release, "a", f"{release}-order") for release in (one, other)}
    assert sum(owner.serves(found) for owner in owners) <= 1


def test_a_monitor_belongs_to_its_label_and_without_one_to_its_order_service() -> None:
    shop = Owner("shop", "market", "shop-order")
    assert shop.serves(monitor("market", label="shop"))
    assert shop.serves(monitor("elsewhere", label="shop"))
    assert not shop.serves(monitor("market", "shop-order", label="other"))
    assert shop.serves(monitor("market", "shop-order"))
    assert not shop.serves(monitor("elsewhere", "shop-order"))
    assert not shop.serves(monitor("market", "other-order"))
    assert not shop.serves(monitor("market"))
    assert Owner().serves(monitor("market", label="other"))


@pytest.mark.looptime
async def test_operators_of_two_releases_leave_each_others_monitors_alone(kube: Kube) -> None:
    kube.monitor(name="shop", metadata={"labels": {RELEASE_LABEL: "shop"}}, interval="5s")
    kube.monitor(name="kiosk", metadata={"labels": {RELEASE_LABEL: "kiosk"}}, interval="5s")
    kube.monitor(name="nobodys", metadata={"labels": {}})
    async with kube.operator(release="shop") as shop, kube.operator(release="kiosk") as kiosk:
        await asyncio.sleep(60)
        for operator, own, others in ((shop, "shop", "kiosk"), (kiosk, "kiosk", "shop")):
            sweeps = {
                name: operator.registry.get_sample_value(
                    "sagamonitor_sweeps_total", {"namespace": NAMESPACE, "name": name, "result": "succeeded"}
                )
                for name in (own, others, "nobodys")
            }
            assert (sweeps[own] or 0) >= 10
            assert (sweeps[others], sweeps["nobodys"]) == (None, None)
            assert await operator.health() == 200
        # Both at once: one that sweeps on would keep the test's own clock from the end of the other.
        shop.stop.set()
        kiosk.stop.set()
    assert kube.named("nobodys")["status"] == {}


@pytest.mark.looptime
async def test_a_monitor_that_is_given_to_another_release_is_let_go(kube: Kube) -> None:
    kube.monitor(interval="5s")
    async with kube.operator() as operator:
        await asyncio.sleep(12)
        assert operator.metric("sagamonitor_sweeps_total", result="succeeded") == 3
        await kube.patch({"metadata": {"labels": {RELEASE_LABEL: "other"}}})
        await asyncio.sleep(200)
        assert operator.metric("sagamonitor_sweeps_total", result="succeeded") is None
        assert await operator.health() == 200


def settings(kube: Kube, **spec: Any) -> dict[str, Any]:
    """The operator's, with a monitor of its own."""
    spec = {"orderService": kube.order_service_ref, **spec}
    return {"monitor": {"name": OWN, "labels": {RELEASE_LABEL: "shop"}, "spec": spec}}


@pytest.mark.looptime
async def test_the_releases_own_monitor_is_made_and_belongs_to_the_operators_deployment(kube: Kube) -> None:
    kube.deployment()
    kube.secret("token")
    async with kube.operator(**settings(kube, staleAfter="5m")):
        await until(lambda: kube.order_service.listings, "a sweep", within=20)
    made = kube.named(OWN)
    assert made["metadata"]["labels"] == {RELEASE_LABEL: "shop"}
    [owner] = made["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": DEPLOYMENT,
        "uid": "uid-of-the-deployment",
        "blockOwnerDeletion": False,
    }
    assert "finalizers" not in made["metadata"]
    assert made["spec"]["staleAfter"] == "5m"


@pytest.mark.looptime
async def test_the_releases_own_monitor_comes_back_when_it_was_deleted(kube: Kube) -> None:
    kube.deployment()
    kube.monitor(name=OWN)
    async with kube.operator(**settings(kube)):
        await asyncio.sleep(12)
        await kube.delete(OWN)
        await until(lambda: kube.order_service.listings == 2, "a sweep of the new one", within=20)
    assert kube.named(OWN)["metadata"]["uid"] != f"uid-of-{OWN}"


@pytest.mark.looptime
async def test_without_its_deployment_nothing_is_made(kube: Kube) -> None:
    """As in an uninstallation, which the operator may outlive by seconds."""
    async with kube.operator(**settings(kube)) as operator:
        await asyncio.sleep(30)
        assert await operator.health() == 200
    assert not kube.api[action.CREATE]
    kube.deployment(deletionTimestamp="2026-01-01T00:00:00Z")
    async with kube.operator(**settings(kube)):
        await asyncio.sleep(30)
    assert not kube.api[action.CREATE]


@pytest.mark.looptime
async def test_changed_values_change_it_and_what_was_changed_by_hand_stays_until_then(kube: Kube) -> None:
    kube.deployment()
    before: dict[str, Any] = {
        "interval": "5s",
        "pendingStaleAfter": "15m",
        "orderService": kube.order_service_ref,
    }
    kube.monitor(
        name=OWN,
        metadata={"annotations": {APPLIED: json.dumps(before, sort_keys=True)}},
        **before,
        suspend=True,
    )
    async with kube.operator(**settings(kube, interval="5s", pendingStaleAfter="15m")):
        await asyncio.sleep(30)
        assert kube.named(OWN)["spec"]["suspend"] is True
    async with kube.operator(**settings(kube, interval="10s")):
        await asyncio.sleep(10)
    spec = kube.named(OWN)["spec"]
    assert (spec["interval"], spec["suspend"], spec.get("pendingStaleAfter")) == ("10s", True, None)


@pytest.mark.looptime
async def test_a_monitor_that_the_api_server_refuses_is_told_of_once_and_tried_again(kube: Kube) -> None:
    kube.deployment()
    kube.secret("token")
    kube.api.finds_invalid = "spec.interval: must be at least 5s"
    async with kube.operator(**settings(kube)) as operator:
        await asyncio.sleep(60)
        assert kube.events == ["SagaMonitorRefused"]
        assert kube.event_messages == ["spec.interval: must be at least 5s"]
        assert await operator.health() == 200
        kube.api.finds_invalid = ""
        await until(lambda: kube.order_service.listings, "a sweep", within=20)


@pytest.mark.looptime
async def test_an_outage_is_reported_once_while_the_releases_own_monitor_is_missing(
    kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    kube.api.refuses_deployments = True
    kube.deployment()
    kube.secret("token")
    async with kube.operator(**settings(kube)):
        await asyncio.sleep(60)
        told = [record for record in caplog.records if "is not applied yet" in record.getMessage()]
        assert len(told) == 1
        kube.api.refuses_deployments = False
        await until(lambda: kube.order_service.listings, "a sweep", within=20)


class Away:
    """The Kubernetes API in an outage."""

    async def _nobody(self, *_: object) -> Any:
        raise ClusterUnavailable("500")

    deployment_uid = create_monitor = change_monitor = post_of_deployment = _nobody


async def test_an_outage_after_the_monitor_was_seen_again_is_another_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = replace(monitor(applied=json.dumps(WANTED.spec)), name=OWN)
    fleet = Fleet()
    away: Any = Away()  # answers any call alike
    keeper = Keeper(WANTED, fleet, away)
    await keeper.keep()
    await keeper.keep()
    assert len(caplog.records) == 1
    fleet.add(shown)  # its creation went through, though no answer said so
    await keeper.keep()
    fleet.remove(shown)
    await keeper.keep()
    assert len(caplog.records) == 2


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers()),
    st.dictionaries(st.sampled_from("abcd"), st.integers()),
)
def test_a_change_takes_away_only_what_the_release_itself_had_set(
    before: dict[str, int], wanted: dict[str, int]
) -> None:
    shown = monitor(applied=json.dumps(before))
    change = OwnMonitor(NAMESPACE, OWN, {}, wanted, DEPLOYMENT).change(shown, "uid")["spec"]
    assert change == {**dict.fromkeys(before.keys() - wanted.keys()), **wanted}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_an_annotation_that_somebody_wrote_by_hand_is_overwritten(text: str) -> None:
    shown = monitor(applied=text)
    assert not WANTED.is_applied(shown)
    assert WANTED.change(shown, "uid")["spec"] == {"interval": "60s"}
