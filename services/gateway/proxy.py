"""The way of a request: is it for a service, who is it, is there room, and then on.

Plain ASGI, in front of the routes of the gateway's own: what FastAPI does for a request would cost as much as
all of this together.
"""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.callers import client_address
from services.gateway.domain import METHODS, NotAnId, PathRefused, Rule, rule_for
from services.gateway.limiter import Limiter
from services.gateway.limits import budgets
from services.gateway.settings import GatewaySettings
from services.gateway.upstream import Call, Upstream
from services.shared import telemetry
from services.shared.http import problems
from services.shared.http.auth import KeysUnavailable, Tokens, Unauthenticated, User
from services.shared.http.problems import problem
from services.shared.settings import BODY_LIMIT_BYTES


class Gate(NamedTuple):
    """What requests are judged by, and where they go then."""

    settings: GatewaySettings
    tokens: Tokens
    # None where requests are not limited.
    limiter: Limiter | None
    upstreams: Mapping[str, Upstream]


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
            await problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))(scope, receive, send)
            return
        except PathRefused as error:
            await problem(HTTPStatus.BAD_REQUEST, str(error))(scope, receive, send)
            return
        if rule is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = rule  # by whose path metrics and traces call the request
        with suppress(Gone):
            refusal = await _serve(scope["app"].state.gate, rule, scope, receive, send)
            if refusal is not None:
                await refusal(scope, receive, send)


async def _serve(gate: Gate, rule: Rule, scope: Scope, receive: Receive, send: Send) -> Response | None:
    """Answer by the rule's service; or return the refusal that is the answer."""
    method: str = scope["method"]
    if method not in METHODS:
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not allowed on this path")
    headers: dict[bytes, bytes] = dict(scope["headers"])
    peer = scope["client"][0] if scope["client"] else ""
    address = client_address(
        peer, headers.get(b"x-forwarded-for", b"").decode("latin-1"), gate.settings.trusted_proxies
    )
    user, unknown = await _caller(gate, headers)
    try:
        body = await _body(receive)
    except BodyTooLarge:
        return problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {BODY_LIMIT_BYTES} bytes at most"
        )
    if gate.limiter is not None:
        seconds = await gate.limiter.wait_for(budgets(gate.settings, rule, user, address, body))
        if seconds is not None:
            detail = f"too many requests: wait {seconds} s"
            return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(seconds)})
    if unknown is not None and rule.needs_token(method):
        return problems.of(unknown)
    own = {"x-forwarded-for": address} | telemetry.onward()
    return await gate.upstreams[rule.service].answer(Call(scope, body, own), receive, send)


async def _caller(gate: Gate, headers: Mapping[bytes, bytes]) -> tuple[User | None, Exception | None]:
    """Whose token it is, or why it is nobody's."""
    authorization = headers.get(b"authorization")
    try:
        return await gate.tokens.user(
            None if authorization is None else authorization.decode("latin-1")
        ), None
    except (Unauthenticated, KeysUnavailable) as error:
        return None, error


async def _body(receive: Receive) -> bytes:
    """Whole: what is limited to 64 KiB need not be streamed, and no service waits for a slow caller."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)
