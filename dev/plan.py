"""What a stack consists of: its servers and services, where they listen, and what each of them is told."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.credentials import Credentials
from dev.errors import StackError
from dev.given import IDENTITY, refuse, replicas_of, settings_of
from dev.jaeger import Jaeger
from dev.mailbox import Mailbox
from dev.ports import Ports
from dev.processes import Program
from dev.seed import Seeded
from dev.servers import Given, MongoDB, RabbitMQ, Redis, usual_management_url
from dev.services import CONSOLE, Replica, addresses, name_of
from services.shared.tls import Identity

# What a shop on one machine is for: orders are paid for nothing, and cards do as they are told.
PLAYED = {"PAYMENT_GATEWAY": "mock", "PAYMENT_TEST_TOKENS": "true"}

# Those that write to customers.
WRITERS = frozenset({"auth", "notification"})


class DirectoryError(StackError):
    """The stack cannot live in this directory."""


class Plan:
    """It follows from the settings, the credentials in the directory, and the ports that are taken."""

    mongodb: MongoDB | Given
    rabbitmq: RabbitMQ | Given
    redis: Redis | Given
    jaeger: Jaeger | None = None
    mailbox: Mailbox | None = None
    replicas: Sequence[Replica] = ()
    ports: Ports

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        services: Sequence[str],
        environments: Mapping[str, Mapping[str, str]],
        jaeger: Path | None,
        *,
        with_mailbox: bool,
        tree: Path,
    ) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.credentials = Credentials.kept_in(self.directory)
        self._settings = settings
        self._wanted = services
        self._environments = {service: dict(more) for service, more in environments.items()}
        self._jaeger = jaeger
        self._tree = tree
        # Who brings a mail server needs none of ours.
        needed = bool(WRITERS & set(services)) and not settings.get("SMTP_URL")
        self._with_mailbox = with_mailbox and needed
        self._programs: dict[str, Program] = {}

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

    def check(self, given: Mapping[str, str], services: Collection[str] | None = None) -> None:
        """Raises SettingError where one of the services, or of all, would not start with what is given to it
        beside what it has.
        """
        refuse(
            sentence
            for replica in self.replicas
            if replica.number == 1 and (services is None or replica.service in services)
            for sentence in settings_of(replica.service).wrong_in(
                replica.program({**self._environment(replica), **given}).environment
            )
        )

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
        """The URLs of `sagactl`: reads all but `auth`, redrives dead letters, erases customers, no more."""
        password = self.credentials.users["sagactl"]
        return {
            "mongodbUrl": self.mongodb.url_of("sagactl", password),
            "amqpUrl": self.rabbitmq.url_of("sagactl", password),
            "managementUrl": self.rabbitmq.management_url_of("sagactl", password),
        }

    def description(self, pids: Mapping[str, int]) -> dict[str, Any]:
        """The content of stack.json: addresses and credentials, for tools and for people."""
        seeded = Seeded.kept_in(self.seed_mark)
        return {
            **({"gateway": self.gateway} if "gateway" in self.services else {}),
            "services": self.services,
            "replicas": {replica.name: replica.url for replica in self.replicas},
            "mongodbUrl": self.mongodb.url,
            "amqpUrl": self.rabbitmq.url,
            "managementUrl": self.rabbitmq.management_url,
            "redisUrl": self.redis.url,
            **({"jaeger": self.jaeger.url} if self.jaeger else {}),
            **({"mails": str(self.mailbox.folder)} if self.mailbox else {}),
            "admin": self.admin,
            "customer": self.customer,
            "checker": self.checker,
            **({"orders": seeded.orders} if seeded else {}),
            "pids": pids,
        }

    # How

    def _lay_out(self, ports: Ports) -> None:
        self.ports = ports
        self.mongodb = self._mongodb(ports)
        self.rabbitmq = self._rabbitmq(ports)
        self.redis = self._redis(ports)
        self.jaeger = self._traces(ports)
        self.mailbox = (
            Mailbox(self.directory / "mails", ports.take("mailbox")) if self._with_mailbox else None
        )
        replicas = [(service, number) for service in self._wanted for number in self._numbers(service)]
        self.replicas = [
            Replica(service, number, ports.take(name_of(service, number)), self._identity is not None)
            for service, number in replicas
        ]
        beside = [each for each in (self.jaeger, self.mailbox) if each is not None]
        servers = (self.mongodb, self.rabbitmq, self.redis, *beside)
        programs = [
            *(program for server in servers for program in server.programs()),
            *(replica.program(self._environment(replica), self._tree) for replica in self.replicas),
        ]
        self._programs = {program.name: program for program in programs}

    def _numbers(self, program: str) -> Sequence[int]:
        """Of its replicas, or of the members of its set."""
        return range(1, int(self._settings.get(replicas_of(program), "1")) + 1)

    def _traces(self, ports: Ports) -> Jaeger | None:
        if self._jaeger is None:
            return None
        names = ("jaeger", "jaeger-grpc", "otlp")
        return Jaeger(self.directory / "jaeger", self._jaeger, *map(ports.take, names))

    def _mailing(self, service: str) -> Mapping[str, str]:
        if service not in WRITERS or self.mailbox is None:
            return {}
        return {"SMTP_URL": self.mailbox.url, "MAIL_FROM": "sagashop <orders@shop.example>"}

    def _webhooks(self, service: str) -> Mapping[str, str]:
        """To receivers of this machine, too."""
        if service != "notification":
            return {}
        return {"WEBHOOKS_KEY": self.credentials.webhooks_key, "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8,::1"}

    def _managing(self, service: str, password: str) -> Mapping[str, str]:
        if service != CONSOLE:
            return {}
        return {"MANAGEMENT_URL": self.rabbitmq.management_url_of(service, password)}

    @property
    def _identity(self) -> Identity | None:
        """Of the servers and of all services alike: with it the whole shop is reached by TLS."""
        certificate, key = map(self._settings.get, IDENTITY)
        return Identity(Path(certificate).resolve(), Path(key).resolve()) if certificate and key else None

    def _mongodb(self, ports: Ports) -> MongoDB | Given:
        if url := self._settings.get("MONGODB_URL"):
            return Given(url)
        return MongoDB(
            self.directory / "mongodb",
            [ports.take(name_of("mongodb", number)) for number in self._numbers("mongodb")],
            self.credentials.root,
            self.credentials.mongodb_key,
            self._identity,
        )

    def _rabbitmq(self, ports: Ports) -> RabbitMQ | Given:
        if url := self._settings.get("AMQP_URL"):
            return Given(url, self._settings.get("RABBITMQ_MANAGEMENT_URL") or usual_management_url(url))
        if set(str(self.directory)) & {'"', "'"}:
            # It asks `df` how much room is left there, through a shell, and does not escape the path.
            raise DirectoryError(
                f"RabbitMQ does not start below {self.directory}: choose a path without quotation marks"
            )
        return RabbitMQ(
            self.directory / "rabbitmq",
            self.credentials.root,
            port=ports.take("rabbitmq"),
            management_port=ports.take("management"),
            distribution_port=ports.take("distribution"),
            epmd_port=ports.take("epmd"),
            metrics_port=ports.take("broker-metrics"),
            identity=self._identity,
        )

    def _redis(self, ports: Ports) -> Redis | Given:
        if url := self._settings.get("REDIS_URL"):
            return Given(url)
        users = self.credentials.users
        port = ports.take("redis")
        return Redis(self.directory / "redis", port, self.credentials.root, users, self._identity)

    def _environment(self, replica: Replica) -> Mapping[str, str]:
        """Pass the settings on, and say where everything is and who the service is there."""
        service, password = replica.service, self.credentials.users.get(replica.service, "")
        return {
            # Whoever works on a web page at another port of this machine.
            "CORS_ORIGINS": "*",
            **(PLAYED if service == "payment" else {}),
            **({"SECRETS_KEY": self.credentials.secrets_key} if service == "auth" else {}),
            **self._mailing(service),
            **self._webhooks(service),
            **self._managing(service, password),
            **self._settings,
            **addresses(self.replicas),
            "MONGODB_URL": self.mongodb.url_of(service, password),
            "AMQP_URL": self.rabbitmq.url_of(service, password),
            "REDIS_URL": self.redis.url_of(service, password),
            **({"OTEL_EXPORTER_OTLP_ENDPOINT": self.jaeger.otlp_url} if self.jaeger else {}),
            **(
                {f"ADMIN_{key.upper()}": value for key, value in self.admin.items()}
                if service == "auth"
                else {}
            ),
            **self._environments.get(service, {}),
        }
