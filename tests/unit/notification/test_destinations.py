"""Webhooks go to the world by HTTPS, and to nothing of our own."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.destinations import NotAllowed, check, checked

# Of IANA's registries of special addresses, and what else is none of the world's.
OURS = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
OURS_BY_6 = [
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]


def addresses(network: str) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    found = ip_network(network)
    return st.integers(0, found.num_addresses - 1).map(lambda number: found[number])


@given(st.sampled_from([*OURS, *OURS_BY_6]).flatmap(addresses))
def test_no_address_of_ours_is_connected_to(address: IPv4Address | IPv6Address) -> None:
    with pytest.raises(NotAllowed, match="is no public address"):
        check(address, ())


@given(st.sampled_from(OURS).flatmap(addresses), st.sampled_from(["nat64", "6to4", "mapped"]))
def test_nor_one_in_the_disguise_of_the_other_family(address: IPv4Address, way: str) -> None:
    number = int(address)
    disguised = {
        "nat64": int(IPv6Address("64:ff9b::")) + number,
        "6to4": int(IPv6Address("2002::")) + (number << 80),
        "mapped": int(IPv6Address("::ffff:0:0")) + number,
    }[way]
    with pytest.raises(NotAllowed):
        check(IPv6Address(disguised), ())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808", "2a01:4f8::1"]
)
def test_the_worlds_are(address: str) -> None:
    check(ip_address(address), ())


def test_some_of_ours_may_be_allowed() -> None:
    allowed = (IPv4Network("10.1.0.0/16"), IPv6Network("fd00::/8"))
    check(ip_address("10.1.2.3"), allowed)
    check(ip_address("fd00::1"), allowed)
    for address in ("10.2.0.1", "::ffff:10.1.2.3", "64:ff9b::a01:203"):
        with pytest.raises(NotAllowed):
            check(ip_address(address), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "https://merchant.example/hook",
        "https://merchant.example:8443/hook?shop=1",
        "https://bücher.example/häppchen",
        "https://93.184.216.34/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_a_url_by_https_may_be_called(url: str) -> None:
    assert checked(url, ()).scheme == "https"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://merchant.example/", "begins with https://"),
        ("ftp://merchant.example/", "begins with https://"),
        ("merchant.example/hook", "begins with https://"),
        ("https:///hook", "https://"),
        ("https://me:pw@merchant.example/", "a user or a password"),
        ("https://me@merchant.example/", "a user or a password"),
        ("https://merchant.example/#here", "#fragment"),
        ("https://127.0.0.1/", "no public address"),
        ("https://[::1]/", "no public address"),
        ("https://[::ffff:127.0.0.1]/", "no public address"),
        ("https://169.254.169.254/latest/meta-data", "no public address"),
        ("https://merchant.example:99999/", "no URL"),
        ("https://merchant.example/" + "x" * 2048, "2048 characters"),
        ("", "https://"),
    ],
)
def test_others_are_refused_with_a_sentence(url: str, why: str) -> None:
    with pytest.raises(NotAllowed, match=why):
        checked(url, ())


@given(st.text(max_size=100), st.sampled_from(["", "https://", "https://a.example"]))
def test_whatever_is_given_is_a_url_or_refused(text: str, start: str) -> None:
    try:
        found = checked(start + text, ())
    except NotAllowed:
        return
    assert (found.scheme, found.user, found.password, found.fragment) == ("https", None, None, "")
    assert found.host
