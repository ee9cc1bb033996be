"""Where a request comes from, and which claims about it are believed."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
# One household or machine has a whole /64 of IPv6: 2^64 addresses, so they are limited together.
IPV6_PREFIX = 64


def client_address(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """The nearest address, going back from `peer`, that is not one of our own proxies.

    `forwarded_for` is X-Forwarded-For: each proxy appends who called it, so that what stands left of the
    first stranger is hearsay.
    """
    address = peer
    for hop in reversed([*forwarded_for.split(","), peer] if forwarded_for else [peer]):
        found = _parse(hop.strip())
        if found is None:
            break
        address = str(found)
        if not any(found in network for network in trusted):
            break
    return address


@lru_cache(4096)
def limited_as(address: str) -> str:
    """The unit that is counted: an IPv4 address, or the IPv6 network that one caller has."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return address


@lru_cache(4096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
