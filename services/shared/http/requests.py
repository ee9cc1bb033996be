"""What happens around every HTTP request: its id and trace, how long it took, what is refused unseen."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from opentelemetry.trace import Span, SpanKind
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared import telemetry
from services.shared.contract.ids import LOOKS_LIKE
from services.shared.http.answers import CAUSE, Answer
from services.shared.http.once import repeated
from services.shared.http.problems import problem
from services.shared.http.request_ids import request_id
from services.shared.settings import BODY_LIMIT_BYTES

# Asked for every few seconds by machines: no spans, and no lines.
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestScope:
    """ASGI middleware. One for all of it: each layer more costs every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path: str = scope["path"]
        started = time.perf_counter()
        own_id = request_id(headers)
        answer = Answer(send, own_id, is_personal=b"authorization" in headers)
        parent = headers.get(b"traceparent", b"").decode("latin-1") or None
        span, traceparent = (
            (None, None)
            if path in PROBES
            else telemetry.start_span(f"{scope['method']}", parent, SpanKind.SERVER, {"url.path": path})
        )
        state = headers.get(b"tracestate", b"").decode("latin-1") or None
        with telemetry.within(traceparent, state if parent else None, own_id):
            try:
                await self._limited(headers, scope, receive, answer.send)
            except Exception as error:  # noqa: BLE001  # it is logged with the answer
                scope[CAUSE] = error
                await _our_fault(answer, scope, receive)
            finally:
                duration = time.perf_counter() - started
                _measure(scope, answer, duration, span)
                if path not in PROBES:
                    answer.log(scope, duration)

    async def _limited(
        self, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Refuses what is too large or says two things, and ids with a slash: two segments to a route.

        FastAPI's own limit would answer in plain text.
        """
        length = headers.get(b"content-length")
        try:
            if name := repeated(scope["headers"], headers):
                raise _twice(name)
            if b"%2f" in scope["raw_path"].lower():
                raise _slash_in_an_id()
            if length is not None and int(length) > BODY_LIMIT_BYTES:
                raise _too_large()
            await self._app(scope, _counting(receive) if length is None else receive, send)
        except HTTPException as error:  # from here; or from a body that is read outside of routes
            await problem(error.status_code, error.detail)(scope, receive, send)


async def _our_fault(answer: Answer, scope: Scope, receive: Receive) -> None:
    """Where an answer has begun, the server breaks the connection off: it must not look complete."""
    if answer.status is None:
        refusal = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is our fault, and logged; try again later")
        await refusal(scope, receive, answer.send)


def _measure(scope: Scope, answer: Answer, seconds: float, span: Span | None) -> None:
    route = getattr(scope.get("route"), "path", "none")
    status = answer.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
    telemetry.HTTP_DURATION.labels(scope["method"], route, status).observe(seconds)
    if span is not None and span.is_recording():
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.response.status_code", status)
        span.end()


def _counting(receive: Receive) -> Receive:
    """For a body that does not say beforehand how long it will be."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_LIMIT_BYTES:
            raise _too_large()
        return message

    return counted


def _twice(name: str) -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, f"send the header {name} once")


def _slash_in_an_id() -> HTTPException:
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"path: {LOOKS_LIKE}")


def _too_large() -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {BODY_LIMIT_BYTES} bytes at most"
    )
