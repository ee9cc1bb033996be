"""Errors as RFC 9457 problem documents that say what to do about it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.shared.contract.decisions import KeyReused, NotFound, Refused, Unavailable
from services.shared.http.answers import CAUSE
from services.shared.http.auth import Forbidden, KeysUnavailable, Unauthenticated

MEDIA_TYPE: Final = "application/problem+json"
# How every service describes its errors (OpenAPI).
DESCRIBED: Final[dict[str, Any]] = {
    "description": "A problem (RFC 9457)",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string", "description": "What to do about it"},
                },
            }
        }
    },
}
RETRY_AFTER: Final = {"Retry-After": "1"}
# The most particular first: NotFound and KeyReused are Refused, too.
STATUS_OF: Final[tuple[tuple[type[Exception], HTTPStatus, Mapping[str, str]], ...]] = (
    (NotFound, HTTPStatus.NOT_FOUND, {}),
    (KeyReused, HTTPStatus.UNPROCESSABLE_ENTITY, {}),
    (Refused, HTTPStatus.CONFLICT, {}),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}),
    (Forbidden, HTTPStatus.FORBIDDEN, {}),
    (KeysUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER),
)


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """A problem response. `members` are added to the document, as `errors` for a validation."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps(body | members), status, headers, MEDIA_TYPE)


def install(app: FastAPI, unavailable: Iterable[type[Exception]] = ()) -> None:
    """Makes every known error of `app` a problem document; those that are `unavailable` are answered 503."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    for kind, _, _ in STATUS_OF:
        app.add_exception_handler(kind, _known)
    for kind in unavailable:
        app.add_exception_handler(kind, _unavailable)


def of(error: Exception) -> Response:
    """The problem of one of the errors in STATUS_OF."""
    status, headers = next(
        (status, headers) for kind, status, headers in STATUS_OF if isinstance(error, kind)
    )
    # Without this member it is certain that nothing was done.
    members = {"outcome": "unknown"} if isinstance(error, Unavailable) and error.unknown else {}
    return problem(status, str(error), headers, **members)


async def _known(request: Request, error: Exception) -> Response:
    if error.__cause__ is not None:
        request.scope[CAUSE] = error.__cause__
    return of(error)


async def _unavailable(request: Request, error: Exception) -> Response:
    request.scope[CAUSE] = error
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is unavailable", RETRY_AFTER)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for no other
    return problem(error.status_code, str(error.detail), error.headers)


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # it is registered for no other
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem(HTTPStatus.BAD_REQUEST, "the body is not valid JSON")
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, _summary(errors), errors=[_field(each) for each in errors]
    )


def _field(error: Mapping[str, Any]) -> dict[str, str]:
    return {
        "field": ".".join(str(part) for part in error["loc"]),
        "message": str(error["msg"]).removeprefix("Value error, "),
    }


def _summary(errors: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{field['field']}: {field['message']}" for field in map(_field, errors))
