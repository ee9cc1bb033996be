"""The smallest HTTP client that will do: CPU time that the load generator takes, the services lack."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self, cast
from urllib.parse import urlsplit

import httptools


def post(url: str, path: str, token: str, body: object) -> bytes:
    """A request, to be made before the clock runs."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()

    @classmethod
    async def open(cls, url: str) -> Self:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, parts.hostname or "", parts.port or 80)
        return connection

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body. Raises ConnectionError when the other end goes away."""
        if self._transport is None or not self.is_open:
            raise ConnectionError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- asyncio ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape alone

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(exc or "closed by the other end")))

    # --- httptools --------------------------------------------------------------------------------------

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status, body = self._parser.get_status_code(), bytes(self._body)
        self._body.clear()
        self._parser = httptools.HttpResponseParser(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))


class Pool:
    """As many connections as are in use at the same time, to each URL in turn; a free one is used again."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = itertools.cycle(urls)
        self._free: list[Connection] = []
        # How many were opened.
        self.opened = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        connection = await self._take()
        try:
            yield connection
        finally:
            self._free.append(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.close()

    async def _take(self) -> Connection:
        while self._free:
            # The one used last: what is needed in a burst alone is closed by the other end in the meantime.
            if (connection := self._free.pop()).is_open:
                return connection
        self.opened += 1
        return await Connection.open(next(self._urls))
