"""A real receiver of webhooks, by TLS, which does what the path of a call says, and keeps what came."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import trustme
from aiohttp import web

from tests.ports import free_port

# What its certificate says.
NAMES: Final = ("merchant.example", "localhost", "127.0.0.1")


class Authority(NamedTuple):
    """Whom those are to believe that call, and what a receiver shows."""

    file: Path
    context: ssl.SSLContext


@contextmanager
def authority(*names: str) -> Iterator[Authority]:
    made, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert(*(names or NAMES)).configure_cert(context)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ca.pem"
        made.cert_pem.write_to_path(str(file))
        yield Authority(file, context)


class Call(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """Paths are `/ok`, `/gone`, `/redirect`, `/endless`, `/hang`, `/429`; and `/switch`, by `does`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls: list[Call] = []
        # Connections so far, whether or not something was asked by them.
        self.connections = 0
        # Of calls to /switch.
        self.does = 204
        # Path -> how many of its calls are under way, and were at the same time at most.
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"

    def to(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        self.under_way[path] += 1
        self.most[path] = max(self.most[path], self.under_way[path])
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.calls.append(Call(path, headers, await request.read()))
            return await self._answer(request, path)
        finally:
            self.under_way[path] -= 1

    async def _answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        match path:
            case "/gone":
                return web.Response(status=410)
            case "/redirect":
                return web.Response(status=307, headers={"Location": self.url("/elsewhere")})
            case "/429":
                return web.Response(status=429, headers={"Retry-After": "120"})
            case "/hang":
                await asyncio.Event().wait()
            case "/endless":
                endless = web.StreamResponse()
                await endless.prepare(request)
                while request.transport is not None and not request.transport.is_closing():
                    await endless.write(b"x" * 65536)
                    # What is written to nobody waits for nothing.
                    await asyncio.sleep(0)
                return endless
            case "/switch":
                return web.Response(status=self.does)
        return web.Response(status=204)


@asynccontextmanager
async def receiving(context: ssl.SSLContext) -> AsyncIterator[Receiver]:
    receiver = Receiver(free_port())
    # Who hangs up is not answered any more: what is under way is what callers wait for.
    server = web.Server(receiver.answer, handler_cancellation=True)

    def protocol() -> asyncio.Protocol:
        receiver.connections += 1
        return server()

    listening = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", receiver.port, ssl=context
    )
    try:
        yield receiver
    finally:
        listening.close()
        # 0 would be for ever.
        await server.shutdown(0.1)
