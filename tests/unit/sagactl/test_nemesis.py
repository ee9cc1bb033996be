"""Pods are killed as a seed tells, one at a time, and none while another one is not back."""

import asyncio
from collections import Counter
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sagactl.faults import ForbiddenError, UnavailableError, WrongError
from sagactl.nemesis.cluster import Pod, reached
from sagactl.nemesis.killing import LOOK_SECONDS, RECOVERS_WITHIN, Nemesis, Plan, victims
from tests.ports import free_port

CHARTS = frozenset({"gateway", "order", "payment"})
EVERY = 60.0
BACK_AFTER = 7.0


class Pods:
    """A cluster in which two pods of each chart run, and come back some seconds after they were killed."""

    def __init__(self, back_after: float = BACK_AFTER) -> None:
        self._numbers, self._back_after = count(), back_after
        self._pods = [self._pod(chart) for chart in sorted(CHARTS) for _ in range(2)]
        self.killed: list[tuple[float, str]] = []
        # Seconds between which nobody tells of pods.
        self.away = (0.0, 0.0)

    def _pod(self, chart: str) -> Pod:
        number = next(self._numbers)
        return Pod(f"shop-{chart}-{number}", f"uid-{number}", chart, ready=True)

    async def pods(self, release: str) -> list[Pod]:
        assert release == "shop"
        if self.away[0] <= asyncio.get_running_loop().time() < self.away[1]:
            raise UnavailableError("the Kubernetes API does not answer: it is away")
        return list(self._pods)

    async def kill(self, pod: Pod) -> None:
        loop = asyncio.get_running_loop()
        self.killed.append((loop.time(), pod.chart))
        self._pods.remove(pod)
        loop.call_later(self._back_after, lambda: self._pods.append(self._pod(pod.chart)))


async def hunt(cluster: Any, seconds: float, seed: int = 1) -> tuple[list[str], int]:
    """What was said, and how often what was killed came back."""
    said: list[str] = []
    back: list[None] = []
    plan = Plan("shop", CHARTS, seed, EVERY)
    nemesis = Nemesis(cluster, plan, said.append, lambda: None, lambda: back.append(None))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await nemesis.kill_for_ever()
    return said, len(back)


@pytest.mark.looptime
async def test_each_is_killed_once_all_are_back_and_have_been_for_a_while() -> None:
    cluster = Pods()
    said, back = await hunt(cluster, 3600)
    assert back in {len(cluster.killed) - 1, len(cluster.killed)}
    assert back > 3600 / (EVERY + BACK_AFTER + 3) - 1
    for (earlier, _), (later, _) in pairwise(cluster.killed):
        assert later >= earlier + BACK_AFTER + EVERY
    killed = Counter(chart for _, chart in cluster.killed)
    assert max(killed.values()) - min(killed.values()) <= 1
    assert killed.keys() == CHARTS
    assert said[0].startswith("1: kill shop-")
    assert said[1].endswith(" is ready again after 7 s")


def test_a_seed_kills_in_the_same_order_whatever_pods_are_called() -> None:
    def story(seed: int) -> list[tuple[str, float]]:
        return list(islice(victims(Plan("shop", CHARTS, seed, EVERY)), 30))

    assert story(7) == story(7)
    assert story(7) != story(8)


@pytest.mark.looptime
async def test_nobody_is_killed_as_long_as_nobody_tells_of_pods() -> None:
    cluster = Pods()
    cluster.away = (0, 600)
    said, _ = await hunt(cluster, 700)
    assert cluster.killed[0][0] >= 600 + EVERY - LOOK_SECONDS
    assert said[0] == "the Kubernetes API does not answer: it is away"


@pytest.mark.looptime
async def test_what_does_not_come_back_is_wrong_and_ends_it() -> None:
    cluster: Any = Pods(back_after=RECOVERS_WITHIN + 1)
    nemesis = Nemesis(cluster, Plan("shop", CHARTS, 1, EVERY), *3 * [lambda *_: None])
    with pytest.raises(WrongError, match=r"2 of \w+ are ready again: not within 300 s; last seen: shop-"):
        await nemesis.kill_for_ever()
    assert len(cluster.killed) == 1


@pytest.mark.looptime
async def test_what_never_was_ready_is_named() -> None:
    cluster: Any = Pods()
    nemesis = Nemesis(cluster, Plan("shop", CHARTS | {"redis"}, 1, EVERY), *3 * [lambda *_: None])
    with pytest.raises(WrongError, match="no pod is ready of: redis"):
        await nemesis.kill_for_ever()
    assert cluster.killed == []


def pod(name: str, *, ready: bool, **more: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"app.kubernetes.io/name": "order"},
            **more,
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


async def test_the_api_is_asked_with_the_accounts_token_for_the_releases_pods_alone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "namespace").write_text("market")
    items = [pod("b", ready=True), pod("a", ready=False), pod("c", ready=True, deletionTimestamp="now")]
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, dict(request.query), await request.text()))
        if request.headers["Authorization"] != "Bearer second":
            return web.json_response({"message": "pods is forbidden"}, status=403)
        if request.method == "DELETE":
            return web.json_response({"message": "the UID does not match"}, status=409)
        return web.json_response({"items": items})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        async with reached(f"http://127.0.0.1:{port}", tmp_path) as cluster:
            with pytest.raises(UnavailableError, match="the Kubernetes API does not answer"):
                await cluster.pods("shop")
            await web.TCPSite(runner, "127.0.0.1", port).start()
            with pytest.raises(ForbiddenError, match="pods is forbidden"):
                await cluster.pods("shop")
            (tmp_path / "token").write_text("second")
            found = await cluster.pods("shop")
            assert [(each.name, each.ready) for each in found] == [("a", False), ("b", True), ("c", False)]
            with pytest.raises(UnavailableError, match="409: the UID does not match"):
                await cluster.kill(found[1])
    finally:
        await runner.cleanup()
    selector = {"labelSelector": "app.kubernetes.io/instance=shop,app.kubernetes.io/part-of=sagashop"}
    assert asked[1] == ("GET", "/api/v1/namespaces/market/pods", selector, "")
    method, path, _, options = asked[2]
    assert (method, path) == ("DELETE", "/api/v1/namespaces/market/pods/b")
    assert options == '{"gracePeriodSeconds": 0, "preconditions": {"uid": "uid-b"}}'
