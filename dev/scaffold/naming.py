"""What a new service is called, in all the forms that its name takes."""

import builtins
import re
import tomllib
from dataclasses import dataclass
from itertools import count
from keyword import iskeyword
from pathlib import Path
from typing import Final

import yaml

from dev.ports import DEFAULTS, SERVICES
from services.shared.contract.events import CONSUMES, PUBLISHES

VALUES: Final = "charts/sagashop/values.yaml"
USERS: Final = "charts/redis/users.acl"
# A folder, a class, a chart, a database, a user and a queue are called by it.
FORM: Final = re.compile(r"[a-z]{3,20}")
OURS: Final = frozenset({"operator", "sagactl", "service", "services", "shared", "template"})
MONGODBS_OWN: Final = frozenset({"admin", "config", "local"})


class NotANameError(ValueError):
    """No service can be called so. The text says why, and what to give instead."""


@dataclass(frozen=True)
class Name:
    name: str
    port: int
    # Of the shop, which a new chart has, too.
    version: str

    @property
    def title(self) -> str:
        """As classes begin."""
        return self.name.capitalize()

    @property
    def upper(self) -> str:
        """As constants, and types of events, begin."""
        return self.name.upper()

    def forms(self) -> dict[str, str | int]:
        """What templates may write."""
        return {
            "name": self.name,
            "title": self.title,
            "upper": self.upper,
            "port": self.port,
            "version": self.version,
        }


def named(text: str, root: Path) -> Name:
    """Raises NotANameError, with a sentence."""
    if not FORM.fullmatch(text) or iskeyword(text):
        raise NotANameError(
            f"{text!r} is no name of a service: give one word of 3 to 20 small letters, such as loyalty"
        )
    if taken := _taken(text, root):
        raise NotANameError(f"{text} is taken, by {taken}: give another name")
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return Name(text, _next_port(), project["version"])


def _next_port() -> int:
    """After those of the services that there are, where nothing else of a stack is."""
    taken = {*DEFAULTS.values()}
    return next(port for port in count(max(SERVICES.values()) + 1) if port not in taken)


def _taken(name: str, root: Path) -> str | None:
    queues = {queue for owned in CONSUMES.values() for queue in owned}
    types = {event.type for published in PUBLISHES.values() for event in published}
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    holders = {
        "a service": name in SERVICES or (root / "services" / name).exists(),
        "a chart": (root / "charts" / name).exists(),
        "a part of the stack": name in DEFAULTS or name in OURS,
        "a queue": name in queues,
        "the event of that name": f"{name.upper()}_RECORDED" in types,
        "a group of dependencies in pyproject.toml": name in groups,
        "a value of charts/sagashop": name in yaml.safe_load((root / VALUES).read_text()),
        "a database of MongoDB's own": name in MONGODBS_OWN,
        "a user of Redis": name in _users(root),
        "Python": hasattr(builtins, name),
        "a folder of tests": (root / "tests/unit" / name).exists(),
    }
    return next((holder for holder, holds in holders.items() if holds), None)


def _users(root: Path) -> set[str]:
    """Of Redis, which has one by itself."""
    lines = (root / USERS).read_text().splitlines()
    return {"default", *(line.split()[0] for line in lines if not line.startswith("#"))}
