"""A service of no business: it tells what it was asked, and does what a test wants of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass(frozen=True)
class Asked:
    method: str
    # As it came over the wire.
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Echo:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    # Set, an answer goes on: the next event, or a slow one at last.
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    # Bytes of a flood so far.
    poured: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.raw_path, headers, await request.read()))
        match request.path.rpartition("/")[2]:
            case "events":
                return await self._stream(request, "text/event-stream")
            case "flood":
                return await self._flood(request)
            case "truncated":
                return await self._stream(request, "application/octet-stream")
            case "slow":
                await self.go_on.wait()
            case "broken" if request.transport is not None:
                request.transport.abort()
        return web.json_response(
            {"echo": True},
            status=201,
            headers={
                "Location": "/api/orders/o1",
                "Keep-Alive": "timeout=5",
                "X-Request-ID": "the echo's own",
            },
        )

    async def _stream(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        try:
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await self.go_on.wait()
            if kind != "text/event-stream" and request.transport is not None:
                request.transport.abort()
            await response.write(b"data: 2\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise
        return response

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        """As much as is taken."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            while True:
                await response.write(b"data: " + b"x" * 65_536 + b"\n\n")
                self.poured += 65_536
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise


@asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    echo = Echo()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo.answer)
    async with TestServer(app, skip_url_asserts=True) as server:
        await server.start_server(handler_cancellation=True)
        echo.url = str(server.make_url("")).rstrip("/")
        yield echo
        echo.go_on.set()
