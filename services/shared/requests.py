"""What happens around every HTTP request: its trace, and how long it took."""

import time
from http import HTTPStatus
from typing import Final

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared import telemetry

# Asked for every few seconds by machines: no spans.
UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestScope:
    """ASGI middleware. One for both: each layer more costs every request."""

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
                await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            duration = time.perf_counter() - started
            telemetry.HTTP_DURATION.labels(scope["method"], route, status).observe(duration)
            if span is not None and span.is_recording():
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.response.status_code", status)
                span.end()
