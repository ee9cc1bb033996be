"""Ports: the design's own, or the next free one; random ones for stacks side by side."""

import random
import socket
from collections.abc import Iterable, Mapping

DEFAULTS = {
    "auth": 3001,
    "order": 3002,
    "gateway": 3003,
    "product": 3004,
    "inventory": 3005,
    "payment": 3006,
    "notification": 3007,
    "mongodb": 27017,
    "rabbitmq": 5672,
    "management": 15672,
    "distribution": 25672,
    "epmd": 4369,
    "redis": 6379,
}
# Below Linux's range for outgoing connections, so that no client can sit on a port that was just found free.
RANDOM_RANGE = range(10_000, 32_000)


class PortTakenError(RuntimeError):
    """The port that was asked for by name is in use."""


class Ports:
    """Hands out each port once; `PORT_GATEWAY=8080` in the settings asks for one by name."""

    def __init__(self, settings: Mapping[str, str], *, at_random: bool = False) -> None:
        self._settings = settings
        self._at_random = at_random
        self._given: set[int] = set()

    def take(self, name: str) -> int:
        wanted = self._settings.get(f"PORT_{name.upper()}")
        if wanted and not _free(int(wanted)):
            raise PortTakenError(f"PORT_{name.upper()}={wanted}, but that port is in use")
        port = int(wanted) if wanted else self._first_free(name)
        self._given.add(port)
        return port

    def _first_free(self, name: str) -> int:
        return next(port for port in self._candidates(name) if port not in self._given and _free(port))

    def _candidates(self, name: str) -> Iterable[int]:
        if self._at_random:
            return random.sample(RANDOM_RANGE, len(RANDOM_RANGE))
        default = DEFAULTS[name.partition("-")[0]]
        return range(default, default + 1000)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
