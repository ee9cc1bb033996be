"""Where a request comes from, and which claims about it are believed."""

import logging
import re
import time
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
# One household or machine has a whole /64 of IPv6: 2^64 addresses, so they are limited together.
IPV6_PREFIX: Final = 64
# As some proxies write it: with a port, and IPv6 in brackets then.
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
WARN_EVERY_SECONDS: Final = 60.0
log = logging.getLogger(__name__)


def networks(text: object) -> object:
    """Of a setting: addresses or networks, separated by commas. Raises ValueError."""
    if not isinstance(text, str):
        return text
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


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


def is_one_of(peer: str, networks: Networks) -> bool:
    found = _parse(peer)
    return found is not None and any(found in network for network in networks)


class Strangers:
    """Warns of X-Forwarded-For from a peer that is not trusted: perhaps a proxy that nobody told us about.

    All its clients then count as one. It may be a stranger's claim as well: hence not each time.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._silent_until = float("-inf")

    def heard(self, peer: str) -> None:
        now = time.monotonic()
        if now < self._silent_until or is_one_of(peer, self._trusted):
            return
        self._silent_until = now + WARN_EVERY_SECONDS
        log.warning(
            "X-Forwarded-For of %s is not believed, and all its clients count as one: if it is a proxy of "
            "yours, name it in TRUSTED_PROXIES",
            peer,
        )


@lru_cache(4096)
def limited_as(address: str) -> str:
    """The unit that is counted: an IPv4 address, or the IPv6 network that one caller has."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return address


@lru_cache(4096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip('"')
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        found = ip_address(text.partition("%")[0])  # a zone means something on one machine alone
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
