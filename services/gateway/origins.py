"""What web pages of other origins may do, and what their browsers are told of it."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from services.shared.contract.codes import Code
from services.shared.http import safe_headers
from services.shared.http.problems import problem

# What scripts of other origins may send and read. Tokens travel in a header: there are no cookies to allow.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Last-Event-ID",
    "X-Request-ID",
    "traceparent",
)
CORS: Final[dict[str, Any]] = {
    "allow_methods": METHODS,
    "allow_headers": HEADERS,
    "expose_headers": (
        "ETag",
        "Location",
        "X-Request-ID",
        "Idempotency-Replayed",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
    ),
    "max_age": 600,
}


class Origins(CORSMiddleware):
    """Outside of everything else: problems are read by pages of other origins, too."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """A refusal is a problem document, as any other."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        allowed = {
            name: value for name, value in answer.headers.items() if name.startswith(("access-", "vary"))
        }
        refusal = problem(Code.ORIGIN_REFUSED, self._why(request_headers["origin"]), allowed)
        refusal.raw_headers = safe_headers.completed(refusal.raw_headers, is_personal=False)
        return refusal

    def _why(self, origin: str) -> str:
        if not self.is_allowed_origin(origin):
            return "CORS_ORIGINS of the gateway does not name this origin"
        return f"pages of other origins send {', '.join(METHODS)} with the headers {', '.join(HEADERS)} alone"
