"""A port for a server that a test starts: its own, whatever else runs on the machine."""

from dev.ports import Ports


def free_port() -> int:
    with Ports({}, at_random=True) as ports:
        return ports.take("gateway")
