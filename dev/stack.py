"""The stack: servers, then services; for the command line, tests, demo and benchmark alike.

`async with Stack(directory) as stack:` is all there is to it; then `await stack.kill("order")` and so on.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.credentials import Credentials
from dev.files import write_private
from dev.jaeger import Jaeger
from dev.layout import FILE as LAYOUT
from dev.layout import Layout, worth_keeping
from dev.ports import Ports, PortTakenError, is_free
from dev.processes import Processes, Program
from dev.provisioning import provisions
from dev.readiness import READY_WITHIN_SECONDS, until_ok
from dev.servers import Given, MongoDB, RabbitMQ, Redis, usual_management_url
from dev.services import NAMES, REPOSITORY, Replica, addresses, name_of

PROBE_SECONDS = 0.1
SERVERS = ("mongodb", "epmd", "rabbitmq", "redis")
SUPERVISOR = "supervisor"
OUTLIVE_SERVICES = frozenset({*SERVERS, "jaeger"})


class NotReadyError(RuntimeError):
    """A process runs and does not become ready."""


class DirectoryError(ValueError):
    """The stack cannot live in this directory."""


class Stack:
    """Servers and services of one directory.

    `settings` are what a user would set in the environment of `make up`, `environments` what single
    services get beside that. With `services=()` there are only the servers.
    """

    mongodb: MongoDB | Given
    rabbitmq: RabbitMQ | Given
    redis: Redis | Given
    jaeger: Jaeger | None = None
    replicas: Sequence[Replica] = ()
    ports: Ports

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = NAMES,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        random_ports: bool = True,
        jaeger: Path | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.processes = Processes(self.directory)
        self.credentials = Credentials.kept_in(self.directory)
        self._settings = {**os.environ, **(settings or {})}
        self._wanted = services
        self._environments = {service: dict(more) for service, more in (environments or {}).items()}
        self._random_ports = random_ports
        self._jaeger = jaeger
        self._programs: dict[str, Program] = {}

    @classmethod
    def laid_out_in(cls, directory: Path) -> Self | None:
        """The stack that was started in the directory, by whatever process, and not stopped."""
        layout = Layout.kept_in(directory)
        if layout is None:
            return None
        others = {
            name: value for name, value in os.environ.items() if name not in worth_keeping(os.environ, NAMES)
        }
        stack = cls(
            directory,
            services=layout.services,
            environments=layout.environments,
            jaeger=Path(layout.jaeger) if layout.jaeger else None,
        )
        stack._settings = {**others, **layout.settings}
        stack._lay_out(Ports(stack._settings, at_random=layout.random_ports, kept=layout.ports))
        return stack

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    # What was asked for

    @property
    def wanted(self) -> Sequence[str]:
        return self._wanted

    @property
    def programs(self) -> Collection[str]:
        """The names of all its processes, whether they run or not."""
        return self._programs.keys()

    def setting(self, service: str | None, name: str) -> str | None:
        """What all services get under this name, or what this one does."""
        own = self._environments.get(service, {}) if service else {}
        return own.get(name, self._settings.get(name))

    # Where everything is

    @property
    def seed_mark(self) -> Path:
        """Says that the shop was filled: beside the data where that is ours, to go with it."""
        beside = self.mongodb.directory if isinstance(self.mongodb, MongoDB) else self.directory
        return beside / "seeded.json"

    @property
    def services(self) -> Mapping[str, str]:
        return {replica.service: replica.url for replica in self.replicas if replica.number == 1}

    @property
    def gateway(self) -> str:
        return self.services["gateway"]

    @property
    def admin(self) -> Mapping[str, str]:
        return {
            "email": self._settings.get("ADMIN_EMAIL", self.credentials.admin_email),
            "password": self._settings.get("ADMIN_PASSWORD", self.credentials.admin_password),
        }

    @property
    def customer(self) -> Mapping[str, str]:
        """Of the small shop that `make up` fills; elsewhere there is no such account."""
        return {"email": self.credentials.customer_email, "password": self.credentials.customer_password}

    @property
    def checker(self) -> Mapping[str, str]:
        """The URLs of `sagactl`: reads every database, redrives dead letters, changes nothing else."""
        password = self.credentials.users["sagactl"]
        return {
            "mongodbUrl": self.mongodb.url_of("sagactl", password),
            "amqpUrl": self.rabbitmq.url_of("sagactl", password),
            "managementUrl": self.rabbitmq.management_url_of("sagactl", password),
        }

    def description(self) -> dict[str, Any]:
        """The content of stack.json: addresses and credentials, for tools and for people."""
        return {
            **({"gateway": self.gateway} if "gateway" in self.services else {}),
            "services": self.services,
            "replicas": {replica.name: replica.url for replica in self.replicas},
            "mongodbUrl": self.mongodb.url,
            "amqpUrl": self.rabbitmq.url,
            "managementUrl": self.rabbitmq.management_url,
            "redisUrl": self.redis.url,
            **({"jaeger": self.jaeger.url} if self.jaeger else {}),
            "admin": self.admin,
            "customer": self.customer,
            "checker": self.checker,
            "pids": {name: self.processes.pid(name) for name in self.processes},
        }

    # The whole

    async def up(self) -> None:
        """Start all and wait until it is ready; when that fails or is cancelled, leave nothing running."""
        await self.down()  # what an earlier run that was killed left in this directory
        self._lay_out(Ports(self._settings, at_random=self._random_ports))
        try:
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
        servers = [program for program in missing if program.name in SERVERS]
        needed = provisions(self.mongodb, self.rabbitmq, self.credentials)
        if not all(each.is_made for each in needed):
            await self._start(servers)
            await self._all_ready(name for name in self._programs if name in SERVERS)
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
        await self.processes.stop([name for name in self.processes if name not in OUTLIVE_SERVICES])
        # A broker that is still starting would replace an epmd that it misses, and leave that behind.
        await self.processes.stop([name for name in self.processes if name != "epmd"])
        await self.processes.stop()
        for file in ("stack.json", LAYOUT):
            (self.directory / file).unlink(missing_ok=True)
        return running

    def describe(self) -> None:
        """Write stack.json."""
        write_private(self.directory / "stack.json", json.dumps(self.description(), indent=2) + "\n")

    async def trace(self, jaeger: Path) -> Sequence[str]:
        """Start Jaeger beside what runs, and the services again, with their traces going there."""
        self._jaeger = jaeger
        self._lay_out(self.ports)
        await self.processes.stop([replica.name for replica in self.replicas])
        return await self.complete()

    # One of them: "order", "order-2", "mongodb", "rabbitmq", "redis"

    async def start(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        program = self._programs[name]
        changed = replace(program, environment={**program.environment, **(settings or {})})
        await self._start([changed])

    def spawn(self, name: str) -> None:
        """Start it, and do not wait until it is ready."""
        self._spawn([self._programs[name]])

    def change(self, service: str, settings: Mapping[str, str]) -> None:
        """What the service gets from its next start on, beside what all get."""
        self._environments.setdefault(service, {}).update(settings)
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

    def _lay_out(self, ports: Ports) -> None:
        self.ports = ports
        self.mongodb = self._mongodb(ports)
        self.rabbitmq = self._rabbitmq(ports)
        self.redis = self._redis(ports)
        self.jaeger = self._traces(ports)
        replicas = [
            (service, number)
            for service in self._wanted
            for number in range(1, int(self._settings.get(f"REPLICAS_{service.upper()}", "1")) + 1)
        ]
        self.replicas = [
            Replica(service, number, ports.take(name_of(service, number))) for service, number in replicas
        ]
        servers = (self.mongodb, self.rabbitmq, self.redis, *([self.jaeger] if self.jaeger else []))
        programs = [
            *(program for server in servers for program in server.programs()),
            *(replica.program(self._environment(replica)) for replica in self.replicas),
        ]
        self._programs = {program.name: program for program in programs}

    def _keep_layout(self) -> None:
        Layout(
            services=self._wanted,
            ports=self.ports.given,
            random_ports=self._random_ports,
            settings=worth_keeping(self._settings, NAMES),
            environments=self._environments,
            jaeger=str(self._jaeger) if self._jaeger else None,
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

    def _traces(self, ports: Ports) -> Jaeger | None:
        if self._jaeger is None:
            return None
        names = ("jaeger", "jaeger-grpc", "otlp")
        return Jaeger(self.directory / "jaeger", self._jaeger, *map(ports.take, names))

    def _mongodb(self, ports: Ports) -> MongoDB | Given:
        if url := self._settings.get("MONGODB_URL"):
            return Given(url)
        credentials = self.credentials
        return MongoDB(
            self.directory / "mongodb", ports.take("mongodb"), credentials.root, credentials.mongodb_key
        )

    def _rabbitmq(self, ports: Ports) -> RabbitMQ | Given:
        if url := self._settings.get("AMQP_URL"):
            return Given(url, self._settings.get("RABBITMQ_MANAGEMENT_URL") or usual_management_url(url))
        if set(str(self.directory)) & {'"', "'"}:
            # It asks `df` how much room is left there, through a shell, and does not escape the path.
            raise DirectoryError(
                f"RabbitMQ does not start below {self.directory}: choose a path without quotation marks"
            )
        names = ("rabbitmq", "management", "distribution", "epmd")
        return RabbitMQ(self.directory / "rabbitmq", self.credentials.root, *map(ports.take, names))

    def _redis(self, ports: Ports) -> Redis | Given:
        if url := self._settings.get("REDIS_URL"):
            return Given(url)
        return Redis(self.directory / "redis", ports.take("redis"), self.credentials.root)

    def _environment(self, replica: Replica) -> Mapping[str, str]:
        """Pass the settings on, and say where everything is and who the service is there."""
        service, password = replica.service, self.credentials.users.get(replica.service, "")
        return {
            **self._settings,
            **addresses(self.replicas),
            "MONGODB_URL": self.mongodb.url_of(service, password),
            "AMQP_URL": self.rabbitmq.url_of(service, password),
            "REDIS_URL": self.redis.url,
            **({"OTEL_EXPORTER_OTLP_ENDPOINT": self.jaeger.otlp_url} if self.jaeger else {}),
            **(
                {f"ADMIN_{key.upper()}": value for key, value in self.admin.items()}
                if service == "auth"
                else {}
            ),
            **self._environments.get(service, {}),
        }

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
        }
        server = servers.get(name)
        if server and not isinstance(server, Given):
            await server.ready()
        for replica in self.replicas:
            if replica.name == name:
                await until_ok(f"{replica.url}/readyz")
