"""The stack: servers, then services; for the command line, tests, demo and benchmark alike.

`async with Stack(directory) as stack:` is all there is to it; then `await stack.kill("order")` and so on.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.errors import StackError
from dev.files import write_private
from dev.given import check_own
from dev.layout import FILE as LAYOUT
from dev.layout import Layout, readable, worth_keeping
from dev.plan import Plan
from dev.ports import Ports, PortTakenError, is_free
from dev.processes import Processes, Program
from dev.provisioning import provisions
from dev.readiness import READY_WITHIN_SECONDS, until_ok
from dev.servers import Given
from dev.services import KNOWN, NAMES, REPOSITORY, unnumbered

PROBE_SECONDS = 0.1
SERVERS = ("mongodb", "epmd", "rabbitmq", "redis")
SUPERVISOR = "supervisor"
OUTLIVE_SERVICES = frozenset({*SERVERS, "jaeger", "mailbox"})


class NotReadyError(StackError):
    """A process runs and does not become ready."""


class Stack(Plan):
    """Servers and services of one directory.

    `settings` are what a user would set in the environment of `make up`, `environments` what single
    services get beside that. With `services=()` there are only the servers; with `mailbox` mail is sent, and
    ends there. `tree` is the directory whose code the services run.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = NAMES,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        random_ports: bool = True,
        jaeger: Path | None = None,
        mailbox: bool = False,
        tree: Path = REPOSITORY,
    ) -> None:
        super().__init__(
            directory,
            {**os.environ, **(settings or {})},
            services,
            environments or {},
            jaeger,
            with_mailbox=mailbox,
            tree=tree,
        )
        self.processes = Processes(self.directory)
        self._random_ports = random_ports

    @classmethod
    def laid_out_in(cls, directory: Path) -> Self | None:
        """The stack that was started in the directory, by whatever process, and not stopped."""
        layout = Layout.kept_in(directory)
        if layout is None:
            return None
        others = {
            name: value for name, value in os.environ.items() if name not in worth_keeping(os.environ, KNOWN)
        }
        stack = cls(
            directory,
            services=layout.services,
            environments=layout.environments,
            random_ports=layout.random_ports,
            jaeger=Path(layout.jaeger) if layout.jaeger else None,
            mailbox=layout.mailbox,
        )
        stack._settings = {**others, **layout.settings}
        with Ports(stack._settings, at_random=layout.random_ports, kept=layout.ports) as ports:
            stack._lay_out(ports)
        return stack

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    # The whole

    async def up(self) -> None:
        """Start all and wait until it is ready; when that fails or is cancelled, leave nothing running."""
        check_own(self._settings)
        await self.down()  # what an earlier run that was killed left in this directory
        try:
            with Ports(self._settings, at_random=self._random_ports) as ports:
                self._lay_out(ports)
                self.check({})
                await self.complete()
        except BaseException:
            await self.down()
            raise

    async def complete(self) -> Sequence[str]:
        """Start what does not run, and wait until all is ready. Returns what was started.

        Raises PortTakenError where a port of the stack has another user by now.
        """
        missing = [program for program in self._programs.values() if program.name not in self.processes]
        self._check_ports(missing)
        self._keep_layout()
        servers = [program for program in missing if unnumbered(program.name) in SERVERS]
        needed = provisions(self.mongodb, self.rabbitmq, self.credentials, self._wanted)
        if not all(each.is_made for each in needed):
            await self._start(servers)
            await self._all_ready(name for name in self._programs if unnumbered(name) in SERVERS)
            await asyncio.gather(*(each.ensure() for each in needed))
        self._spawn(program for program in missing if program.name not in self.processes)
        await self._all_ready(self._programs)
        self.describe()
        return [program.name for program in missing]

    def supervise(self) -> bool:
        """Have another process start again what ends by itself. Returns False where one does so already."""
        if SUPERVISOR in self.processes:
            return False
        command = [sys.executable, "-m", "dev.supervisor", str(self.directory)]
        self.processes.start(Program(SUPERVISOR, command, self._settings, REPOSITORY))
        self.describe()
        return True

    async def down(self) -> Sequence[str]:
        """Stop the services before their servers; the data stays. Returns what was stopped."""
        running = [*self.processes]
        await self.processes.stop([SUPERVISOR])
        await self.processes.stop(
            [name for name in self.processes if unnumbered(name) not in OUTLIVE_SERVICES]
        )
        # A broker that is still starting would replace an epmd that it misses, and leave that behind.
        await self.processes.stop([name for name in self.processes if name != "epmd"])
        await self.processes.stop()
        for file in ("stack.json", LAYOUT):
            (self.directory / file).unlink(missing_ok=True)
        return running

    def describe(self) -> None:
        """Write stack.json."""
        pids = {name: self.processes.pid(name) for name in self.processes}
        write_private(self.directory / "stack.json", json.dumps(self.description(pids), indent=2) + "\n")

    async def trace(self, jaeger: Path) -> Sequence[str]:
        """Start Jaeger beside what runs, and the services again, with their traces going there."""
        self._jaeger = jaeger
        with self.ports:
            self._lay_out(self.ports)
            await self.processes.stop([replica.name for replica in self.replicas])
            return await self.complete()

    async def run(self, services: Sequence[str]) -> None:
        """Run these services and no others: what is missing is started, what is too much is ended."""
        self._wanted = services
        with self.ports:
            self._lay_out(self.ports)
            await self.processes.stop([name for name in self.processes if name not in self._programs])
            await self.complete()

    # One of them: "order", "order-2", "mongodb", "rabbitmq", "redis"

    async def start(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        program = self._programs[name]
        changed = replace(program, environment={**program.environment, **(settings or {})})
        await self._start([changed])

    def move(self, name: str, tree: Path) -> None:
        """From its next start on, a replica runs the code of that directory."""
        (replica,) = (each for each in self.replicas if each.name == name)
        self._programs[name] = replica.program(self._environment(replica), tree)

    def spawn(self, name: str) -> None:
        """Start it, and do not wait until it is ready."""
        self._spawn([self._programs[name]])

    @contextmanager
    def changed(self, service: str, settings: Mapping[str, str]) -> Iterator[None]:
        """What the service gets from its next start on, beside what all get; taken back if that fails."""
        if not settings:
            yield
            return
        former = self._environments
        self._set_environments({**former, service: {**former.get(service, {}), **settings}})
        try:
            yield
        except BaseException:
            self._set_environments(former)
            raise

    def _set_environments(self, environments: dict[str, dict[str, str]]) -> None:
        self._environments = environments
        self._lay_out(self.ports)
        self._keep_layout()

    async def stop(self, name: str) -> None:
        await self.processes.stop([name])

    async def kill(self, name: str) -> None:
        await self.processes.kill([name])

    async def restart(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        await self.stop(name)
        await self.start(name, settings)

    def pause(self, name: str) -> None:
        """Freeze it: it keeps its connections and answers nothing, until `resume`."""
        self.processes.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes.signal(name, signal.SIGCONT)

    # How

    def _keep_layout(self) -> None:
        Layout(
            services=self._wanted,
            ports=self.ports.given,
            random_ports=self._random_ports,
            settings=worth_keeping(self._settings, KNOWN),
            readable=sorted(readable(KNOWN)),
            environments=self._environments,
            jaeger=str(self._jaeger) if self._jaeger else None,
            mailbox=self._with_mailbox,
        ).keep_in(self.directory)

    def _check_ports(self, missing: Sequence[Program]) -> None:
        taken = {
            name: self.ports.given[name]
            for name in (program.name for program in missing)
            if name in self.ports.given and not is_free(self.ports.given[name])
        }
        if taken:
            where = ", ".join(f"{port} ({name})" for name, port in taken.items())
            raise PortTakenError(
                f"in use by other programs by now: {where}; `make down`, then `make up` takes others"
            )

    async def _start(self, programs: Sequence[Program]) -> None:
        self._spawn(programs)
        await self._all_ready(program.name for program in programs)

    def _spawn(self, programs: Iterable[Program]) -> None:
        for program in programs:
            self._programs[program.name] = program
            self.processes.start(program)

    async def _all_ready(self, names: Iterable[str]) -> None:
        await asyncio.gather(*(self._until_ready(name) for name in tuple(names)))

    async def _until_ready(self, name: str) -> None:
        """Fail at once when the process ends, and in the end when it never gets ready."""
        readiness = asyncio.ensure_future(self._readiness(name))
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                while not readiness.done():
                    self.processes.check(name)
                    await asyncio.wait([readiness], timeout=PROBE_SECONDS)
                await readiness
        except TimeoutError:
            raise NotReadyError(
                f"{name} was not ready after {READY_WITHIN_SECONDS:.0f} s: {self.processes.log(name)}"
            ) from None
        finally:
            readiness.cancel()

    async def _readiness(self, name: str) -> None:
        servers = {
            "mongodb": self.mongodb,
            "rabbitmq": self.rabbitmq,
            "redis": self.redis,
            "jaeger": self.jaeger,
            "mailbox": self.mailbox,
        }
        server = servers.get(name)  # the first member of a set: it is ready when all of them are
        if server and not isinstance(server, Given):
            await server.ready()
        for replica in self.replicas:
            if replica.name == name:
                await until_ok(f"{replica.url}/readyz")
