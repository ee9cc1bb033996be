"""The operator as a process of its own: its ports, a graceful end, and a death in mid-sweep."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO

from tests.operator.kube import NAMESPACE, Kube, until
from tests.ports import free_port

# Seconds.
ENDS_WITHIN = 60.0


class Process:
    def __init__(self, process: asyncio.subprocess.Process, metrics: int, liveness: int) -> None:
        self.process = process
        self.metrics_url = f"http://127.0.0.1:{metrics}/metrics"
        self.liveness_url = f"http://127.0.0.1:{liveness}/healthz"

    async def end(self, by: signal.Signals) -> int:
        self.process.send_signal(by)
        return await asyncio.wait_for(self.process.wait(), ENDS_WITHIN)


@asynccontextmanager
async def operator(log: IO[bytes] | int = asyncio.subprocess.DEVNULL) -> AsyncIterator[Process]:
    metrics, liveness = free_port(), free_port()
    settings = {
        "PYTHONPATH": "operator",
        "WATCH_NAMESPACE": NAMESPACE,
        "POD_NAMESPACE": NAMESPACE,
        "METRICS_PORT": str(metrics),
        "LIVENESS_PORT": str(liveness),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "saga_operator", env=os.environ | settings, stderr=log
    )
    try:
        yield Process(process, metrics, liveness)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_process_sweeps_and_serves_its_probe_and_its_metrics(kube: Kube) -> None:
    kube.order_service.add_stale(2)
    kube.monitor()
    async with operator() as process:
        await until(lambda: kube.status, "a status")
        async with kube.session.get(process.liveness_url) as health:
            assert (health.status, await health.json()) == (200, {"monitors": 1})
        async with kube.session.get(process.metrics_url) as metrics:
            assert 'sagamonitor_stale_orders{name="monitor",namespace="shop",status="CONFIRMED"} 2.0' in (
                await metrics.text()
            )
        assert await process.end(signal.SIGTERM) == 0


async def test_its_log_does_not_grow_while_all_is_well(kube: Kube, tmp_path: Path) -> None:
    """A kubelet looks every few seconds, for months."""
    kube.monitor()
    with (tmp_path / "log").open("wb") as log:
        async with operator(log) as process:
            await until(lambda: kube.status, "a status")
            told = (tmp_path / "log").read_text()
            for _ in range(3):
                async with kube.session.get(process.liveness_url) as health:
                    assert health.status == HTTPStatus.OK
            assert (tmp_path / "log").read_text() == told


async def test_an_operator_told_to_end_in_mid_sweep_finishes_the_order_in_hand_and_tells(kube: Kube) -> None:
    kube.order_service.add_stale(100)
    kube.order_service.delay = 0.2
    kube.monitor(maxPerSweep=100)
    async with operator() as process:
        await until(lambda: len(kube.order_service.asked) >= 3, "three orders asked for")
        assert await process.end(signal.SIGTERM) == 0
    done = len(kube.order_service.compensated)
    assert kube.status["compensatedTotal"] == done < 100
    assert kube.status["lastSweep"]["deferred"] == 100 - done


async def test_a_sweep_that_was_killed_is_taken_up_by_the_next_operator_and_nothing_is_done_twice(
    kube: Kube,
) -> None:
    kube.order_service.add_stale(20)
    kube.order_service.delay = 0.2
    kube.monitor()
    async with operator() as process:
        await until(lambda: len(kube.order_service.asked) >= 3, "three orders asked for")
        await process.end(signal.SIGKILL)
    assert len(kube.order_service.compensated) < 20
    assert kube.status == {}
    kube.order_service.delay = 0.0
    async with operator():
        await until(lambda: kube.status, "a status")
    assert sorted(kube.order_service.compensated) == sorted(kube.order_service.orders)
