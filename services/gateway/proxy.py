"""The way of a request: is it for a service, who is it, is there room, and then on.

Plain ASGI, in front of the routes of the gateway's own: what FastAPI does for a request would cost as much as
all of this together.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.callers import Strangers, client_address, is_one_of, limited_as
from services.gateway.domain import NotAnId, PathRefused, Rule, rule_for
from services.gateway.limiter import Limiter
from services.gateway.limits import Budget, by_account, by_caller
from services.gateway.settings import GatewaySettings
from services.gateway.upstream import Call, Upstream
from services.shared import telemetry
from services.shared.contract.codes import Code
from services.shared.http import preconditions, problems
from services.shared.http.auth import KeysUnavailable, Tokens, Unauthenticated, User
from services.shared.http.problems import problem, wrong
from services.shared.http.streams import Streams
from services.shared.http.validation import Fault
from services.shared.kept import Kept

# The fields of an answer that tell what is left of a budget.
Counted: TypeAlias = Mapping[str, str]
# Machines ask them every few seconds, from one address, and they cost next to nothing.
PROBES: Final = ("/healthz", "/readyz")
# Closed here but to this machine: elsewhere they are read at METRICS_PORT, which is not public.
METRICS: Final = "/metrics"
STRICT: Final = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True)
class Gate:
    """What requests are judged by, and where they go then."""

    settings: GatewaySettings
    tokens: Tokens
    # None where requests are not limited.
    limiter: Limiter | None
    upstreams: Mapping[str, Upstream]
    # By the address that they are for.
    streams: Streams
    strangers: Strangers
    # The merged description of the API (JSON).
    description: Kept[bytes]

    async def count(self, budgets: Sequence[Budget]) -> Counted:
        """Raises TooMany."""
        if self.limiter is None:
            return {}
        verdict = await self.limiter.judge(budgets)
        fields = verdict.fields(self.limiter.window)
        if not verdict.has_room:
            raise TooMany(verdict.seconds_to_wait(self.limiter.window), fields)
        return fields

    def came_by_tls(self, scope: Scope) -> bool:
        """Whether a proxy of ours says so; the gateway itself speaks plain HTTP."""
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        return bool(said) and said[-1] == b"https" and is_one_of(_peer(scope), self.settings.trusted_proxies)

    def address(self, scope: Scope) -> str:
        """Where the request comes from, as far as our own proxies tell."""
        peer = _peer(scope)
        # Each proxy adds to the line, or adds a line: together they are one list.
        said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        if said:
            self.strangers.heard(peer)
        return client_address(peer, said.decode("latin-1"), self.settings.trusted_proxies)


class TooMany(Exception):
    """A budget has no room for the request."""

    def __init__(self, seconds: int, fields: Counted) -> None:
        super().__init__(f"too many requests: wait {seconds} s")
        self.headers = {"Retry-After": str(seconds), **fields}


class Gone(Exception):
    """The caller has hung up."""


class BodyTooLarge(Exception):
    """The request's body is longer than the gateway takes."""


class Proxy:
    """ASGI middleware. It finds its `Gate` in the state of the app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            rule = rule_for(scope["raw_path"])
        except NotAnId as error:
            await wrong(Code.INVALID, [Fault("path", (), str(error))])(scope, receive, send)
            return
        except PathRefused as error:
            await problem(Code.MALFORMED_PATH, str(error))(scope, receive, send)
            return
        gate: Gate = scope["app"].state.gate
        if gate.came_by_tls(scope):
            send = _by_tls_only(send)
        with suppress(Gone):
            try:
                refusal = await (
                    self._own(gate, scope, receive, send)
                    if rule is None or rule.service not in gate.upstreams
                    else _serve(gate, rule, scope, receive, send)
                )
            except TooMany as error:
                refusal = problem(Code.RATE_LIMITED, str(error), error.headers)
            if refusal is not None:
                await refusal(scope, receive, send)

    async def _own(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """A page of the gateway's own, or none: counted, since otherwise it were the cheapest to flood."""
        path: str = scope["path"]  # as the routes see it: decoded
        if path in PROBES or (path == METRICS and _is_local(scope)):
            await self._app(scope, receive, send)
            return None
        await gate.count(by_caller(gate.settings, None, None, gate.address(scope)))
        if path == METRICS:
            return problem(Code.NO_SUCH_PATH, problems.NOTHING_HERE)
        await self._app(scope, receive, send)
        return None


async def _serve(gate: Gate, rule: Rule, scope: Scope, receive: Receive, send: Send) -> Response | None:
    """Answer by the rule's service; or return the refusal that is the answer.

    In the order of what it costs: nothing is read, and no body looked into, of what is refused anyway.
    """
    scope["route"] = rule  # by whose path metrics and traces call the request
    headers: dict[bytes, bytes] = dict(scope["headers"])
    method: str = scope["method"]
    address = gate.address(scope)
    user, unknown = await _caller(gate, headers)
    counted = await gate.count(by_caller(gate.settings, rule, user, address))
    if unknown is not None and rule.needs_token(method):
        return problems.of(unknown)
    try:
        body = await _body(receive, rule.body_limit)
    except BodyTooLarge:
        return preconditions.too_large(rule.body_limit).response()
    if rule.guesses:
        counted = await gate.count(by_account(gate.settings, rule, user, address, body))
    own = {"x-forwarded-for": address} | telemetry.onward()
    may_last = rule.streams and method == "GET"
    with gate.streams.one_more(limited_as(address)) if may_last else nullcontext():
        return await gate.upstreams[rule.service].answer(Call(scope, body, own, counted), receive, send)


def _peer(scope: Scope) -> str:
    peer: str = scope["client"][0] if scope["client"] else ""
    return peer


def _by_tls_only(send: Send) -> Send:
    """Browsers are told to come by TLS from now on (RFC 6797)."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), STRICT]}
        await send(message)

    return sending


def _is_local(scope: Scope) -> bool:
    """Whether the request comes from this machine, and from no proxy on it."""
    headers = {name for name, _ in scope["headers"]}
    is_here = scope["client"] is not None and ip_address(scope["client"][0]).is_loopback
    return is_here and not headers & {b"x-forwarded-for", b"forwarded", b"via"}


async def _caller(gate: Gate, headers: Mapping[bytes, bytes]) -> tuple[User | None, Exception | None]:
    """Whose token it is, or why it is nobody's."""
    authorization = headers.get(b"authorization")
    try:
        return await gate.tokens.user(
            None if authorization is None else authorization.decode("latin-1")
        ), None
    except (Unauthenticated, KeysUnavailable) as error:
        return None, error


async def _body(receive: Receive, limit: int) -> bytes:
    """Whole: what is limited to some KiB need not be streamed, and no service waits for a slow caller."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)
