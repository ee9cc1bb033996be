"""What happens around every HTTP request: its id and trace, how long it took, what is refused unseen."""

import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Final, TypeAlias

from opentelemetry.trace import Span, SpanKind
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared import telemetry
from services.shared.contract.codes import Code
from services.shared.http import preconditions
from services.shared.http.answers import CAUSE, Answer
from services.shared.http.problems import Problem, problem
from services.shared.http.request_ids import request_id
from services.shared.http.verbs import METHODS

# Asked for every few seconds by machines: no spans, and no lines.
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
# In metrics and traces, as proxies count it: the caller did not wait for an answer.
HUNG_UP: Final = 499
# Any other method that a parser lets through is one to us, or it were the caller who makes the series.
OTHER: Final = "other"
# To look a series up by its labels costs as much as to count; there is a bound to how many there are.
_series = cache(telemetry.HTTP_DURATION.labels)
# A path with a slash too many at its end, of segments that mean the same to everybody: `//` or a backslash
# in a Location would send the client to a host of the caller's choice.
_SLASH_AT_END: Final = re.compile(rb"((?:/[A-Za-z0-9._~%-]+)+)/")


# What is answered to a request that no route has seen.
Refusing: TypeAlias = Callable[[Scope, Problem], Response]


def in_a_document(_: Scope, refused: Problem) -> Response:
    return refused.response()


class RequestScope:
    """ASGI middleware. One for all of it: each layer more costs every request."""

    def __init__(
        self,
        app: ASGIApp,
        takes: bytes = preconditions.JSON,
        refusing: Refusing = in_a_document,
        *,
        begins_traces: bool = False,
    ) -> None:
        self._app, self._takes, self._refusing = app, takes, refusing
        self._begins_traces = begins_traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path: str = scope["path"]
        started = time.perf_counter()
        own_id = request_id(headers)
        answer = Answer(send, own_id, is_personal=b"authorization" in headers)
        said = headers.get(b"traceparent", b"").decode("latin-1") or None
        parent, link = (None, said) if self._begins_traces else (said, None)
        span, traceparent = (
            (None, None)
            if path in PROBES
            else telemetry.start_span(
                f"{scope['method']}", parent, SpanKind.SERVER, {"url.path": path}, link=link
            )
        )
        state = headers.get(b"tracestate", b"").decode("latin-1") or None
        with telemetry.within(traceparent, state if parent else None, own_id):
            try:
                await self._checked(headers, scope, receive, answer.send)
            except Exception as error:  # noqa: BLE001  # it is logged with the answer
                scope[CAUSE] = error
                await _our_fault(answer, scope, receive)
            finally:
                duration = (answer.stream_began or time.perf_counter()) - started
                _measure(scope, answer, duration, span)
                if path not in PROBES:
                    answer.log(scope, duration)

    async def _checked(
        self, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Sends to the one address that a thing has, and refuses what no route has to see.

        FastAPI's own limit of the size would answer in plain text.
        """
        if slashed := _SLASH_AT_END.fullmatch(scope["raw_path"]):
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            there = RedirectResponse((slashed[1] + query).decode("latin-1"), HTTPStatus.PERMANENT_REDIRECT)
            await there(scope, receive, send)
            return
        try:
            preconditions.check(scope, headers, self._takes)
            said, limit = b"content-length" in headers, preconditions.limit_of(scope["raw_path"])
            await self._app(scope, receive if said else _counting(receive, limit), send)
        except Problem as error:  # from here; or from a body that is read outside of routes
            await self._refusing(scope, error)(scope, receive, send)


async def _our_fault(answer: Answer, scope: Scope, receive: Receive) -> None:
    """Where an answer has begun, the server breaks the connection off: it must not look complete."""
    if answer.status is None:
        refusal = problem(Code.INTERNAL_ERROR, "this is our fault, and logged; try again later")
        await refusal(scope, receive, answer.send)


def _measure(scope: Scope, answer: Answer, seconds: float, span: Span | None) -> None:
    route = getattr(scope.get("route"), "path", "none")
    status = answer.status or HUNG_UP
    method = scope["method"] if scope["method"] in METHODS else OTHER
    _series(method, route, status).observe(seconds)
    if span is not None and span.is_recording():
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.response.status_code", status)
        span.end()


def _counting(receive: Receive, limit: int) -> Receive:
    """For a body that does not say beforehand how long it will be."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise preconditions.too_large(limit)
        return message

    return counted
