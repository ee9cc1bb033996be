"""Starts again what ended by itself: `python -m dev.supervisor DIRECTORY`, which `make up` leaves running.

It is no parent of what it watches: when it ends, nothing else does, and `make up` starts it again. What was
stopped on purpose is not remembered as started, so it is left alone.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dev import logfiles
from dev.interrupts import run
from dev.lock import BusyError, locked
from dev.processes import Processes, Started
from dev.stack import SUPERVISOR, Stack

LOOK_SECONDS: Final = 0.5
# Waited before each start in a row; after the last of them it is given up.
BACK_OFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
# A run of this length was no crash at start: the back-off begins anew.
STEADY_SECONDS: Final = 60.0


@dataclass
class Restarts:
    """Of one process: how often it was started again in a row, and when the next start is due."""

    count: int = 0
    # The run that was started here last; another one is a person's doing, and begins anew.
    own_pid: int | None = None
    handled_pid: int | None = None
    due: float | None = None

    def note_end(self, pid: int, ran: float, now: float) -> float | None:
        """The seconds until the next start after a run of `ran` seconds, or None to give it up."""
        if pid != self.own_pid or ran >= STEADY_SECONDS:
            self.count = 0
        self.handled_pid = pid
        if self.count == len(BACK_OFF_SECONDS):
            self.due = None
            return None
        pause = BACK_OFF_SECONDS[self.count]
        self.count += 1
        self.due = now + pause
        return pause

    def is_due(self, now: float) -> bool:
        return self.due is not None and now >= self.due

    def note_start(self, pid: int) -> None:
        self.own_pid, self.due = pid, None


@dataclass
class Supervisor:
    directory: Path
    _restarts: dict[str, Restarts] = field(default_factory=dict)

    async def work(self) -> None:
        """Until it is stopped, or is the directory's supervisor no more."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            _reap()
            for log in (self.directory / "logs").glob("*.log"):
                logfiles.bound(log)
            processes = Processes(self.directory)
            if not processes.is_known(SUPERVISOR, os.getpid()):
                return  # somebody removed the directory, or has started another supervisor
            for name, started in processes.ended.items():
                if name != SUPERVISOR:
                    self._look_after(name, started, processes.log(name))

    def _look_after(self, name: str, started: Started, log: Path) -> None:
        now = time.monotonic()
        restarts = self._restarts.setdefault(name, Restarts())
        if restarts.handled_pid != started.pid:
            pause = restarts.note_end(started.pid, time.time() - started.created, now)
            logfiles.note(log, *_words(name, pause))
        elif restarts.is_due(now):
            with suppress(BusyError), locked(self.directory):
                self._start(name, started, restarts)

    def _start(self, name: str, ended: Started, restarts: Restarts) -> None:
        """Start it, unless somebody stopped it or started it before the lock was ours."""
        stack = Stack.laid_out_in(self.directory)
        if stack is not None and _is_still(ended, stack.processes.ended.get(name)):
            stack.spawn(name)
            stack.describe()
            restarts.note_start(stack.processes.pid(name))


def _is_still(ended: Started, found: Started | None) -> bool:
    return found is not None and (found.pid, found.created) == (ended.pid, ended.created)


def _words(name: str, pause: float | None) -> tuple[str, str]:
    """What the log says, and at which level."""
    if pause is not None:
        return f"{name} ended by itself: it is started again in {pause:g} s", "warning"
    times = len(BACK_OFF_SECONDS)
    return (
        f"{name} ended by itself after each of {times} starts in a row: it stays down. {_advice(name)}",
        "error",
    )


def _advice(name: str) -> str:
    return f"Its log above says why. When that is fixed: make restart SERVICE={name}"


def _reap() -> None:
    """Let go of ended children: nobody else waits for them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


if __name__ == "__main__":
    sys.exit(run(Supervisor(Path(sys.argv[1])).work()))
