"""Ports: the design's own, or the next free one; random ones for stacks side by side.

A port that was found free is taken later, by the program that is started there. Until then it is claimed, by
a socket of that name in Linux's abstract namespace: two stacks that start at once never choose the same.
"""

import random
import socket
from collections.abc import Iterable, Mapping
from typing import Self

from dev.errors import StackError

# The services of a stack, in the order in which they are started.
SERVICES = {
    "auth": 3001,
    "order": 3002,
    "product": 3004,
    "inventory": 3005,
    "payment": 3006,
    "notification": 3007,
    "gateway": 3003,
}
# Those that a shop may do without.
OPTIONAL = {"fulfilment": 3009}
DEFAULTS = {
    **SERVICES,
    **OPTIONAL,
    "console": 3008,
    "mongodb": 27017,
    "rabbitmq": 5672,
    "management": 15672,
    "distribution": 25672,
    "epmd": 4369,
    "broker-metrics": 15692,
    "redis": 6379,
    "mailbox": 2525,
    "jaeger": 16686,
    "otlp": 4318,
}
# Below Linux's range for outgoing connections, so that no client can sit on a port that was just found free,
# and below node ports: a cluster on this machine refuses those of Services without pods, on all addresses.
RANDOM_RANGE = range(10_000, 30_000)
LARGEST = 65_535


class PortTakenError(StackError):
    """The port that was asked for by name is in use."""


class Ports:
    """Hands out each port once; `PORT_GATEWAY=8080` in the settings asks for one by name.

    `kept` are those that a stack has already: they are given again without a look at whether they are free.
    """

    def __init__(
        self, settings: Mapping[str, str], *, at_random: bool = False, kept: Mapping[str, int] | None = None
    ) -> None:
        self._settings = settings
        self._at_random = at_random
        self.given: dict[str, int] = dict(kept or {})
        self._claims: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self, name: str) -> int:
        if name not in self.given:
            self.given[name] = self._wanted(name) or self._first_free(name)
        return self.given[name]

    def release(self) -> None:
        """What was taken has its program by now, or will have none."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def moved(self) -> Mapping[str, tuple[int, int]]:
        """What is elsewhere because its usual port was in use: the usual port, and the one taken."""
        usual = {name: DEFAULTS[name] for name in self.given if name in DEFAULTS}
        return {
            name: (port, self.given[name])
            for name, port in usual.items()
            if not self._at_random and self._asked(name) is None and self.given[name] != port
        }

    def _asked(self, name: str) -> str | None:
        return self._settings.get(variable(name))

    def _wanted(self, name: str) -> int | None:
        asked = self._asked(name)
        if asked and not self._claim(int(asked)):
            raise PortTakenError(f"{variable(name)}={asked}, but that port is in use: name another")
        return int(asked) if asked else None

    def _first_free(self, name: str) -> int:
        given = self.given.values()
        return next(port for port in self._candidates(name) if port not in given and self._claim(port))

    def _claim(self, port: int) -> bool:
        """Whether the port is free, and nobody else's who is about to use it."""
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0sagashop port {port}")
        except OSError:
            claim.close()
            return False
        if not is_free(port):
            claim.close()
            return False
        self._claims.append(claim)
        return True

    def _candidates(self, name: str) -> Iterable[int]:
        if self._at_random:
            return random.sample(RANDOM_RANGE, len(RANDOM_RANGE))
        default = DEFAULTS.get(name) or DEFAULTS[name.partition("-")[0]]  # of a further replica: order-2
        return range(default, default + 1000)


def variable(name: str) -> str:
    """The setting that asks for the port of this name."""
    return f"PORT_{name.upper().replace('-', '_')}"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
