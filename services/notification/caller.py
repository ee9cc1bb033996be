"""One call of an endpoint: to an address that may be called, and to nowhere else.

The name is looked up once a try, all its addresses are checked, and one of these is connected to; TLS makes
sure that whoever is there has the name. No redirect is followed, no proxy is asked, no connection is kept.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.notification import destinations
from services.notification.cloudevents import MEDIA_TYPE
from services.notification.deliveries import ANSWERS_WITHIN, Answer, retry_after
from services.notification.destinations import Networks, NotAllowed
from services.shared.contract.events import LONGEST_TEXT

# Of all endpoints together, at one replica.
MOST_CALLS: Final = 64
USER_AGENT: Final = "sagashop-webhooks"
# Names' addresses, as text. Raises OSError.
LookUp: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
log = logging.getLogger(__name__)


class Refused(OSError):
    """The name leads to where nothing is sent."""


class Caller:
    """`look_up` asks the system's resolver unless given."""

    def __init__(
        self, allowed: Networks, authorities: Path | None = None, look_up: LookUp | None = None
    ) -> None:
        self.allowed = allowed
        # A name whose servers do not answer keeps a thread for longer than its call lasts.
        self._threads = ThreadPoolExecutor(MOST_CALLS, "look-up")
        tls = ssl.create_default_context()
        if authorities is not None:
            tls.load_verify_locations(authorities)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Resolver(look_up or self._by_system, allowed),
                use_dns_cache=False,
                force_close=True,
                limit=0,
                ssl=tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The deadline is around all of a call.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT, "Content-Type": MEDIA_TYPE, "Accept": "*/*"},
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(
        self, url: str, headers: Mapping[str, str], body: bytes, seconds: float = ANSWERS_WITHIN
    ) -> Answer:
        """What the endpoint says. Its answer's body is nobody's business."""
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(destinations.checked(url, self.allowed), headers, body)
        except NotAllowed as error:
            return Answer(None, str(error))
        except TimeoutError:
            return Answer(None, f"no answer within {seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, _said(error))

    async def _answer(self, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        asked = self._session.post(url, data=body, headers=headers, allow_redirects=False)
        async with asked as response:
            status = response.status
            after = retry_after(response.headers.get("Retry-After", ""), response.headers.get("Date", ""))
        return Answer(status, "" if status < 300 else _named(status), after)  # noqa: PLR2004  # RFC 9110

    async def _by_system(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]


class _Resolver(AbstractResolver):
    """Says where a name leads, if all of that may be called: an answer that mixes is no accident."""

    def __init__(self, look_up: LookUp, allowed: Networks) -> None:
        self._look_up, self._allowed = look_up, allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # whatever there is
        addresses = [ip_address(text) for text in dict.fromkeys(await self._look_up(host, port))]
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses:
            try:
                destinations.check(address, self._allowed)
            except NotAllowed as error:
                raise Refused(str(error)) from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _said(error: Exception) -> str:
    """In a line: of a name that leads nowhere what the resolver says, which the client library hides."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        cause = error.os_error
        return str(cause) if isinstance(cause, Refused) else f"{error.host}: {cause}"[:LONGEST_TEXT]
    return (" ".join(str(error).split()) or type(error).__name__)[:LONGEST_TEXT]
