"""What one connection may have of a server before it has asked for anything, on real sockets."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter, FastAPI, Request, Response

from sagactl.polling import until
from services.shared.contract.codes import Code
from services.shared.health import Readiness
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.kinds import KINDS, type_of
from services.shared.http.protocol import Asked, TurnAway, nobody
from services.shared.settings import Settings
from tests.integration.room import PATIENCE
from tests.integration.serving import serving

router = APIRouter()
UPGRADE = b"GET /headers HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
READ = b"GET /headers HTTP/1.1\r\nHost: shop\r\n\r\n"
# Seconds: before the deadline of headers would have ended a connection anyway.
SOON = 8.0
LARGE = 32 * 1024 * 1024  # more than two sockets hold between them


@router.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


@router.post("/echo")
async def echo(request: Request) -> Response:
    body = await request.body()
    return Response(json.dumps([len(body), dict(request.headers)]))


@router.get("/large")
async def large() -> Response:
    return Response(b"x" * LARGE)


@router.get("/slow")
async def slow() -> str:
    await asyncio.sleep(1)
    return "at last"


@router.get("/held")
async def held(request: Request) -> str:
    """Answered once the test says so."""
    hold: Hold = request.app.state.hold
    hold.at_work += 1
    await hold.ends.wait()
    return "at last"


@dataclass
class Hold:
    at_work: int = 0
    ends: asyncio.Event = field(default_factory=asyncio.Event)


class PlainSettings(Settings):
    service: ClassVar[str] = "plain"


def make_app(settings: PlainSettings, hold: Hold | None = None) -> FastAPI:
    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[ReadinessCheck]:
        async def ready() -> Readiness:
            return Readiness(ready=True, detail="ok")

        yield ready

    app = create_app(settings, router, life)
    app.state.hold = hold
    return app


class Connection:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_endlessly(self, data: bytes) -> None:
        """Raises ConnectionError when the peer has had enough."""
        while True:
            await self.send(data)

    async def status(self) -> int:
        """Of the next answer, whose body is read as well. Zero where the connection has ended without one."""
        head = await self._until_blank()
        if not head:
            return 0
        lines = head.decode().lower().split("\r\n")
        [length] = [int(line.split(":")[1]) for line in lines if line.startswith("content-length:")]
        self.body = await self.reader.readexactly(length)
        return int(head.split(b" ")[1])

    async def is_told(self, status: int, code: Code) -> str:
        """The detail of the next answer, which is a problem of this kind, as any other."""
        assert await self.status() == status
        problem = json.loads(self.body)
        assert (problem["type"], problem["title"]) == (type_of(code), KINDS[code].title)
        assert (problem["status"], problem["code"]) == (status, code)
        return str(problem["detail"])

    async def ends(self) -> bool:
        async with asyncio.timeout(SOON):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    async def _until_blank(self) -> bytes:
        async with asyncio.timeout(SOON):
            try:
                return await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""


class Clients:
    """Connections to one server, which end with the test."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        self._open: list[Connection] = []

    async def connect(self, said: bytes = b"") -> Connection:
        connection = Connection(*await asyncio.open_connection(self._at.hostname, self._at.port))
        self._open.append(connection)
        await connection.send(said)
        return connection

    async def close(self) -> None:
        for connection in self._open:
            connection.writer.transport.abort()


@asynccontextmanager
async def clients(
    turn_away: TurnAway = nobody, hold: Hold | None = None, **limits: Any
) -> AsyncIterator[Clients]:
    make = partial(make_app, hold=hold)
    async with serving(make, PlainSettings(port=3000, **limits), turn_away) as url:
        clients = Clients(url)
        try:
            yield clients
        finally:
            await clients.close()


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nHost: shop\r\nX-Long: " + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nHost: shop\r\n" + b"X: y\r\n" * 20_000,
        b"\r\n" * 50_000,
        b"GET / HTTP/1.1\r\nHost: shop\r\nX-Long: " + b"x" * 33_000 + b"\r\n\r\n",
    ],
    ids=["an endless URL", "an endless header", "endless headers", "endless empty lines", "a whole request"],
)
async def test_more_than_32_kib_of_headers_is_431_and_the_end(endless: bytes) -> None:
    async with clients() as those:
        connection = await those.connect(endless)
        assert "32768 bytes" in await connection.is_told(431, Code.HEADERS_TOO_LARGE)
        assert await connection.ends()


async def test_headers_of_just_under_32_kib_are_read_also_before_a_large_body() -> None:
    head = POST + b"X-Long: %b\r\nContent-Length: 60000\r\n\r\n" % (b"x" * 32_000)
    async with clients() as those:
        connection = await those.connect(head + b"y" * 60_000)
        assert await connection.status() == 200
        await connection.send(head + b"y" * 60_000)
        assert await connection.status() == 200


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\nHost: shop\r\n", b"\r\n", READ + b"GET / HT"],
    ids=["nothing", "half of the headers", "an empty line", "half of a second request"],
)
async def test_a_request_whose_headers_do_not_come_is_408(begun: bytes) -> None:
    async with clients(header_timeout_seconds=0.5, request_timeout_seconds=60) as those:
        connection = await those.connect(begun)
        if begun.startswith(READ):
            assert await connection.status() == 200
        assert "send it again" in await connection.is_told(408, Code.REQUEST_TOO_SLOW)
        assert await connection.ends()


async def test_a_header_byte_now_and_then_does_not_put_the_deadline_off() -> None:
    async with clients(header_timeout_seconds=0.5) as those:
        connection = await those.connect(b"GET / HTTP/1.1\r\nHost: shop\r\nX: ")
        answered = asyncio.create_task(connection.status())
        while not answered.done():
            connection.writer.write(b"x")
            await asyncio.sleep(0.05)
        assert await answered == 408


async def test_a_body_that_does_not_come_is_408_and_its_route_gives_up() -> None:
    async with clients(request_timeout_seconds=0.3) as those:
        connection = await those.connect(POST + b"Content-Length: 10\r\n\r\n12345")
        assert await connection.status() == 408
        assert await connection.ends()


EARLY = b"POST /healthz HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "then"),
    [(READ, b""), (EARLY, b"{}"), (UPGRADE, b"")],
    ids=["at once", "before its body was there", "and is not upgraded"],
)
async def test_a_connection_with_nothing_to_do_ends_however_it_was_answered(
    monkeypatch: pytest.MonkeyPatch, said: bytes, then: bytes
) -> None:
    monkeypatch.setattr("services.shared.http.serving.KEEP_ALIVE_SECONDS", 0.3)
    async with clients() as those:
        connection = await those.connect(said)
        assert await connection.status() in (200, 405)
        await connection.send(then)
        assert await connection.ends()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
async def test_requests_are_the_same_however_they_are_cut_into_pieces(size: int) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    said = READ + POST + b"Content-Length: 5\r\n\r\n12345" + b"\r\n" + POST + chunked + READ
    async with clients() as those:
        connection = await those.connect()
        for start in range(0, len(said), size):
            await connection.send(said[start : start + size])
            await asyncio.sleep(0)
        assert [await connection.status() for _ in range(4)] == [200] * 4


async def test_a_slow_answer_is_nobodys_slow_request() -> None:
    async with clients(header_timeout_seconds=0.5, request_timeout_seconds=0.5) as those:
        connection = await those.connect(READ.replace(b"headers", b"slow"))
        assert await connection.status() == 200


async def test_half_open_requests_make_room_and_the_oldest_goes_first() -> None:
    async with clients(max_connections=10) as those:
        half_open = [await those.connect(b"GET / HT") for _ in range(12)]
        assert await (await those.connect(READ)).status() == 200
        assert await half_open[0].ends()
        await half_open[-1].send(b"TP/1.1\r\nHost: shop\r\n\r\n")
        assert await half_open[-1].status() == 404


async def test_idle_connections_make_room_after_those_that_are_half_open() -> None:
    async with clients(max_connections=10) as those:
        idle = [await those.connect(READ) for _ in range(9)]
        assert [await connection.status() for connection in idle] == [200] * 9
        half_open = await those.connect(b"GET / HT")
        assert await (await those.connect(READ)).status() == 200
        assert await half_open.ends()
        assert await (await those.connect(READ)).status() == 200
        assert await idle[0].ends()
        await idle[-1].send(READ)
        assert await idle[-1].status() == 200


async def test_where_all_places_are_at_work_the_next_one_is_503() -> None:
    hold = Hold()

    async def at_work() -> int:
        return hold.at_work

    async with clients(hold=hold, max_connections=10) as those:
        busy = [await those.connect(READ.replace(b"headers", b"held")) for _ in range(10)]
        await until(at_work, lambda count: count == 10, within=PATIENCE, what="all places at work")
        assert "too many" in await (await those.connect(READ)).is_told(503, Code.OVERLOADED)
        hold.ends.set()
        assert [await connection.status() for connection in busy] == [200] * 10


async def test_a_body_without_an_end_is_refused_and_cut_off() -> None:
    async with clients() as those:
        connection = await those.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            await connection.send_endlessly(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


async def test_what_follows_a_body_is_no_header_of_the_request() -> None:
    async with clients() as those:
        connection = await those.connect(
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
        )
        assert await connection.status() == 200
        size, seen = json.loads(connection.body)
        assert (size, seen.get("authorization")) == (1, None)


async def test_requests_sent_ahead_are_answered_in_order_but_not_by_the_thousand() -> None:
    async with clients() as those:
        connection = await those.connect(READ * 10)
        assert [await connection.status() for _ in range(10)] == [200] * 10
        greedy = await those.connect(READ * 1000)
        assert await greedy.status() in (0, 200)
        assert not [status for _ in range(20) if (status := await greedy.status())][17:]


async def test_a_reader_who_does_not_read_gives_its_place_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.shared.http.serving.STALLED_SECONDS", 0.3)
    async with clients() as those:
        connection = await those.connect(READ.replace(b"headers", b"large"))
        await asyncio.sleep(2)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await connection.reader.readexactly(LARGE)


async def test_a_server_that_ends_does_not_wait_for_who_does_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("services.shared.http.protocol.PARTING_SECONDS", 0.3)
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setblocking(False)  # noqa: FBT003  # the standard library's
        async with serving(make_app, PlainSettings(port=3000)) as url:
            at = urlsplit(url)
            await loop.sock_connect(reader, (at.hostname, at.port))
            await loop.sock_sendall(reader, READ.replace(b"headers", b"large"))
            assert await loop.sock_recv(reader, 4) == b"HTTP"
    said = capsys.readouterr().out
    assert "stopping" in said
    assert "graceful shutdown exceeded" not in said


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET http://shop HTTP/1.1\r\nHost: shop\r\n\r\n", 400),
        (b"CONNECT shop:80 HTTP/1.1\r\nHost: shop\r\n\r\n", 400),
        (UPGRADE, 200),
    ],
)
async def test_odd_requests_are_answered_and_write_no_log(
    said: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with clients() as those:
            caplog.clear()
            connection = await those.connect(said)
            assert await connection.status() == status
            assert caplog.records == []


AWAY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
WHOLE = POST + b"Content-Length: 5\r\n\r\nhello"


def no_posts(asked: Asked) -> bytes | None:
    return AWAY if asked.method == b"POST" and asked.target == b"/echo" else None


async def test_who_is_turned_away_may_ask_again_on_the_same_connection() -> None:
    async with clients(no_posts) as those:
        connection = await those.connect()
        for asked, status in ((WHOLE, 503), (READ, 200), (WHOLE, 503), (WHOLE, 503), (READ, 200)):
            for piece in (asked[:30], asked[30:]):
                await connection.send(piece)
            assert await connection.status() == status


async def test_requests_sent_ahead_are_answered_in_order_though_some_are_turned_away() -> None:
    async with clients(no_posts) as those:
        connection = await those.connect(WHOLE + READ + WHOLE)
        # The third came while the second was at work, and had to wait for its turn like any other.
        assert [await connection.status() for _ in range(3)] == [503, 200, 200]


async def test_who_does_not_want_to_stay_is_turned_away_and_let_go() -> None:
    async with clients(no_posts) as those:
        connection = await those.connect(WHOLE.replace(b"Host", b"Connection: close\r\nHost"))
        assert await connection.status() == 503
        assert await connection.ends()


async def test_who_is_turned_away_in_the_middle_of_a_body_has_the_same_limits() -> None:
    async with clients(no_posts, request_timeout_seconds=0.6, header_timeout_seconds=0.5) as those:
        slow = await those.connect(POST + b"Content-Length: 5\r\n\r\nhe")
        assert await slow.status() == 408
        assert await slow.ends()
        large = await those.connect(POST + b"Content-Length: 5000000\r\n\r\n" + b"x" * 2_000_000)
        assert await large.status() == 413
        assert await large.ends()
        idle = await those.connect(WHOLE)
        assert await idle.status() == 503
        await asyncio.sleep(0.8)  # longer than a request may take: it has nothing to do with what follows
        await idle.send(READ)
        assert await idle.status() == 200


async def test_who_waits_to_be_told_to_go_on_is_answered_by_the_route() -> None:
    async with clients(no_posts) as those:
        connection = await those.connect(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        await connection.send(b"hello")
        assert await connection.status() == 200


async def test_answers_do_not_pile_up_for_one_who_is_turned_away_and_does_not_read() -> None:
    large = AWAY.replace(b"content-length: 4", b"content-length: 10000").replace(b"busy", b"x" * 10_000)
    answered = 0

    def count(_: Asked) -> bytes:
        nonlocal answered
        answered += 1
        return large

    async with clients(count) as those:
        connection = await those.connect()
        with suppress(ConnectionError):
            await connection.send(b"POST /echo HTTP/1.1\r\n\r\n" * 20_000)
        await asyncio.sleep(1)
    assert 0 < answered < 5_000  # what the sockets hold; 20,000 would be 200 MB
