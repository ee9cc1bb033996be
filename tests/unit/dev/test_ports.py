"""Which ports a stack says that it took instead of the usual ones."""

import socket
from collections.abc import Iterator

import pytest

from dev.ports import DEFAULTS, Ports, PortTakenError, is_free


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        monkeypatch.setitem(DEFAULTS, "gateway", port)
        yield port


def test_a_port_that_was_busy_is_told_with_the_one_taken_instead(busy: int) -> None:
    with Ports({}) as ports:
        taken = ports.take("gateway")
        assert ports.moved() == {"gateway": (busy, taken)}


def test_a_port_that_was_asked_for_is_no_surprise(busy: int) -> None:
    asked = next(port for port in range(20_000, 30_000) if port != busy and is_free(port))
    with Ports({"PORT_GATEWAY": str(asked)}) as ports:
        ports.take("gateway")
        assert not ports.moved()


def test_a_second_replica_has_a_port_of_its_own_that_is_no_surprise_either() -> None:
    with Ports({}) as ports:
        assert ports.take("order") != ports.take("order-2")
        assert "order-2" not in ports.moved()


def test_kept_ports_are_given_again_though_they_are_in_use(busy: int) -> None:
    assert Ports({}, kept={"gateway": busy}).take("gateway") == busy


def test_of_two_stacks_that_start_at_once_the_second_takes_the_next_port(
    busy: int,
) -> None:
    with Ports({}) as first, Ports({}) as second:
        taken = first.take("gateway")
        assert taken > busy
        assert second.take("gateway") > taken
        with pytest.raises(PortTakenError, match=f"PORT_GATEWAY={taken}"):
            Ports({"PORT_GATEWAY": str(taken)}).take("gateway")
    with Ports({}) as third:
        assert third.take("gateway") == taken, "nobody uses it after all"


def test_every_server_of_a_shop_has_a_port_near_its_usual_one() -> None:
    with Ports({}) as ports:
        for name in (*DEFAULTS, "order-2"):
            assert ports.take(name) >= DEFAULTS.get(name, DEFAULTS["order"])
