"""What a stack was started with, for those who start parts of it later: `make restart`, the supervisor.

Of the environment it keeps only what the stack and its services read: the rest is the user's own.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from dev.files import write_private
from dev.given import IDENTITY, settings_of
from dev.ports import variable

SERVERS_OF_ONES_OWN = ("MONGODB_URL", "AMQP_URL", "RABBITMQ_MANAGEMENT_URL", "REDIS_URL", "SMTP_URL")
# Of OpenTelemetry, and how many processes a service has.
PREFIXES = ("OTEL_", "REPLICAS_")
# Not where something of the stack is, but where customers are led to.
PAGES = frozenset({"VERIFY_URL", "RESET_URL"})
FILE = "layout.json"


@dataclass(frozen=True)
class Layout:
    """`settings` as they were given, `ports` as they were taken; `jaeger` is the program of that name.

    `environments` are what single services were restarted with, beside the settings; `readable` are the names
    of all settings that there are.
    """

    services: Sequence[str]
    ports: Mapping[str, int]
    random_ports: bool
    settings: Mapping[str, str]
    readable: Sequence[str]
    environments: Mapping[str, Mapping[str, str]]
    jaeger: str | None = None
    # Whether it has a mailbox, in which all mail ends.
    mailbox: bool = False

    @classmethod
    def kept_in(cls, directory: Path) -> Self | None:
        file = directory / FILE
        return cls(**json.loads(file.read_text())) if file.exists() else None

    def differing(self, environment: Mapping[str, str]) -> list[str]:
        """The settings that the environment gives, and that the stack was started without or with others."""
        settings = sorted(
            name
            for name, value in environment.items()
            if (name in self.readable or name.startswith(PREFIXES)) and self.settings.get(name) != value
        )
        ports = sorted(
            variable(name)
            for name, port in self.ports.items()
            if environment.get(variable(name)) not in {None, "", str(port)}
        )
        return settings + ports

    def keep_in(self, directory: Path) -> None:
        write_private(directory / FILE, json.dumps(asdict(self), indent=1) + "\n")


def changeable(services: Sequence[str]) -> frozenset[str]:
    """The variables that a service may be restarted with: what it reads, but for where everything is."""
    names = {name.upper() for service in services for name in _fields_of(service)}
    stays = {"HOST", "PORT", "MONGODB_DATABASE", *IDENTITY}
    return frozenset(name for name in names if name in PAGES or not (name.endswith("_URL") or name in stays))


def readable(services: Sequence[str]) -> frozenset[str]:
    """The variables that the stack or one of these services reads."""
    return changeable(services) | {*SERVERS_OF_ONES_OWN, *IDENTITY, "STACK_HOST", "SECRETS_DIR"}


def worth_keeping(settings: Mapping[str, str], services: Sequence[str]) -> Mapping[str, str]:
    """Of all settings, those that the stack or one of these services reads."""
    names = readable(services)
    return {name: value for name, value in settings.items() if name in names or name.startswith(PREFIXES)}


def _fields_of(service: str) -> Collection[str]:
    return settings_of(service).model_fields.keys()
