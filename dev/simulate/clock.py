"""An event loop whose time passes only when nothing else is left to do, and the processes that share it.

What runs when depends on nothing but the program: the same seed is the same run, step by step. A process may
stand still, or be killed at any step; whatever it had not sent by then is never sent.
"""

import asyncio
import contextvars
import heapq
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar, cast

Result = TypeVar("Result")
# Monotonic seconds at which a simulation begins: some time after the machine was started.
BEGINNING: Final = 1000.0
PRUNE_AT_LEAST: Final = 256


class Process:
    """What a crash ends, and a stall stops, all at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stalled = False
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)
        self._parked: list[_Step] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._prune_at = PRUNE_AT_LEAST

    def check(self) -> None:
        """Nothing leaves a process that is dead. Raises CancelledError."""
        if not self.alive:
            raise asyncio.CancelledError

    def spawn(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        return asyncio.get_running_loop().create_task(work, context=self.context.copy())

    def kill(self) -> None:
        """As SIGKILL does: what its tasks do from now on reaches nobody."""
        self.alive = False
        self.go_on()
        tasks, self._tasks = list(self._tasks), {}
        for task in tasks:
            task.cancel()

    def stall(self) -> None:
        self.stalled = True

    def go_on(self) -> None:
        self.stalled = False
        parked, self._parked = self._parked, []
        cast("VirtualLoop", asyncio.get_running_loop()).resume(parked)

    def park(self, step: "_Step") -> None:
        self._parked.append(step)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        if not self.alive:
            task.cancel()
            return
        if len(self._tasks) >= self._prune_at:
            self._tasks = {each: None for each in self._tasks if not each.done()}
            self._prune_at = max(PRUNE_AT_LEAST, 2 * len(self._tasks))
        self._tasks[task] = None


PROCESS: ContextVar[Process] = ContextVar("process")


class _Step:
    """A callback that is to be run; as much of `asyncio.TimerHandle` as is asked of it."""

    __slots__ = ("_args", "_at", "_callback", "_cancelled", "_context", "process")

    def __init__(
        self,
        at: float,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: Context,
    ) -> None:
        self._at = at
        self._callback, self._args, self._context = callback, args, context
        self._cancelled = False
        self.process = context.get(PROCESS)

    def when(self) -> float:
        return self._at

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def run(self) -> None:
        self._context.run(self._callback, *self._args)


class Stuck(Exception):
    """Everybody waits for somebody else."""


class VirtualLoop:
    """What asyncio's tasks, futures and locks ask of a loop; no files, sockets, threads or signals."""

    def __init__(self) -> None:
        self._now = BEGINNING
        self._ready: deque[_Step] = deque()
        self._timers: list[tuple[float, int, _Step]] = []
        self._count = 0
        self._closed = False
        # What nobody caught.
        self._stood_still: set[Process] = set()
        self.errors: list[str] = []
        self.steps = 0

    @property
    def _as_loop(self) -> asyncio.AbstractEventLoop:
        """Asyncio asks a loop for what it needs, and does not look at its class."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        return self._now

    def run(self, work: Coroutine[Any, Any, Result], is_over: Callable[[], bool]) -> Result | None:
        """What comes of `work`; None where it `is_over` before, which is asked after every turn."""
        with self._running():
            task = self.create_task(work)
            try:
                while not task.done() and not is_over():
                    self._turn()
                return task.result() if task.done() else None
            finally:
                self._end_all()

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The loop is the running one, and its time everybody's."""
        real = time.monotonic
        asyncio._set_running_loop(self._as_loop)  # noqa: SLF001  # what a loop is to do, by its documentation
        time.monotonic = self.time
        try:
            yield
        finally:
            time.monotonic = real
            asyncio._set_running_loop(None)  # noqa: SLF001  # see above

    def _end_all(self) -> None:
        """Ends what is still running: nothing of a simulation is left for the next one."""
        self._timers = [timer for timer in self._timers if timer[2].process is not None]
        heapq.heapify(self._timers)
        tasks = asyncio.all_tasks(self._as_loop)
        # Of one that stands still, nothing may be left in the timers.
        for process in {step.process for _, _, step in self._timers if step.process} | self._stood_still:
            process.kill()
        while tasks:
            for task in tasks:
                task.cancel()
            while not all(task.done() for task in tasks):
                self._turn()
            tasks = asyncio.all_tasks(self._as_loop)

    def _turn(self) -> None:
        timers, ready = self._timers, self._ready
        if not ready:
            if not timers:
                raise Stuck("nothing will ever happen any more")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            step = ready.popleft()
            if step.cancelled():
                continue
            process = step.process
            if process is not None and process.stalled:
                process.park(step)
                self._stood_still.add(process)
                continue
            self.steps += 1
            if process is None or process.alive:
                step.run()
            else:
                with suppress(asyncio.CancelledError):
                    step.run()

    def resume(self, steps: list[_Step]) -> None:
        self._ready.extend(steps)

    # --- asked by asyncio -------------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Step:
        step = _Step(self._now, callback, args, context or contextvars.copy_context())
        self._ready.append(step)
        return step

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Step:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Step:
        self._count += 1
        step = _Step(when, callback, args, context or contextvars.copy_context())
        heapq.heappush(self._timers, (when, self._count, step))
        return step

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self._as_loop)

    def create_task(
        self, coro: Coroutine[Any, Any, Result], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[Result]":
        task = asyncio.Task(coro, loop=self._as_loop, name=name, context=context)
        process = context.get(PROCESS) if context is not None else PROCESS.get(None)
        if process is not None:
            process.adopt(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Drops what would still have happened."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")
