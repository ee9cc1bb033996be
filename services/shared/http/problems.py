"""Errors as RFC 9457 problem documents that say what to do about it."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.shared.contract.codes import Code
from services.shared.contract.decisions import Refused, Unavailable
from services.shared.http.answers import CAUSE
from services.shared.http.auth import Forbidden, KeysUnavailable, Unauthenticated
from services.shared.http.described import MEDIA_TYPE
from services.shared.http.kinds import KINDS, type_of
from services.shared.http.methods import allowed
from services.shared.http.validation import Fault, faults, summary

RETRY_AFTER: Final = {"Retry-After": "1"}
NOT_JSON: Final = "the body is not valid JSON"
NOTHING_HERE: Final = "nothing is served at this path: /docs shows what there is"
HEADERS: Final[Mapping[HTTPStatus, Mapping[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: RETRY_AFTER,
    HTTPStatus.BAD_GATEWAY: RETRY_AFTER,
    HTTPStatus.GATEWAY_TIMEOUT: RETRY_AFTER,
}
# Errors with a `code` of their own, whose text says what to do.
KNOWN: Final[tuple[type[Exception], ...]] = (
    Refused,
    Unauthenticated,
    Forbidden,
    KeysUnavailable,
    Unavailable,
)


class Problem(HTTPException):
    """Of a request that nobody has to look into. FastAPI lets it through where it reads bodies."""

    def __init__(
        self, code: Code, detail: str, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(KINDS[code].status, detail, headers)
        self.code, self.members = code, members

    def response(self) -> Response:
        return problem(self.code, self.detail, self.headers, **self.members)


def problem(code: Code, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> Response:
    """A problem response. `members` are added to the document, as `errors` for a validation."""
    status, title, _ = KINDS[code]
    body = {"type": type_of(code), "title": title, "status": status, "code": code, "detail": detail}
    return Response(
        json.dumps(body | members, separators=(",", ":")),
        status,
        {**HEADERS.get(status, {}), **(headers or {})},
        MEDIA_TYPE,
    )


def wrong(code: Code, found: Iterable[Fault], **members: object) -> Response:
    """A problem of fields, parameters or headers, each with what is allowed."""
    found = list(found)
    return problem(code, summary(found), None, errors=[fault.member() for fault in found], **members)


def install(app: FastAPI, unavailable: Iterable[type[Exception]] = ()) -> None:
    """Makes every known error of `app` a problem document; those that are `unavailable` are answered 503."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    for kind in KNOWN:
        app.add_exception_handler(kind, _known)
    for kind in unavailable:
        app.add_exception_handler(kind, _unavailable)


def of(error: Any) -> Response:  # noqa: ANN401  # one of KNOWN, which share no base
    """The problem of one of the errors in KNOWN."""
    members: Mapping[str, object] = {}
    if isinstance(error, Refused):
        members = error.members
    elif isinstance(error, Unavailable) and error.unknown:
        # Without this member it is certain that nothing was done.
        members = {"outcome": "unknown"}
    return problem(error.code, str(error), None, **members)


async def _known(request: Request, error: Exception) -> Response:
    if error.__cause__ is not None:
        request.scope[CAUSE] = error.__cause__
    return of(error)


async def _unavailable(request: Request, error: Exception) -> Response:
    request.scope[CAUSE] = error
    return problem(Code.UNAVAILABLE, "the database is unavailable")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for no other
    if isinstance(error, Problem):
        return error.response()
    match error.status_code:  # what FastAPI and Starlette find by themselves
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return _not_so(request)
        case HTTPStatus.NOT_FOUND:
            return problem(Code.NO_SUCH_PATH, NOTHING_HERE)
        case HTTPStatus.BAD_REQUEST:
            return problem(Code.MALFORMED_JSON, NOT_JSON)
        case _:
            raise error


def _not_so(request: Request) -> Response:
    """The path exists, and has no route of this method: OPTIONS asks for those that it has."""
    methods = allowed(request)
    allow = {"Allow": ", ".join(sorted([*methods, "OPTIONS"]))}
    if request.method == "OPTIONS":
        return Response(None, HTTPStatus.NO_CONTENT, allow)
    detail = f"{request.method} is not for this path: use {', '.join(methods)}"
    return problem(Code.METHOD_NOT_ALLOWED, detail, allow)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # it is registered for no other
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem(Code.MALFORMED_JSON, NOT_JSON)
    return wrong(Code.INVALID, faults(request, errors))
