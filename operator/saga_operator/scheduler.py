"""Ticks every SagaMonitor that is served: each every few seconds, none twice at once, few at the same time.

kopf's own timers would put a finalizer on each of them, and nothing here has anything to clean up: so they
can be deleted, alone or with their namespace, whether an operator runs or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from saga_operator import tick as ticking
from saga_operator.endpoint import ClusterUnavailable
from saga_operator.resource import Monitor
from saga_operator.tick import Runtime

LOG = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two ticks of a monitor."""

AT_ONCE = 10
"""Monitors that sweep at the same time. After a restart all that are due would."""


class Scheduler:
    def __init__(self, runtime: Runtime, between: Callable[[], Awaitable[None]] | None = None) -> None:
        """`between` is called before each round of ticks."""
        self.runtime = runtime
        self._between = between
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._ticking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._waiting: set[str] = set()
        self._left_alone: set[str] = set()
        self._stopping = asyncio.Event()

    def know(self, monitor: Monitor) -> None:
        """Serve what was added or changed, if it is ours; at once, not with the next round."""
        if not self.runtime.owner.serves(monitor):
            self._leave_alone(monitor)
            return
        self._left_alone.discard(monitor.uid)
        before = self.runtime.fleet.add(monitor)
        if before is not None and before.uid != monitor.uid:
            ticking.forget(self.runtime, before)
        if before is None or before.uid != monitor.uid:
            self.runtime.metrics.restored(monitor)
        self.runtime.metrics.described(monitor)
        self.runtime.heartbeat.expect(monitor.uid)
        self._begin(monitor)

    def forget(self, monitor: Monitor) -> None:
        """A sweep that is under way ends after the order in hand."""
        self._left_alone.discard(monitor.uid)
        ticking.forget(self.runtime, monitor)

    async def run(self) -> None:
        """Tick until `stop`; then wait for what is under way, which ends after the order in hand."""
        while not self._stopping.is_set():
            await self._do_between()
            for uid in self._waiting:
                self.runtime.heartbeat.beat(uid)  # it is not its fault
            for monitor in self.runtime.fleet:
                self._begin(monitor)
            await _wait(self._stopping, TICK)
        await self.idle()

    def stop(self) -> None:
        self._stopping.set()

    async def idle(self) -> None:
        """Wait for the ticks under way."""
        await asyncio.gather(*self._ticking.values())

    async def _do_between(self) -> None:
        try:
            if self._between is not None:
                await self._between()
        except Exception:
            # As a fault in a tick: it may not end the ticks.
            LOG.exception("what is done between ticks failed")
            self.runtime.metrics.tick_failed()

    def _leave_alone(self, monitor: Monitor) -> None:
        if self.runtime.fleet.has(monitor):
            ticking.forget(self.runtime, monitor)
        if monitor.uid not in self._left_alone:
            self._left_alone.add(monitor.uid)
            LOG.info("%s: left alone, as it is not of the release %s", monitor, self.runtime.owner.release)

    def _begin(self, monitor: Monitor) -> None:
        if self._stopping.is_set() or monitor.key in self._ticking:
            return
        task = asyncio.create_task(self._tick(monitor), name=f"tick of {monitor}")
        self._ticking[monitor.key] = task
        task.add_done_callback(lambda _: self._ticking.pop(monitor.key))

    async def _tick(self, monitor: Monitor) -> None:
        self._waiting.add(monitor.uid)
        try:
            await self._slots.acquire()
        finally:
            self._waiting.discard(monitor.uid)
        try:
            await self._tick_now(monitor.namespace, monitor.name)
        finally:
            self._slots.release()

    async def _tick_now(self, namespace: str, name: str) -> None:
        monitor = self.runtime.fleet.get(namespace, name)
        if monitor is None:
            return

        def keep_on() -> bool:
            newest = self.runtime.fleet.get(namespace, name)
            return not self._stopping.is_set() and newest is not None and not newest.spec.get("suspend")

        try:
            for event in await ticking.tick(self.runtime, monitor, keep_on):
                await self.runtime.cluster.post(monitor, event)
        except ClusterUnavailable as error:
            LOG.warning("%s: an Event is lost: %s", monitor, error)  # the condition tells the same
        except Exception:
            # A fault of ours in one monitor's tick is told, and tried again: it may not end the others'.
            LOG.exception("%s: the tick failed", monitor)
            self.runtime.metrics.tick_failed()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until then at most. Not by `wait_for`, which may forget that it was cancelled."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
