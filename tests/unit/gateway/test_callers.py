"""An address is believed as far as the chain of our own proxies reaches."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.callers import Strangers, client_address, limited_as

OURS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXIES = st.integers(1, 254).map(lambda number: f"10.0.0.{number}")
STRANGERS = st.integers(1, 254).map(lambda number: f"203.0.113.{number}")
WORDS = st.text(max_size=20).filter(lambda text: "," not in text)


@given(peer=STRANGERS, claimed=WORDS)
def test_a_stranger_is_not_believed(peer: str, claimed: str) -> None:
    assert client_address(peer, claimed, OURS) == peer


@given(
    claimed=st.lists(st.one_of(STRANGERS, PROXIES, WORDS)),
    caller=STRANGERS,
    proxies=st.lists(PROXIES, min_size=1),
)
def test_whatever_a_caller_claims_our_proxies_wrote_who_it_is(
    claimed: list[str], caller: str, proxies: list[str]
) -> None:
    *before, peer = proxies
    assert client_address(peer, ", ".join([*claimed, caller, *before]), OURS) == caller


@given(proxies=st.lists(PROXIES, min_size=1))
def test_among_proxies_only_the_first_is_the_caller(proxies: list[str]) -> None:
    assert client_address(proxies[-1], ",".join(proxies[:-1]), OURS) == proxies[0]


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_address("10.0.0.1", "203.0.113.1", ()) == "10.0.0.1"


def test_rubbish_from_a_proxy_leaves_the_proxy() -> None:
    assert client_address("10.0.0.1", "203.0.113.1, unknown", OURS) == "10.0.0.1"


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("203.0.113.1:50000", "203.0.113.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ('"203.0.113.1"', "203.0.113.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.1:", "10.0.0.1"),
        ("[203.0.113.1", "10.0.0.1"),
        ("2001:db8::1:443:", "10.0.0.1"),
    ],
)
def test_a_port_and_brackets_do_not_hide_an_address(hop: str, address: str) -> None:
    assert client_address("10.0.0.1", f"198.51.100.7, {hop}", OURS) == address


def test_a_proxy_that_is_not_trusted_is_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    strangers = Strangers(OURS)
    strangers.heard("10.0.0.1")
    assert caplog.messages == []
    for _ in range(3):
        strangers.heard("203.0.113.1")
    (message,) = caplog.messages
    assert "203.0.113.1" in message
    assert "TRUSTED_PROXIES" in message


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_caller(address: str, counted: str) -> None:
    assert limited_as(address) == counted


def test_an_ipv4_address_in_ipv6_clothes_is_that_address() -> None:
    assert client_address("::ffff:203.0.113.7", "", ()) == "203.0.113.7"
