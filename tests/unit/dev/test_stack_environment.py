"""What a stray variable of somebody's shell must not change in the local stack."""

from dev.services import Replica


def test_services_listen_on_this_machine_alone_whatever_host_says() -> None:
    """Some shells set HOST to the machine's name: the services would be open to its network."""
    replica = Replica("order", 1, 3002)
    assert replica.program({"HOST": "laptop"}).environment["HOST"] == "127.0.0.1"
    assert replica.program({"STACK_HOST": "10.0.0.7"}).environment["HOST"] == "10.0.0.7"
