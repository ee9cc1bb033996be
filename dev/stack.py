"""The stack: servers, then services; for the command line, tests, demo and benchmark alike.

`async with Stack(directory) as stack:` is all there is to it; then `await stack.kill("order")` and so on.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.credentials import Credentials
from dev.files import write_private
from dev.ports import Ports
from dev.processes import Processes, Program
from dev.provisioning import provisions
from dev.readiness import READY_WITHIN_SECONDS, until_ok
from dev.servers import Given, MongoDB, RabbitMQ, Redis, usual_management_url
from dev.services import NAMES, Replica, addresses

PROBE_SECONDS = 0.1
SERVERS = ("mongodb", "epmd", "rabbitmq", "redis")


class NotReadyError(RuntimeError):
    """A process runs and does not become ready."""


class Stack:
    """Servers and services of one directory.

    `settings` are what a user would set in the environment of `make up`, `environments` what single
    services get beside that. With `services=()` there are only the servers.
    """

    mongodb: MongoDB | Given
    rabbitmq: RabbitMQ | Given
    redis: Redis | Given
    replicas: Sequence[Replica] = ()

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = NAMES,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        random_ports: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.processes = Processes(self.directory)
        self.credentials = Credentials.kept_in(self.directory)
        self._settings = {**os.environ, **(settings or {})}
        self._wanted = services
        self._environments = environments or {}
        self._random_ports = random_ports
        self._programs: dict[str, Program] = {}

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    # Where everything is

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
            "admin": self.admin,
            "checker": self.checker,
            "pids": {name: self.processes.pid(name) for name in self.processes},
        }

    # The whole

    async def up(self) -> None:
        """Start all and wait until it is ready; when that fails or is cancelled, leave nothing running."""
        await self.down()  # what an earlier run that was killed left in this directory
        shutil.rmtree(self.directory / "logs", ignore_errors=True)
        self._lay_out(Ports(self._settings, at_random=self._random_ports))
        servers = [p for server in (self.mongodb, self.rabbitmq, self.redis) for p in server.programs()]
        services = [replica.program(self._environment(replica)) for replica in self.replicas]
        needed = provisions(self.mongodb, self.rabbitmq, self.credentials)
        try:
            if not all(each.is_made for each in needed):
                await self._start(servers)
                await asyncio.gather(*(each.ensure() for each in needed))
                servers = []
            await self._start([*servers, *services])
        except BaseException:
            await self.down()
            raise
        write_private(self.directory / "stack.json", json.dumps(self.description(), indent=2) + "\n")

    async def down(self) -> None:
        """Stop the services before their servers; the data stays."""
        await self.processes.stop([name for name in self.processes if name not in SERVERS])
        # A broker that is still starting would replace an epmd that it misses, and leave that behind.
        await self.processes.stop([name for name in self.processes if name != "epmd"])
        await self.processes.stop()
        (self.directory / "stack.json").unlink(missing_ok=True)

    # One of them: "order", "order-2", "mongodb", "rabbitmq", "redis"

    async def start(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        program = self._programs[name]
        changed = replace(program, environment={**program.environment, **(settings or {})})
        await self._start([changed])

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
        self.mongodb = self._mongodb(ports)
        self.rabbitmq = self._rabbitmq(ports)
        self.redis = self._redis(ports)
        self.replicas = [
            Replica(service, number, ports.take(service))
            for service in self._wanted
            for number in range(1, int(self._settings.get(f"REPLICAS_{service.upper()}", "1")) + 1)
        ]

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
            **(
                {f"ADMIN_{key.upper()}": value for key, value in self.admin.items()}
                if service == "auth"
                else {}
            ),
            **self._environments.get(service, {}),
        }

    async def _start(self, programs: Sequence[Program]) -> None:
        for program in programs:
            self._programs[program.name] = program
            self.processes.start(program)
        await asyncio.gather(*(self._until_ready(program.name) for program in programs))

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
        servers = {"mongodb": self.mongodb, "rabbitmq": self.rabbitmq, "redis": self.redis}
        server = servers.get(name)
        if server and not isinstance(server, Given):
            await server.ready()
        for replica in self.replicas:
            if replica.name == name:
                await until_ok(f"{replica.url}/readyz")
