"""Local processes: each leads its own group, writes its own log, and is remembered on disk.

What is remembered outlives the Python process that started it: `down` stops what `up` left running.
"""

import json
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from dev import logfiles
from dev.errors import StackError
from sagactl.polling import NotInTimeError, until

POLL_SECONDS = 0.02


class ProcessEndedError(StackError):
    """A process that should be running has ended; its log says why."""


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    # Linux shares its processors among sessions first, so one of its own is not starved by many others.
    own_session: bool = False


@dataclass(frozen=True)
class Started:
    """A process that was started and not stopped: it runs, or has ended by itself.

    The system reuses process ids; the time of creation (seconds since 1970) tells ours from a stranger.
    """

    pid: int
    created: float
    handle: psutil.Process | None

    @property
    def is_alive(self) -> bool:
        return self.handle is not None and _alive(self.handle)

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL has ended it. What another Python process started tells nobody how it ended."""
        return isinstance(self.handle, psutil.Popen) and self.handle.returncode == -signal.SIGKILL

    @property
    def is_another(self) -> bool:
        """Whether the id belongs to a stranger by now."""
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).create_time() != self.created)
        return False


class Processes:
    def __init__(self, directory: Path) -> None:
        self._logs = directory / "logs"
        self._file = directory / "processes.json"
        self._known: dict[str, Started] = dict(self._remembered())

    def __contains__(self, name: str) -> bool:
        return name in self._known and self._known[name].is_alive

    def __iter__(self) -> Iterator[str]:
        return (name for name in tuple(self._known) if name in self)

    @property
    def started(self) -> Mapping[str, Started]:
        """What was started and not stopped."""
        return dict(self._known)

    @property
    def ended(self) -> Mapping[str, Started]:
        """What was started, was not stopped, and runs no more."""
        return {name: started for name, started in self._known.items() if not started.is_alive}

    def is_known(self, name: str, pid: int) -> bool:
        return name in self._known and self._known[name].pid == pid

    def pid(self, name: str) -> int:
        return self._known[name].pid

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def start(self, program: Program) -> None:
        """Start the program in the background. Raise ValueError if one of its name runs already."""
        if program.name in self:
            raise ValueError(f"{program.name} is already running")
        path = self.log(program.name)
        logfiles.begin(path)
        with path.open("ab") as log:
            handle = psutil.Popen(
                program.command,
                cwd=program.directory,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=program.own_session,
                process_group=None if program.own_session else 0,
            )
        self._known[program.name] = Started(handle.pid, handle.create_time(), handle)
        self._remember()

    def signal(self, name: str, number: signal.Signals) -> None:
        if not self._known[name].is_another:
            with suppress(ProcessLookupError):
                os.killpg(self.pid(name), number)

    def check(self, name: str) -> None:
        if name not in self:
            raise ProcessEndedError(
                f"{name} ended by itself; the end of {self.log(name)}:\n{self._last_lines(name)}"
            )

    async def stop(self, names: Collection[str] | None = None, *, patience: float = 15.0) -> None:
        """SIGTERM to each group; SIGKILL to what is left of it after `patience` seconds."""
        stopping = [name for name in self._known if names is None or name in names]
        for name in stopping:
            if name in self:
                self.signal(name, signal.SIGTERM)
                self.signal(name, signal.SIGCONT)  # a frozen process acts on nothing else
        await self._ended(stopping, patience)
        await self.kill(stopping)

    async def kill(self, names: Collection[str]) -> None:
        """SIGKILL to each group, its leader's children included, and forget it; also when cancelled."""
        for name in names:
            self.signal(name, signal.SIGKILL)
        try:
            await self._ended(names, patience=10.0)
        finally:
            for name in names:
                del self._known[name]
            self._remember()

    async def _ended(self, names: Collection[str], patience: float) -> None:
        async def gone() -> bool:
            return not any(name in self for name in names)

        with suppress(NotInTimeError):
            await until(gone, within=patience, what="the end of processes", every=POLL_SECONDS)

    def _last_lines(self, name: str) -> str:
        return "\n".join([*logfiles.last_run(self.log(name))][-20:])

    def _remember(self) -> None:
        records = {
            name: {"pid": started.pid, "created": started.created} for name, started in self._known.items()
        }
        scratch = self._file.with_suffix(".new")
        scratch.write_text(json.dumps(records, indent=1))
        scratch.replace(self._file)

    def _remembered(self) -> Iterator[tuple[str, Started]]:
        records = json.loads(self._file.read_text()) if self._file.exists() else {}
        for name, record in records.items():
            yield name, Started(record["pid"], record["created"], _ours(record["pid"], record["created"]))


def _ours(pid: int, created: float) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.create_time() == created:
            return process
    return None


def _alive(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen):
        return process.poll() is None  # reaps it
    try:
        # In a container without an init process, another program's child may wait long to be reaped.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
