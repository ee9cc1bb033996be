"""Where webhooks may be sent: to the world, by HTTPS, and to nothing of our own (SSRF). Pure.

An endpoint's name may lead elsewhere at each look. So a URL is checked when it is given, and the addresses
that its name has at each try, before one of them is connected to.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from yarl import URL

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
LONGEST: Final = 2048
# What IPv6 has of the world: RFC 4291, 2.4, by the registry of IANA.
_UNICAST: Final = IPv6Network("2000::/3")
# IPv4 behind a translator: RFC 6052.
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW: Final = 0xFFFFFFFF


class NotAllowed(ValueError):
    """A sentence that says why not."""


def checked(text: str, allowed: Networks) -> URL:
    """The URL, as it is called. Raises NotAllowed."""
    if len(text) > LONGEST:
        raise NotAllowed(f"a URL has {LONGEST} characters at most")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        raise NotAllowed("this is no URL") from error
    if url.scheme != "https" or not host or not port:
        raise NotAllowed("give a URL that begins with https://")
    if url.user is not None or url.password is not None:
        raise NotAllowed("a URL with a user or a password is not called: calls are signed")
    if url.fragment:
        raise NotAllowed("a URL with a #fragment is not called: nobody would see it")
    if (literal := literal_of(host)) is not None:
        check(literal, allowed)
    return url


def literal_of(host: str) -> Address | None:
    """The address that a host is, rather than has."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def check(address: Address, allowed: Networks) -> None:
    """Raises NotAllowed for what is not public, unless it is in one of the networks."""
    if any(address in network for network in allowed):
        return
    if not _is_public(address):
        raise NotAllowed(f"{address} is no public address")


def _is_public(address: Address) -> bool:
    """`is_global` alone takes some multicast for public, and what leads to IPv4 for what it looks like."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    if address in _NAT64:
        return _is_public(IPv4Address(int(address) & _LOW))
    if address.sixtofour is not None and not _is_public(address.sixtofour):
        return False
    return address in _UNICAST and address.is_global
