"""SagaMonitors on the page of stuck orders: asked of an API server by TLS, each with its own policy."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import structs

from console import monitors, stuck
from console.cluster import NO_CLUSTER, Cluster
from saga_operator.resource import Monitor
from sagactl.faults import AbsentError, ForbiddenError, UnavailableError
from services.order.model import Order, Status
from tests.authority import Authority
from tests.ports import free_port
from tests.unit.console.pages import NOW, Page, rendered
from tests.unit.explain.desk import Desk

SPEC: Final = {"orderService": {"serviceRef": {"name": "shop-order"}}, "pendingStaleAfter": "15m"}
STATUS: Final = {
    "lastSweepTime": "2026-01-01T11:59:30Z",
    "nextSweepTime": "2026-01-01T12:00:30Z",
    "lastSweep": {"found": 3, "compensated": 1, "failed": 2, "deferred": 0, "durationMilliseconds": 12},
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Watching", "message": "3 stale"},
        {"type": "Degraded", "status": "True", "reason": "Rejected", "message": "it says <no>"},
        {"type": "Consistent", "status": "Unknown", "reason": "NeverChecked", "message": ""},
    ],
}


def body(name: str = "shop", spec: Any = SPEC, status: Any = STATUS) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": name, "uid": "u", "generation": 1}
    return {"metadata": meta, "spec": spec, "status": status}


def waiting(status: Status, minutes: int, number: int = 1) -> list[Order]:
    order = Desk().paid().one(Order)
    since = NOW - timedelta(minutes=minutes)
    return [structs.replace(order, id=f"{n}", status=status, state_since=since) for n in range(number)]


def row(stale: list[Order] | None, **more: Any) -> monitors.Row:
    return monitors.row(Monitor.of(body(spec=SPEC | more)), stale)


# --- what a page says of one ------------------------------------------------------------------------------


def test_a_monitor_says_what_it_does_and_what_a_sweep_would_do_now() -> None:
    found = row(waiting(Status.CONFIRMED, 6, 3), maxPerSweep=2)
    assert found.policy == (
        "compensates, at most 2 a sweep, orders that are CONFIRMED for 5 min, PENDING for 15 min; every 1 min"
    )
    assert found.now == "would compensate 2, and 1 only the next time"
    assert found.came_to == "3 found, 1 compensated, 2 failed, 0 deferred"
    assert (found.last, found.next) == (NOW - timedelta(seconds=30), NOW + timedelta(seconds=30))


@pytest.mark.parametrize(
    ("more", "policy", "now"),
    [
        ({"action": "Alert"}, "tells of orders that are CONFIRMED for 5 min", "would tell of 1"),
        ({"dryRun": True}, "says that it would compensate", "would compensate 1"),
        ({"suspend": True}, "compensates", monitors.SUSPENDED),
        ({"staleAfter": "soon"}, "sweeps nothing: ", "waits for a spec that can be read"),
    ],
)
def test_what_its_spec_says_is_told(more: dict[str, Any], policy: str, now: str) -> None:
    found = row(waiting(Status.CONFIRMED, 6), **more)
    assert found.policy.startswith(policy)
    assert found.now == now


def test_of_another_order_service_nothing_is_planned() -> None:
    monitor = Monitor.of(body())
    assert monitors.limits(monitor, "shop-order") is not None
    assert monitors.limits(monitor, "other-order") is None
    assert monitors.row(monitor, None).now == monitors.ELSEWHERE
    assert monitors.limits(Monitor.of(body(spec={})), "shop-order") is None


def test_a_condition_is_good_bad_or_not_known_and_never_by_its_colour_alone() -> None:
    found = [(each.type, each.status, each.shape, each.mood) for each in row([]).conditions]
    assert found == [
        ("Ready", "True: Watching", "✓", "good"),
        ("Degraded", "True: Rejected", "‼", "bad"),
        ("Consistent", "Unknown: NeverChecked", "?", "doubtful"),
    ]


def page_with(*found: Monitor, unwatched: str = "") -> Page:
    rows = None if unwatched else [monitors.row(each, []) for each in found]
    return rendered(
        "stuck",
        page=stuck.page([], {}, NOW, 1),
        blind="",
        why_not="",
        said="",
        monitors=rows,
        unwatched=unwatched,
        commands=monitors.commands(found),
    )


def test_the_page_has_each_with_its_conditions_and_the_command_that_sweeps_at_once() -> None:
    page = page_with(Monitor.of(body()), Monitor.of(body("b", status={})))
    assert "it says <no>" in page.text
    assert "none yet" in page.text
    assert page.commands[0] == (
        "kubectl annotate -n shop sagamonitors shop sagashop.io/sweep-requested-at=$(date +%s) --overwrite"
    )
    assert "There is none here: no sweep runs by itself." in page_with().text
    assert NO_CLUSTER in page_with(unwatched=NO_CLUSTER).text


# --- the Kubernetes API -----------------------------------------------------------------------------------


@asynccontextmanager
async def api(folder: Path, answer: Callable[[web.Request], web.Response]) -> AsyncIterator[Cluster]:
    """An API server, and the account of a pod that knows it."""
    authority = Authority.made_in(folder)
    identity = authority.identity("127.0.0.1")
    by = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    by.load_cert_chain(identity.certificate, identity.key)
    (folder / "token").write_text("a token\n")
    (folder / "namespace").write_text("shop")

    async def answered(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_get("/apis/sagashop.io/v1alpha1/namespaces/shop/sagamonitors", answered)
    server = TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=by)
    try:
        environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": f"{server.port}"}
        cluster = Cluster.here(environment, folder)
        assert cluster is not None
        yield cluster
    finally:
        await server.close()


async def test_monitors_are_listed_by_the_pods_own_token(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response({"items": [body("b"), body("a")]})

    async with api(tmp_path, answer) as cluster:
        assert [each.name for each in await cluster.monitors()] == ["a", "b"]
        (tmp_path / "token").write_text("a new token")
        await cluster.monitors()
    assert asked == ["Bearer a token", "Bearer a new token"]


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (403, ForbiddenError, "does not let the console list SagaMonitors of shop"),
        (401, ForbiddenError, "does not let the console"),
        (404, AbsentError, "this cluster knows no SagaMonitors"),
        (500, UnavailableError, "the Kubernetes API does not answer: 500"),
    ],
)
async def test_what_the_api_refuses_is_a_sentence(
    tmp_path: Path, status: int, error: type[Exception], says: str
) -> None:
    async with api(tmp_path, lambda _: web.Response(status=status)) as cluster:
        with pytest.raises(error, match=says):
            await cluster.monitors()


async def test_who_is_not_the_api_server_is_told_no_token(tmp_path: Path) -> None:
    asked: list[web.Request] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({"items": []})

    async with api(tmp_path, answer) as cluster:
        Authority.made_in(tmp_path)  # which has not signed that certificate
        with pytest.raises(UnavailableError, match="the Kubernetes API does not answer"):
            await cluster.monitors()
    assert asked == []


async def test_where_nobody_answers_or_nobody_is_there_the_page_says_so(tmp_path: Path) -> None:
    assert Cluster.here({}, tmp_path) is None
    assert Cluster.here({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path) is None
    async with api(tmp_path, lambda _: web.Response()) as cluster:
        nobody = cluster._replace(url=f"https://127.0.0.1:{free_port()}")
        with pytest.raises(UnavailableError, match="the Kubernetes API does not answer"):
            await nobody.monitors()
        assert Cluster.here({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path) == Cluster(
            "https://[fd00::1]:443", tmp_path
        )
