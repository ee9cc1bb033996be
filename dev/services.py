"""How each service starts here: a process of its own, told by its environment where everything is."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.ports import OPTIONAL, SERVICES
from dev.processes import Program

NAMES = tuple(SERVICES)
CONSOLE = "console"
# What runs for whoever tries the shop; tests and benchmarks have no use for pages.
ALL = (*NAMES, CONSOLE)
# All that there is to be run.
KNOWN = (*ALL, *OPTIONAL)
YES = frozenset({"true", "yes", "1"})
NO = frozenset({"false", "no", "0"})
REPOSITORY = Path(__file__).parent.parent


def wanted(environment: Mapping[str, str]) -> Sequence[str]:
    """What runs for whoever tries the shop, as they say: FULFILMENT=true runs that service, too."""
    return (*ALL, *(name for name in OPTIONAL if environment.get(name.upper(), "").lower() in YES))


def package_of(service: str) -> str:
    """The console stands above the services, and is no package among theirs."""
    return service if service == CONSOLE else f"services.{service}"


def name_of(service: str, number: int) -> str:
    return service if number == 1 else f"{service}-{number}"


def unnumbered(name: str) -> str:
    """What a process is one of: `order` of order-2, as of order itself."""
    return name.partition("-")[0]


@dataclass(frozen=True)
class Replica:
    """One process of a service; the second one of order is called order-2."""

    service: str
    number: int
    port: int
    by_tls: bool = False

    @property
    def name(self) -> str:
        return name_of(self.service, self.number)

    @property
    def url(self) -> str:
        return f"{'https' if self.by_tls else 'http'}://127.0.0.1:{self.port}"

    def program(self, environment: Mapping[str, str], tree: Path = REPOSITORY) -> Program:
        """`tree`: the directory whose code it runs."""
        command = [sys.executable, "-m", f"{package_of(self.service)}.main"]
        own = {
            "HOST": environment.get("STACK_HOST", "127.0.0.1"),
            "PORT": str(self.port),
            "MONGODB_DATABASE": self.service,
            "LOG_FORMAT": "json",  # `make logs` shows it in columns
            # The directory that it starts in is looked at too late: after what Python loads before it.
            "PYTHONPATH": ":".join([str(tree), *filter(None, [environment.get("PYTHONPATH")])]),
        }
        return Program(self.name, command, {**environment, **own}, tree)


def addresses(replicas: Sequence[Replica]) -> Mapping[str, str]:
    """Where the services find each other: at each one's first replica."""
    urls = {replica.service: replica.url for replica in replicas if replica.number == 1}
    found = {f"{service.upper()}_URL": url for service, url in urls.items()}
    return found | ({"JWKS_URL": f"{urls['auth']}/.well-known/jwks.json"} if "auth" in urls else {})
