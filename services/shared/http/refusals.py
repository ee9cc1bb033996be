"""What a connection is told that asks for more than its share, or for what is no request: and its end."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from services.shared.contract.codes import Code
from services.shared.http import safe_headers
from services.shared.http.problems import RETRY_AFTER, problem


class Reason(StrEnum):
    """Why a connection is ended, to those who count."""

    FULL = "full"
    # Idle, where another needs the room.
    EVICTED = "evicted"
    DEADLINE = "deadline"
    MALFORMED = "malformed"
    PIPELINED = "pipelined"
    REQUEST_BYTES = "request_bytes"
    HEADER_BYTES = "header_bytes"


class Refused(Exception):
    """The request is refused as a whole; the connection ends."""

    def __init__(
        self, code: Code, reason: Reason, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code, self.reason, self.headers = code, reason, headers or {}


def no_room() -> Refused:
    return Refused(Code.OVERLOADED, Reason.FULL, "too many connections are open: try again later")


def too_slow() -> Refused:
    return Refused(
        Code.REQUEST_TOO_SLOW, Reason.DEADLINE, "the request did not arrive in time: send it again"
    )


def malformed() -> Refused:
    return Refused(Code.MALFORMED_REQUEST, Reason.MALFORMED, "this is not a valid HTTP/1.1 request")


def too_many_ahead() -> Refused:
    return Refused(Code.RATE_LIMITED, Reason.PIPELINED, "wait for answers before you ask more", RETRY_AFTER)


def too_many_bytes(most: int) -> Refused:
    detail = f"a request may have {most} bytes at most"
    return Refused(Code.BODY_TOO_LARGE, Reason.REQUEST_BYTES, detail)


def too_many_header_bytes(most: int) -> Refused:
    detail = f"the request line and the headers may have {most} bytes at most"
    return Refused(Code.HEADERS_TOO_LARGE, Reason.HEADER_BYTES, detail)


def written(refused: Refused) -> bytes:
    """The bytes of a problem's answer: there is no request whose application would send it."""
    answer = problem(refused.code, str(refused), {**refused.headers, "Connection": "close"})
    headers = safe_headers.completed(answer.raw_headers, is_personal=True)
    status = HTTPStatus(answer.status_code)
    lines = (
        b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()),
        *(b"%s: %s" % header for header in headers),
        b"",
        bytes(answer.body),
    )
    return b"\r\n".join(lines)
