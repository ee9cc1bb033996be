"""What happens around every HTTP request: size limit, trace, duration."""

import json
import time
from http import HTTPStatus
from typing import Final

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared import telemetry
from services.shared.problems import MEDIA_TYPE
from services.shared.settings import BODY_LIMIT_BYTES

# Asked for every few seconds by machines: no spans.
UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class _TooLarge(Exception):
    pass


class RequestScope:
    """ASGI middleware. One for all three: each layer more costs every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path: str = scope["path"]
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = headers.get(b"traceparent", b"").decode("latin-1") or None
        span, traceparent = (
            (None, None)
            if path in UNTRACED
            else telemetry.start_span(f"{scope['method']}", parent, SpanKind.SERVER, {"url.path": path})
        )
        try:
            with telemetry.within(traceparent):
                if _declared_length(headers) > BODY_LIMIT_BYTES:
                    await _refuse(sending)
                else:
                    await self._limited(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            duration = time.perf_counter() - started
            telemetry.HTTP_DURATION.labels(scope["method"], route, status).observe(duration)
            if span is not None and span.is_recording():
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.response.status_code", status)
                span.end()

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body without a declared length is counted as it comes."""
        received = 0
        begun = False

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_LIMIT_BYTES:
                raise _TooLarge
            return message

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except _TooLarge:
            if begun:
                raise
            await _refuse(send)


def _declared_length(headers: dict[bytes, bytes]) -> int:
    try:
        return int(headers.get(b"content-length", b"0"))
    except ValueError:
        return 0


async def _refuse(send: Send) -> None:
    detail = f"a body may have {BODY_LIMIT_BYTES} bytes at most"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    start_headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status.value, "headers": start_headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
