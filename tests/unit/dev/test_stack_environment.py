"""What a stray variable of somebody's shell must not change in the local stack."""

import pytest

from dev.services import Replica


def test_services_listen_on_this_machine_alone_whatever_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some shells set HOST to the machine's name: the services would be open to its network."""
    monkeypatch.setenv("HOST", "laptop")
    assert Replica("order", 1, 3002).program({}).environment["HOST"] == "127.0.0.1"
    monkeypatch.setenv("STACK_HOST", "10.0.0.7")
    assert Replica("order", 1, 3002).program({}).environment["HOST"] == "10.0.0.7"
