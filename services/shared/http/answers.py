"""What a request is answered, on its way out: with the request's id; and a failure is logged, in one line."""

import json
import logging
import time
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Message, Scope, Send

from services.shared.http import request_ids, safe_headers
from services.shared.http.sparing import Sparing

# In a request's scope: the exception behind its answer.
CAUSE: Final = "sagashop.cause"
# In a request's scope: the answer is that of a service behind the gateway, which logs its own failures.
PASSED_ON: Final = "sagashop.passed_on"
# The media type of an answer without an end (https://html.spec.whatwg.org/multipage/server-sent-events.html).
EVENTS: Final = "text/event-stream"
# Of a problem document: one that is longer is not looked into.
PROBLEM_LIMIT: Final = 16 * 1024
# What is asked for is unavailable, or there is too much of it: that passes.
PASSING: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
# Of requests that were refused; metrics count all of them.
LINES_PER_SECOND: Final = 50
log = logging.getLogger(__name__)
log.addFilter(Sparing(LINES_PER_SECOND))


class Answer:
    """Sends on what is sent through it."""

    def __init__(self, send: Send, request_id: str, *, is_personal: bool) -> None:
        """`is_personal`: it is for whoever sent the request, and for nobody else."""
        self._send, self._id, self._is_personal = send, request_id.encode(), is_personal
        self._problem = b""
        # None until there is an answer: a caller who hangs up gets none.
        self.status: int | None = None
        # When a stream began (by time.perf_counter): how long it lasts is not how long anybody waited.
        self.stream_began: float | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = safe_headers.completed(message.get("headers", ()), is_personal=self._is_personal)
            if _is_stream(headers):
                self.stream_began = time.perf_counter()
            message = {**message, "headers": [*headers, (request_ids.HEADER, self._id)]}
        elif self.failed:
            self._problem += message.get("body", b"")[: PROBLEM_LIMIT - len(self._problem)]
        await self._send(message)

    @property
    def failed(self) -> bool:
        return self.status is not None and self.status >= HTTPStatus.BAD_REQUEST

    def log(self, scope: Scope, seconds: float) -> None:
        """The line of a request that failed here. None of one that did not, or whose caller hung up."""
        cause: Exception | None = scope.get(CAUSE)
        if cause is None and (PASSED_ON in scope or not self.failed):
            return
        # An error after the answer has begun: it is broken off.
        detail = self._detail() if self.failed else "the answer was broken off"
        level = _level(self.status or 0) if self.failed else logging.ERROR
        # As it was sent: decoded it might hold anything.
        path = scope["raw_path"].decode("latin-1")
        fields: dict[str, Any] = {
            "method": scope["method"],
            "path": path,
            "route": getattr(scope.get("route"), "path", "none"),
            "status": self.status,
            "duration_ms": round(seconds * 1000, 1),
            "detail": detail,
        }
        if cause is not None:
            fields["cause"] = f"{type(cause).__name__}: {cause}"
        log.log(
            level,
            "%s %s -> %s: %s",
            *(scope["method"], path, self.status, detail),
            extra=fields,
            # Where it was expected, the cause is said without the way to it.
            exc_info=cause if level == logging.ERROR else None,
        )

    def _detail(self) -> str:
        try:
            return str(json.loads(self._problem)["detail"])
        except (ValueError, KeyError, TypeError):  # no problem document
            return HTTPStatus(self.status or 0).phrase


def _is_stream(headers: safe_headers.Headers) -> bool:
    kinds = (value for name, value in headers if name == b"content-type")
    return next(kinds, b"").startswith(EVENTS.encode())


def _level(status: int) -> int:
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return logging.INFO
    return logging.WARNING if status in PASSING else logging.ERROR
