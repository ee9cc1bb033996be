"""Answers to browsers: pages with their headers, cookies, and a page for whatever goes wrong."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console import browsers
from console.templating import render
from console.visitors import NotOurs, NotSignedIn, Visitor
from services.shared import telemetry
from services.shared.contract.codes import Code
from services.shared.http.answers import CAUSE
from services.shared.http.auth import KeysUnavailable, Unauthenticated
from services.shared.http.methods import allowed
from services.shared.http.problems import Problem

OURS: Final = (
    "This request did not come from a page of your session, so nothing was done. Open the page again and"
    " retry: you may have signed in again in the meantime."
)
AWAY: Final = "Your login cannot be verified at the moment, because {} does not answer. Nothing was done."
NO_PAGE: Final = "There is no such page."
FAULT: Final = (
    "An internal error, which is logged. The action may have been carried out: check before you repeat it."
)


def page(
    request: Request,
    name: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    now: datetime | None = None,
    **more: object,
) -> Response:
    """`now`: by which clock times are told, the database's where it was asked."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    html = render(
        name,
        **{
            "person": visitor.user if visitor else None,
            "csrf": visitor.session.csrf if visitor else "",
            "theme": theme_of(request),
            "path": _path(request),
            "now": now or datetime.now(UTC),
            "here": "",
            "failed": "",
            "commands": (),
            **more,
        },
    )
    return Response(html, status, headers_for(request), "text/html")


def mail(request: Request, html: str) -> Response:
    """A mail as it is, apart from the console: it runs nothing, loads nothing, and its links lead nowhere."""
    headers = {**headers_for(request), "Content-Security-Policy": browsers.OF_A_MAIL}
    return Response(html, HTTPStatus.OK, headers, "text/html")


def json(request: Request, content: bytes, status: HTTPStatus) -> Response:
    return Response(content, status, headers_for(request), "application/json")


def headers_for(request: Request) -> dict[str, str]:
    strict = browsers.STRICT if request.url.scheme == "https" else {}
    return {**browsers.HEADERS, **strict}


def theme_of(request: Request) -> str:
    theme = request.cookies.get(browsers.THEME, "")
    return theme if theme in browsers.THEMES else ""


def to(path: str) -> RedirectResponse:
    """After something was done: reloading the page that follows does not do it again."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, browsers.HEADERS)


def remember(request: Request, answer: Response, id_: str) -> None:
    insecure = request.app.state.insecure_cookie
    answer.set_cookie(
        browsers.cookie_name(insecure=insecure), id_, secure=not insecure, httponly=True, samesite="strict"
    )


def forget(request: Request, answer: Response) -> None:
    insecure = request.app.state.insecure_cookie
    answer.delete_cookie(
        browsers.cookie_name(insecure=insecure), secure=not insecure, httponly=True, samesite="strict"
    )


def _path(request: Request) -> str:
    """Of this page, to be shown again; after a form, of the page that it is on."""
    if request.method != "GET":
        return browsers.page_of_form(request.headers)
    query = f"?{request.url.query}" if request.url.query else ""
    return browsers.local_path(f"{quote(request.url.path)}{query}")


def sentence(text: str) -> str:
    """Of an error's text, which begins as those do, in lower case."""
    return f"{text[:1].upper()}{text[1:]}."


# --- what goes wrong --------------------------------------------------------------------------------------


def error(request: Request, status: HTTPStatus, title: str, detail: str) -> Response:
    return page(
        request, "error", status, title=title, detail=detail, request_id=telemetry.current_request_id() or ""
    )


def install(app: FastAPI) -> None:
    """Makes a page of every known error."""
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(NotOurs, _not_ours)
    app.add_exception_handler(browsers.NoForm, _not_ours)
    app.add_exception_handler(RedisError, _away)
    app.add_exception_handler(KeysUnavailable, _away)
    app.add_exception_handler(Unauthenticated, _away)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _not_signed_in(request: Request, _: Exception) -> Response:
    there = _path(request)
    if request.method == "GET" and browsers.is_from_elsewhere(request.headers):
        # The browser has left the cookie out; from a page of ours it will not.
        return page(request, "elsewhere", next=there)
    return to(f"/login?{urlencode({'next': there})}")


async def _not_ours(request: Request, _: Exception) -> Response:
    return error(request, HTTPStatus.FORBIDDEN, "Not done", OURS)


async def _away(request: Request, cause: Exception) -> Response:
    request.scope[CAUSE] = cause
    who = "Redis" if isinstance(cause, RedisError) else "the auth service"
    return error(request, HTTPStatus.SERVICE_UNAVAILABLE, "Not now", AWAY.format(who))


async def _http(request: Request, cause: Exception) -> Response:
    assert isinstance(cause, HTTPException)  # noqa: S101  # it is registered for no other
    status, detail, headers = HTTPStatus(cause.status_code), str(cause.detail), dict(cause.headers or {})
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = NO_PAGE
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"There is no such page to {request.method}."
            headers["Allow"] = ", ".join(allowed(request))
    answer = error(request, status, status.phrase.capitalize(), detail)
    answer.headers.update(headers)
    return answer


def refused(scope: Scope, cause: Problem) -> Response:
    """Of what no route has seen: too large, no form, or a path that means two things, which no page has."""
    status, detail = HTTPStatus(cause.status_code), sentence(cause.detail)
    if cause.code in {Code.MALFORMED_PATH, Code.INVALID}:
        status, detail = HTTPStatus.NOT_FOUND, NO_PAGE
    answer = error(Request(scope), status, status.phrase.capitalize(), detail)
    answer.headers.update(cause.headers or {})
    return answer


async def _invalid(request: Request, _: Exception) -> Response:
    detail = "The address of this page is invalid."
    return error(request, HTTPStatus.UNPROCESSABLE_ENTITY, "Not understood", detail)


class Pages:
    """ASGI middleware: what nobody expected is a page, too, and is logged with the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as cause:
            if scope["type"] != "http" or begun:
                raise
            scope[CAUSE] = cause
            answer = error(Request(scope), HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", FAULT)
            await answer(scope, receive, send)
