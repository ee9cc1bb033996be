"""What the console asks of the shop's services: a login of a person's, and what they do with its token; and
whether they are there.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct

from console.standing import Probed
from services.shared import telemetry
from services.shared.contract.codes import Code
from services.shared.http import probes
from services.shared.kept import Kept

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
# Who is ready says so at once.
PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
# What a service says that has all that it needs.
WELL: Final = "ok"
# However many look.
PROBED_SECONDS: Final = 2.0
# The auth service knows a client again by it, where an answer of its was lost.
AGENT: Final = "sagashop-console"
NOT_REACHED: Final = "the {} service does not answer: try again"


class Refused(Exception):
    """A service does not do it. The text says why, for the person who asked."""

    def __init__(self, says: str, code: str = "") -> None:
        super().__init__(says)
        self.code = code


class Tokens(Struct, frozen=True, rename="camel"):
    access_token: str
    refresh_token: str
    # Seconds.
    expires_in: float


class _Problem(Struct):
    detail: str
    code: str = ""


class Services:
    """Its methods raise Refused, but for `probed`."""

    def __init__(self, http: aiohttp.ClientSession, urls: Mapping[str, str]) -> None:
        """`urls`: where each service is, by its name."""
        self._http = http
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._probed = Kept(self._probe_all)

    async def log_in(self, email: str, password: str, code: str, address: str) -> Tokens:
        body = {"email": email, "password": password} | ({"code": code} if code else {})
        return msgspec.json.decode(await self._post("auth", "/auth/login", body, address), type=Tokens)

    async def refresh(self, token: str, address: str) -> Tokens:
        said = await self._post("auth", "/auth/refresh", {"refreshToken": token}, address)
        return msgspec.json.decode(said, type=Tokens)

    async def log_out(self, token: str, address: str) -> None:
        await self._post("auth", "/auth/logout", {"refreshToken": token}, address)

    async def act(self, subject: str, command: "Command", token: str, address: str) -> bytes:
        """What the service answers: it decides whether it may be done, by the token and its rules."""
        headers = {"Authorization": f"Bearer {token}"} | (
            {"Idempotency-Key": command.key} if command.key else {}
        )
        path = command.path.format(quote(subject, safe=""))
        return await self._post(command.service, path, command.body, address, headers)

    async def probed(self) -> Mapping[str, Probed | None]:
        """By name, every service; None for one that does not answer."""
        return await self._probed.get()

    async def _probe_all(self) -> tuple[Mapping[str, Probed | None], float]:
        found = await asyncio.gather(*map(self._probe, self._urls))
        return dict(zip(self._urls, found, strict=True)), PROBED_SECONDS

    async def _probe(self, service: str) -> Probed | None:
        try:
            async with self._http.get(f"{self._urls[service]}/readyz", timeout=PROBE_TIMEOUT) as answer:
                said = await answer.read()
                version = answer.headers.get(probes.VERSION, "")
                if answer.ok:
                    told = said.decode(errors="replace")
                    return Probed(ready=True, version=version, says="" if told == WELL else told)
                return Probed(
                    ready=False, version=version, says=msgspec.json.decode(said, type=_Problem).detail
                )
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            return None

    async def _post(
        self,
        service: str,
        path: str,
        body: Mapping[str, Any],
        address: str,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The audit trail is to name the person's address, and not the console's."""
        sent = {"X-Forwarded-For": address, "User-Agent": AGENT, **telemetry.onward(), **(headers or {})}
        try:
            async with self._http.post(
                self._urls[service] + path, json=body, headers=sent, timeout=TIMEOUT
            ) as answer:
                said = await answer.read()
                if answer.ok:
                    return said
                problem = msgspec.json.decode(said, type=_Problem)
                raise Refused(problem.detail, problem.code)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise Refused(NOT_REACHED.format(service), Code.UNAVAILABLE) from error


class Command(NamedTuple):
    """What is asked of a service."""

    path: str
    body: Mapping[str, Any]
    key: str = ""
    service: str = "order"


def command(action: str, form: Mapping[str, str]) -> Command:
    """Of an action's form. Raises KeyError where a field is missing, or there is no such action."""
    match action:
        case "cancel":
            return Command("/api/orders/{}/cancel", {})
        case "refund":
            return Command("/api/orders/{}/refund", {"reason": form["reason"]}, form["key"])
        case "compensate":
            return compensation(form["reason"], form["status"])
    raise KeyError(action)


def restocking(pieces: int, key: str) -> Command:
    """Of a product."""
    return Command("/api/inventory/{}/restock", {"quantity": pieces}, key, "inventory")


def resending(key: str) -> Command:
    """Of a mail, by its notification."""
    return Command("/api/notifications/{}/resend", {}, key, "notification")


def compensation(reason: str, status: str, older_than: timedelta = timedelta()) -> Command:
    """Of an order that is still in the state, and has been for so long."""
    body = {"reason": reason, "status": status, "olderThan": older_than.total_seconds()}
    return Command("/internal/orders/{}/compensate", body)
