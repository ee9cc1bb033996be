"""HEAD is answered wherever GET is, OPTIONS everywhere; and a wrong method is told all the right ones."""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware, next to the routes: they see a GET, and the server leaves its body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, _headers_alone(send))
        finally:
            # By whose path metrics and traces call the request.
            scope["route"] = asked.get("route")


def _headers_alone(send: Send) -> Send:
    """The answer is over where its body begins to come in pieces: of a stream it would have no end."""
    is_over = False

    async def sending(message: Message) -> None:
        nonlocal is_over
        if is_over:
            return
        is_over = message.get("more_body", False)
        await send({**message, "more_body": False} if is_over else message)

    return sending


def allowed(request: Request) -> list[str]:
    """The methods of the request's path, over all routes: a route by itself knows its own alone.

    All but OPTIONS, which any path has.
    """
    methods = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    } or {"GET"}  # a file of a mounted directory: no route names it
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))
