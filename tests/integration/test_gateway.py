"""The gateway on real sockets and a real Redis, before a service that tells what came through."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from pydantic import ValidationError

from dev.stack import Stack
from sagactl.polling import until
from services.auth.main import make_app as make_auth
from services.auth.settings import AuthSettings
from services.gateway import limiter, upstream
from services.gateway.limits import Budget, Verdict
from services.gateway.main import make_app
from services.gateway.settings import GatewaySettings
from services.shared.cache import TIMEOUT_SECONDS, connect_redis
from services.shared.contract.codes import Code
from tests.integration.echo import Echo, echoing
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room
from tests.integration.serving import serving
from tests.ports import free_port

pytestmark = pytest.mark.without_broker
TRACE = "0af7651916cd43dd8448eb211c80319c"
NOWHERE = "http://127.0.0.1:9"
BEHIND = ("auth", "order", "product", "inventory", "payment", "notification")


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    async with echoing() as echo:
        yield echo


@asynccontextmanager
async def gateway(room: Room, issuer: Issuer, echo: Echo, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway behind which every service is the echo."""
    urls = {f"{service}_url": echo.url for service in BEHIND}
    own = {"redis_url": room.redis_url, "jwks_url": issuer.jwks_url, "rate_limit_requests": 10_000}
    given: dict[str, Any] = urls | own | changes
    settings = GatewaySettings(**given)
    async with serving(make_app, settings) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:

        async def ready() -> bool:
            return (await client.get("/readyz")).is_success

        await until(ready, within=PATIENCE, what="the gateway to be ready")
        echo.asked.clear()
        yield client


@pytest_asyncio.fixture
async def client(room: Room, issuer: Issuer, echo: Echo) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(room, issuer, echo) as client:
        yield client


async def raw(client: httpx.AsyncClient, target: str, *headers: str, method: str = "GET") -> bytes:
    """The whole answer to a request line that no client library would send."""
    url = urlsplit(str(client.base_url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = [f"{method} {target} HTTP/1.1", "Host: shop", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


# --- through ----------------------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_sent(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    sent = issuer.headers("ada") | {
        "Idempotency-Key": "k1",
        "X-Request-ID": "r-1",
    }
    await client.post("/api/orders?a=1&b=%20x", json={"ids": ["p1"]}, headers=sent)
    (asked,) = echo.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/api/orders?a=1&b=%20x", b'{"ids":["p1"]}')
    assert asked.headers["authorization"] == sent["Authorization"]
    assert asked.headers["idempotency-key"] == "k1"
    assert asked.headers["x-request-id"] == "r-1"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-forwarded-for"] == "127.0.0.1"


async def test_a_caller_steers_no_trace_unless_a_proxy_of_ours_makes_them(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    """Neither which one it is, nor what vendors say of it, nor hence whether it is recorded."""
    said = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=opaque"}
    sent = issuer.headers("ada") | {"X-Request-ID": "r-1"} | said

    async def handed_on(*, trusted: bool) -> tuple[str, str]:
        async with gateway(room, issuer, echo, trusted_traces=trusted) as client:
            await client.post("/api/orders", json={}, headers=sent)
        headers = echo.asked[-1].headers
        return headers["traceparent"].split("-")[1], headers["tracestate"]

    trace, state = await handed_on(trusted=False)
    assert (trace != TRACE, state) == (True, "sagashop=r-1")
    assert await handed_on(trusted=True) == (TRACE, "sagashop=r-1,vendor=opaque")


async def test_an_answer_comes_back_as_it_was_given(client: httpx.AsyncClient, issuer: Issuer) -> None:
    answer = await client.post("/api/orders", headers=issuer.headers("ada"))
    assert (answer.status_code, answer.json()) == (201, {"echo": True})
    assert answer.headers["location"] == "/api/orders/o1"
    assert "keep-alive" not in answer.headers
    assert len(answer.headers.get_list("date")) == 1
    assert len(answer.headers.get_list("x-request-id")[0]) == 32
    assert answer.headers.get_list("x-request-id") != ["the echo's own"]


async def test_headers_of_the_connection_and_of_strangers_stay_out(
    client: httpx.AsyncClient, echo: Echo
) -> None:
    answer = await raw(
        client,
        "/api/products",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
    )
    assert answer.startswith(b"HTTP/1.1 201")
    (asked,) = echo.asked
    assert not {"x-hop", "forwarded"} & asked.headers.keys()
    assert asked.headers["x-forwarded-for"] == "127.0.0.1"


async def test_an_answer_is_kept_from_being_misread_framed_or_kept(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    anyones = await client.get("/api/products")
    somebodys = await client.get("/api/orders", headers=issuer.headers("ada"))
    refused = await client.get("/api/orders", headers={"Authorization": "Bearer x"})
    for answer in (anyones, somebodys, refused, await client.get("/nothing")):
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        policy = "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers.get_list("content-security-policy") == [policy]
    assert "cache-control" not in anyones.headers
    assert somebodys.headers["cache-control"] == refused.headers["cache-control"] == "no-store"


async def test_browsers_are_told_to_come_by_tls_by_those_that_came_by_it(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    over_tls = {"X-Forwarded-Proto": "https"}
    async with gateway(room, issuer, echo) as client:
        answer = await client.get("/api/products", headers=over_tls)
        assert "strict-transport-security" not in answer.headers, "anybody may say so"
    async with gateway(room, issuer, echo, trusted_proxies="127.0.0.1") as client:
        for path in ("/api/products", "/docs", "/nothing"):
            answer = await client.get(path, headers=over_tls)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in (await client.get("/api/products")).headers


async def test_a_second_token_is_refused_before_one_is_counted_and_the_other_believed(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    tokens = [f"Authorization: Bearer {issuer.token(user)}" for user in ("ada", "bob")]
    assert (await raw(client, "/api/orders", *tokens)).startswith(b"HTTP/1.1 400")
    assert echo.asked == []


async def test_no_cookie_of_one_caller_reaches_another(client: httpx.AsyncClient, echo: Echo) -> None:
    await client.get("/api/products", headers={"Cookie": "a=1"})
    await client.get("/api/products")
    assert [asked.headers.get("cookie") for asked in echo.asked] == ["a=1", None]


@pytest.mark.parametrize(
    "target",
    [
        "/internal/orders/stale",
        "//internal/orders/stale",
        "/api/orders/../../internal/orders/stale",
        "/api/orders/%2e%2e/%2e%2e/internal/orders/stale",
        "/api/orders/..%2f..%2finternal",
        "/api/orders/%252e%252e/internal",
        "/api/orders//internal",
        "/auth/%2e%2e/internal",
        "/api%2forders",
        "/api/notifications",
        "/metrics/../internal",
    ],
)
async def test_there_is_no_way_around_the_list(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo, target: str
) -> None:
    token = issuer.headers("boss", admin=True)["Authorization"]
    answer = await raw(client, target, f"Authorization: {token}")
    assert answer.split(b" ")[1] in (b"400", b"404", b"422")
    assert b"application/problem+json" in answer
    assert echo.asked == []


async def test_a_body_of_more_than_64_kib_is_refused(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    headers = issuer.headers("ada") | {"Content-Type": "application/json"}
    answer = await client.post("/api/orders", content=b"x" * 65_537, headers=headers)
    assert answer.status_code == 413
    assert echo.asked == []
    await client.post("/api/orders", content=b"x" * 65_536, headers=headers)
    assert len(echo.asked[0].body) == 65_536


# --- pages that people read -------------------------------------------------------------------------------


async def test_the_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/errors"):
        page = await client.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self';" in page.headers["content-security-policy"]
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert address.startswith("/")
            assert (await client.get(address)).status_code == 200, address
    assert "/openapi.json" in (await client.get("/static/docs.js")).text


async def test_a_browser_that_asks_for_an_icon_gets_one(client: httpx.AsyncClient) -> None:
    icon = await client.get("/favicon.ico", follow_redirects=True)
    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")


async def test_every_type_of_a_problem_leads_to_its_place_in_a_page(client: httpx.AsyncClient) -> None:
    page = (await client.get("/errors")).text
    assert re.findall(r'<section id="([^"]+)">', page) == list(Code)
    problem = (await client.get("/nowhere")).json()
    assert (await client.get(problem["type"])).status_code == 200


# --- web pages of other origins ---------------------------------------------------------------------------

PREFLIGHT = {"Access-Control-Request-Method": "POST"}


async def test_web_pages_of_other_origins_are_let_in_by_a_setting_alone(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    ours, theirs = {"Origin": "https://shop.example"}, {"Origin": "https://evil.example"}
    async with gateway(room, issuer, echo) as client:
        unknown = await client.options("/api/orders", headers=ours | PREFLIGHT)
        assert "access-control-allow-origin" not in unknown.headers
        assert "access-control-allow-origin" not in (await client.get("/api/products", headers=ours)).headers
    origins = "https://shop.example/, http://localhost:5173"
    async with gateway(room, issuer, echo, cors_origins=origins) as client:
        for headers in (ours, {"Origin": "http://localhost:5173"}):
            preflight = await client.options("/api/orders", headers=headers | PREFLIGHT)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == headers["Origin"]
        for headers, says in (
            (theirs | PREFLIGHT, "CORS_ORIGINS"),
            (ours | {"Access-Control-Request-Method": "TRACE"}, "GET, HEAD, POST, PUT, PATCH, DELETE"),
            (ours | PREFLIGHT | {"Access-Control-Request-Headers": "X-Own"}, "Idempotency-Key"),
        ):
            refusal = await client.options("/api/orders", headers=headers)
            assert (refusal.status_code, refusal.json()["code"]) == (403, "origin-refused")
            assert refusal.headers["content-type"] == "application/problem+json"
            assert refusal.headers["x-content-type-options"] == "nosniff"
            assert says in refusal.json()["detail"]
        refused = await client.get("/api/orders", headers=ours)
        assert refused.status_code == 401, "errors are read, too"
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        other = await client.get("/api/products", headers=theirs)
        assert "access-control-allow-origin" not in other.headers
    assert "OPTIONS" not in [asked.method for asked in echo.asked]


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/path", "https://a b"])
def test_what_is_no_origin_is_no_setting(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        GatewaySettings(cors_origins=origin)


# --- who ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("GET", "/api/payments/o1"),
        ("POST", "/api/products"),
        ("DELETE", "/api/products/p1"),
        ("POST", "/api/inventory/p1/restock"),
        ("GET", "/auth/me"),
        ("POST", "/auth/password"),
        ("POST", "/auth/logout-all"),
    ],
)
async def test_what_needs_a_token_is_refused_without_one_right_here(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo, method: str, path: str
) -> None:
    expired = {"Authorization": f"Bearer {issuer.token('ada', expires_in=-60)}"}
    for headers in ({}, expired, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic YTpi"}):
        answer = await client.request(method, path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert echo.asked == []
    assert (await client.request(method, path, headers=issuer.headers("ada"))).status_code == 201


async def test_what_is_open_is_open_even_with_a_token_that_has_expired(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    expired = {"Authorization": f"Bearer {issuer.token('ada', expires_in=-60)}"}
    for path in ("/api/products", "/api/products/p1", "/api/inventory/p1", "/.well-known/jwks.json"):
        assert (await client.get(path)).status_code == 201
        assert (await client.get(path, headers=expired)).status_code == 201
    assert (await client.post("/auth/refresh", headers=expired, json={})).status_code == 201
    assert len(echo.asked) == 9


async def test_without_keys_it_is_not_ready_and_lets_nobody_in(
    room: Room, echo: Echo, issuer: Issuer
) -> None:
    settings = GatewaySettings(redis_url=room.redis_url, jwks_url=f"{NOWHERE}/keys", product_url=echo.url)
    async with serving(make_app, settings) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.get("/api/orders", headers=issuer.headers("ada"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await client.get("/api/products")).status_code == 201, "what is open stays open"


def passed_on(upstream: str, result: str) -> float:
    """How often the service was asked, by what came of it: there from the start."""
    name, labels = (
        "sagashop_upstream_request_duration_seconds_count",
        {"upstream": upstream, "result": result},
    )
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None
    return found


# --- when services fail -----------------------------------------------------------------------------------


async def test_a_service_that_is_away_is_503_and_the_gateway_degraded(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, order_url=NOWHERE) as client:
        before = passed_on("order", "unavailable")
        answer = await client.get("/api/orders", headers=issuer.headers("ada"))
        assert passed_on("order", "unavailable") == before + 1
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["detail"] == "the order service is unavailable"
        readiness = await client.get("/readyz")
        assert (readiness.status_code, readiness.text) == (200, "degraded: unavailable: order")


async def test_a_service_that_takes_too_long_is_504(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with gateway(room, issuer, echo, upstream_timeout_seconds=0.3) as client:
        before = passed_on("order", "too slow")
        answer = await client.get("/api/orders/slow", headers=issuer.headers("ada"))
        assert passed_on("order", "too slow") == before + 1
        assert (answer.status_code, answer.headers["retry-after"]) == (504, "1")


async def test_a_service_that_breaks_off_is_502_and_may_have_acted(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    before, answered = passed_on("order", "broke off"), passed_on("order", "2xx")
    answer = await client.post("/api/orders/broken", headers=issuer.headers("ada"))
    assert answer.status_code == 502
    assert (passed_on("order", "broke off"), passed_on("order", "2xx")) == (before + 1, answered)
    assert "may have done" in answer.json()["detail"]
    assert len(echo.asked) == 1, "a request that may have acted is not repeated"
    await client.get("/api/orders", headers=issuer.headers("ada"))
    assert passed_on("order", "2xx") == answered + 1


# --- what a request is called -----------------------------------------------------------------------------

OF_ITS_OWN = {
    "400: a path of dots": (400, "GET", "/api/orders/%2e%2e", {}),
    "401: no token": (401, "GET", "/api/orders", {}),
    "404: no such path": (404, "GET", "/api/nothing", {}),
    "405 or 501: no such method": (None, "TRACE", "/api/products", {}),
    "413: too large": (413, "POST", "/api/products", {"Content-Length": "65537"}),
    "422: a slash in an id": (422, "GET", "/api/orders/a%2fb", {}),
    "502: the service breaks off": (502, "GET", "/api/products/broken", {}),
    "503: the service is unavailable": (503, "POST", "/auth/logout", {"Content-Length": "0"}),
    "504: the service takes too long": (504, "GET", "/api/products/slow", {}),
    "200: its description": (200, "GET", "/openapi.json", {}),
    "200: a probe": (200, "GET", "/healthz", {}),
}


@pytest_asyncio.fixture
async def troubled(room: Room, issuer: Issuer, echo: Echo) -> AsyncIterator[httpx.AsyncClient]:
    """Of a gateway that cannot reach everything."""
    async with gateway(room, issuer, echo, auth_url=NOWHERE, upstream_timeout_seconds=0.3) as client:
        yield client


async def test_every_answer_of_the_gateways_own_names_the_request_as_its_caller_does(
    troubled: httpx.AsyncClient,
) -> None:
    for case, (status, method, path, headers) in OF_ITS_OWN.items():
        request = [f"{name}: {value}" for name, value in headers.items()]
        answer = await raw(troubled, path, "X-Request-ID: mine-7", *request, method=method)
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert status is None or head.split()[1] == str(status).encode(), case
        assert head.count(b"\r\nx-request-id: mine-7\r\n") == 1, case


async def test_a_request_without_an_id_or_with_a_strange_one_is_given_one(
    client: httpx.AsyncClient, echo: Echo
) -> None:
    for headers in ({}, {"X-Request-ID": "a b"}, {"X-Request-ID": "x" * 65}):
        answer = await client.get("/api/products", headers=headers)
        (own,) = answer.headers.get_list("x-request-id")
        assert len(own) == 32
        assert echo.asked[-1].headers["x-request-id"] == own


async def test_a_refusal_for_too_many_requests_names_its_request(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=1) as client:
        headers = issuer.headers("ada") | {"X-Request-ID": "mine-8"}
        answers = [await client.get("/api/orders", headers=headers) for _ in range(3)]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["x-request-id"] == "mine-8"


# --- streams ----------------------------------------------------------------------------------------------


async def test_events_arrive_one_by_one_and_for_longer_than_an_answer_may_take(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with (
        gateway(room, issuer, echo, upstream_timeout_seconds=0.3) as client,
        client.stream("GET", "/api/orders/o1/events", headers=issuer.headers("ada")) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"data: 1\n\n"
        await asyncio.sleep(0.5)
        echo.go_on.set()
        assert await anext(chunks) == b"data: 2\n\n"
        assert [chunk async for chunk in chunks] == []


async def test_when_the_caller_hangs_up_the_service_hears_of_it(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    async with client.stream("GET", "/api/orders/o1/events", headers=issuer.headers("ada")) as answer:
        await anext(answer.aiter_bytes())
    async with asyncio.timeout(PATIENCE):
        await echo.hung_up.wait()


async def test_an_answer_that_breaks_in_the_middle_does_not_look_whole(
    client: httpx.AsyncClient, issuer: Issuer, echo: Echo
) -> None:
    async with client.stream("GET", "/api/orders/truncated", headers=issuer.headers("ada")) as answer:
        chunks = answer.aiter_bytes()
        await anext(chunks)
        echo.go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)


async def streams_open() -> float | None:
    return REGISTRY.get_sample_value("sagashop_streams_open")


async def test_streams_have_places_of_their_own_and_one_that_ends_makes_room(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    url, headers = "/api/orders/o1/events", issuer.headers("ada")
    async with gateway(room, issuer, echo, max_streams_per_address=1) as client:
        async with client.stream("GET", url, headers=headers) as answer:
            chunks = answer.aiter_bytes()  # without anybody who has it, the client would close the stream
            await anext(chunks)
            refused = await client.get(url, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
            assert (await client.get("/api/orders/o1", headers=headers)).status_code == 201
            echo.go_on.set()

        async def is_let_in() -> bool:
            return (await client.get(url, headers=headers)).status_code == 200

        await until(is_let_in, within=PATIENCE, what="room for another stream")
        await until(streams_open, lambda number: number == 0, within=PATIENCE, what="the end of all streams")


async def test_streams_of_all_together_leave_room_for_requests(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    url = "/api/orders/o1/events"
    async with (
        gateway(room, issuer, echo, max_connections=10, trusted_proxies="127.0.0.0/8") as client,
        AsyncExitStack() as several,
    ):
        streams: list[AsyncIterator[bytes]] = []
        for number in range(5):
            headers = issuer.headers("ada") | {"X-Forwarded-For": f"192.0.2.{number}"}
            answer = await several.enter_async_context(client.stream("GET", url, headers=headers))
            streams.append(answer.aiter_bytes())
            await anext(streams[-1])
        assert await streams_open() == 5
        refused = await client.get(url, headers=issuer.headers("bob"))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert (await client.get("/api/orders/o1", headers=issuer.headers("bob"))).status_code == 201


async def test_a_stream_of_which_nothing_is_heard_any_more_ends(
    room: Room, issuer: Issuer, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its service may have gone with its machine, of which no connection tells."""
    monkeypatch.setattr(upstream, "SILENT_SECONDS", 0.3)
    url, headers = "/api/orders/o1/events", issuer.headers("ada")
    async with gateway(room, issuer, echo) as client, client.stream("GET", url, headers=headers) as answer:
        assert [chunk async for chunk in answer.aiter_bytes()] == [b"data: 1\n\n"]
    async with asyncio.timeout(PATIENCE):
        await echo.hung_up.wait()


async def test_a_reader_who_does_not_read_is_cut_off_and_nothing_piles_up_for_it(
    room: Room, issuer: Issuer, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.shared.http.serving.STALLED_SECONDS", 0.5)
    async with gateway(room, issuer, echo) as client:
        at = urlsplit(str(client.base_url))
        with socket.create_connection((at.hostname or "", at.port or 0)) as reader:
            given = issuer.headers("ada")["Authorization"]
            said = f"GET /api/orders/flood HTTP/1.1\r\nHost: shop\r\nAuthorization: {given}\r\n\r\n"
            reader.sendall(said.encode())
            async with asyncio.timeout(PATIENCE):
                await echo.hung_up.wait()
        # What the sockets between them hold, on this machine several MiB, and little more.
        assert echo.poured < 64 * 2**20


async def test_pages_of_other_origins_may_say_which_event_they_saw_last(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, cors_origins="https://shop.example") as client:
        asked = {
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,last-event-id",
        }
        assert (await client.options("/api/orders/o1/events", headers=asked)).status_code == 200


# --- limits -----------------------------------------------------------------------------------------------


async def test_a_user_has_so_many_requests_and_the_next_user_as_many(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=5) as client:
        answers = await asyncio.gather(
            *(client.get("/api/orders", headers=issuer.headers("ada")) for _ in range(12))
        )
        assert sorted(answer.status_code for answer in answers) == 5 * [201] + 7 * [429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert (await client.get("/api/orders", headers=issuer.headers("bob"))).status_code == 201
        assert (await client.get("/api/products")).status_code == 201, "nobody is counted by address"
        assert len(echo.asked) == 7


async def test_all_replicas_count_together(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with (
        gateway(room, issuer, echo, rate_limit_requests=4) as one,
        gateway(room, issuer, echo, rate_limit_requests=4) as two,
    ):
        statuses = [
            (await client.get("/api/orders", headers=issuer.headers("ada"))).status_code
            for client in (one, two, one, two, one, two)
        ]
    assert statuses == [201, 201, 201, 201, 429, 429]


async def test_after_the_seconds_of_retry_after_there_is_room(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=3, rate_limit_window_seconds=2) as client:
        answers = await asyncio.gather(*(client.get("/api/products") for _ in range(8)))
        refused = next(answer for answer in answers if answer.status_code == 429)
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await client.get("/api/products")).status_code == 201


async def test_passwords_of_an_account_can_be_guessed_only_so_often(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(
        room, issuer, echo, rate_limit_account_guesses=3, rate_limit_address_guesses=6
    ) as client:

        async def guess(email: str) -> int:
            return (await client.post("/auth/login", json={"email": email, "password": "x"})).status_code

        spellings = ["ada@x.example", "ADA@x.example", " ada@X.example", "ada@x.example"]
        assert [await guess(email) for email in spellings] == [201, 201, 201, 429]
        assert [await guess(f"{number}@x.example") for number in range(4)] == [201, 201, 429, 429]
        assert (await client.post("/auth/refresh", json={})).status_code == 201, "no password is tried there"


async def test_who_guesses_behind_an_address_leaves_the_others_there_their_own_tries(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_account_guesses=2) as client:

        async def change(who: str) -> int:
            own = issuer.headers(who)
            return (
                await client.post("/auth/password", json={"currentPassword": "x"}, headers=own)
            ).status_code

        async def open_letter(letter: str) -> int:
            return (await client.post("/auth/verify", json={"token": f"{letter}.secret"})).status_code

        assert [await change("ada") for _ in range(3)] == [201, 201, 429]
        assert await change("bob") == 201
        assert [await open_letter("one") for _ in range(3)] == [201, 201, 429]
        assert await open_letter("two") == 201


async def test_an_address_is_believed_from_our_own_proxies_only(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async def statuses(client: httpx.AsyncClient) -> list[int]:
        return [
            (await client.get("/api/products", headers={"X-Forwarded-For": f"203.0.113.{n}"})).status_code
            for n in range(3)
        ]

    async with gateway(room, issuer, echo, rate_limit_requests=1) as client:
        assert await statuses(client) == [201, 429, 429]
    async with gateway(room, issuer, echo, rate_limit_requests=1, trusted_proxies="127.0.0.0/8") as client:
        assert await statuses(client) == [201, 201, 201]
        assert echo.asked[-1].headers["x-forwarded-for"] == "203.0.113.2"


async def test_a_proxy_may_add_a_line_and_may_name_ports(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with gateway(room, issuer, echo, trusted_proxies="127.0.0.0/8,10.0.0.0/8") as client:
        await raw(client, "/api/products", "X-Forwarded-For: 203.0.113.7:50000", "X-Forwarded-For: 10.0.0.1")
    assert echo.asked[-1].headers["x-forwarded-for"] == "203.0.113.7"


async def test_limits_can_be_switched_off(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=1, rate_limit_enabled=False) as client:
        assert [(await client.get("/api/products")).status_code for _ in range(3)] == [201] * 3


async def test_a_request_that_cannot_be_counted_holds_up_no_other(room: Room) -> None:
    counting = limiter.Limiter(connect_redis(room.redis_url), window_seconds=60)
    odd, usual = (Budget("user:\ud800", 5),), (Budget("user:ada", 5),)
    try:
        async with asyncio.timeout(10):
            answers = await asyncio.gather(counting.judge(odd), counting.judge(usual), return_exceptions=True)
            assert [type(answer) for answer in answers] == [UnicodeEncodeError, Verdict]
            assert (await counting.judge(usual)).has_room
    finally:
        await counting.close()


async def test_without_redis_a_replica_counts_for_itself_and_says_so_to_operators_alone(
    room: Room, issuer: Issuer, echo: Echo, servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "PAUSE_SECONDS", 0.5)
    async with gateway(room, issuer, echo, rate_limit_requests=20, rate_limit_account_guesses=2) as client:

        async def guess() -> int:
            return (await client.post("/auth/login", json={"email": "ada@x.example"})).status_code

        assert [await guess() for _ in range(3)] == [201, 201, 429]
        await servers.stop("redis")
        try:
            assert [await guess() for _ in range(6)] == [201, 201, 429, 429, 429, 429]
            assert [(await client.get("/api/products")).status_code for _ in range(15)][-1] == 429
            assert (await client.get("/readyz")).text == "ok"
            assert "sagashop_rate_limit_without_redis_total" in (await client.get("/metrics")).text
        finally:
            await servers.start("redis")

        async with connect_redis(room.redis_url) as redis:

            async def counted_together_again() -> bool:
                return await guess() == 429 and await redis.dbsize() > 0

            await until(counted_together_again, within=PATIENCE, what="a limit in Redis")


async def test_a_busy_event_loop_is_not_taken_for_an_unavailable_redis(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    counting = limiter.Limiter(connect_redis(room.redis_url), window_seconds=60)
    budget = (Budget("user:ada", 5),)
    try:
        await counting.judge(budget)
        asked = asyncio.create_task(counting.judge(budget))
        for _ in range(4):  # until the question is on its way
            await asyncio.sleep(0)
        time.sleep(2 * TIMEOUT_SECONDS)  # noqa: ASYNC251  # this is what the test is about
        await asked
        assert [each.message for each in caplog.records if "Redis" in each.message] == []
        count = (await counting.judge(budget)).count
        assert count.before + count.current >= 3  # another minute may have begun
    finally:
        await counting.close()


async def test_a_description_is_made_once_a_minute_however_many_ask(
    client: httpx.AsyncClient, echo: Echo
) -> None:
    answers = await asyncio.gather(*(client.get("/openapi.json") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert [asked.target for asked in echo.asked] == ["/openapi.json"] * len(BEHIND), "one for each service"


async def test_readiness_asks_the_services_once_a_second_however_many_ask(
    client: httpx.AsyncClient, echo: Echo
) -> None:
    began = time.monotonic()
    await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
    seconds = time.monotonic() - began
    assert len(echo.asked) <= len(BEHIND) * (2 + seconds), "each service, once a second"


async def test_metrics_are_for_this_machine_and_not_for_what_a_proxy_on_it_lets_through(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/metrics")).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via"):
        assert (await client.get("/metrics", headers={header: "203.0.113.7"})).status_code == 404
    assert (await raw(client, "/%6detrics", "Via: 1.1 proxy")).startswith(b"HTTP/1.1 404")


async def test_metrics_can_have_a_port_of_their_own(room: Room, issuer: Issuer, echo: Echo) -> None:
    port = free_port()
    async with gateway(room, issuer, echo, metrics_port=port, host="127.0.0.1") as client:
        assert (await client.get("/metrics")).status_code == 404
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert "sagashop_rate_limit_refused_total" in answer.text


async def test_pages_of_its_own_and_paths_that_lead_nowhere_count_but_probes_do_not(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=3) as client:
        paths = ["/docs", "/nothing", "/api/nothing", "/docs", "/nothing"]
        assert [(await client.get(path)).status_code for path in paths] == [200, 404, 404, 429, 429]
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_all_accounts_at_one_address_have_a_budget_together(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_address_requests=3) as client:
        statuses = [
            (await client.get("/api/orders", headers=issuer.headers(f"user-{number}"))).status_code
            for number in range(5)
        ]
        assert statuses == [201, 201, 201, 429, 429]


async def test_what_a_caller_has_left_is_said(room: Room, issuer: Issuer, echo: Echo) -> None:
    async with gateway(room, issuer, echo, rate_limit_requests=2) as client:
        answers = [await client.get("/api/products") for _ in range(3)]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"address";q=2;w=60'}
        assert [answer.headers["ratelimit"].rpartition(";")[0] for answer in answers] == [
            '"address";r=1',
            '"address";r=0',
            '"address";r=0',
        ]
        assert answers[-1].headers["ratelimit"].endswith(f";t={answers[-1].headers['retry-after']}")


async def test_a_guess_that_has_no_room_is_refused_before_its_body_is_read(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with gateway(room, issuer, echo, rate_limit_address_guesses=1) as client:
        await client.post("/auth/login", json={})
        url = urlsplit(str(client.base_url))
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        headers = b"Host: shop\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n"
        writer.write(b"POST /auth/login HTTP/1.1\r\n" + headers + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 429")
        writer.transport.abort()


async def test_a_frozen_redis_holds_up_one_moment_and_not_every_request(
    room: Room, issuer: Issuer, echo: Echo, servers: Stack
) -> None:
    async with gateway(room, issuer, echo) as client:
        await client.get("/api/products")
        servers.pause("redis")
        try:
            started = time.monotonic()
            answers = [await client.get("/api/products") for _ in range(40)]
            assert [answer.status_code for answer in answers] == [201] * 40
            assert time.monotonic() - started < 15, "half a second for the first, not for each"
        finally:
            servers.resume("redis")


async def test_who_queues_behind_a_question_that_redis_does_not_answer_does_not_ask_it_again(
    room: Room, servers: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    counting = limiter.Limiter(connect_redis(room.redis_url), window_seconds=60)
    budget = (Budget("user:ada", 5),)
    try:
        await counting.judge(budget)
        servers.pause("redis")
        first = asyncio.create_task(counting.judge(budget))
        await asyncio.sleep(TIMEOUT_SECONDS / 10)  # the question is on its way
        await asyncio.gather(first, *(counting.judge(budget) for _ in range(3)))
        assert len([each for each in caplog.records if "Redis is unavailable" in each.message]) == 1
    finally:
        servers.resume("redis")
        await counting.close()


# --- the real thing ---------------------------------------------------------------------------------------


async def test_a_login_through_the_gateway_is_one_that_it_knows(
    room: Room, issuer: Issuer, echo: Echo
) -> None:
    async with serving(make_auth, AuthSettings(**room.settings("auth"))) as auth:
        keys = f"{auth}/.well-known/jwks.json"
        async with gateway(room, issuer, echo, auth_url=auth, jwks_url=keys) as client:
            account = {"email": "ada@x.example", "password": "correct horse"}
            await client.post("/auth/register", json=account | {"name": "Ada"})
            tokens = (await client.post("/auth/login", json=account)).json()
            headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
            known = await client.get("/auth/me", headers=headers)
            assert known.json()["email"] == "ada@x.example"
            assert known.headers.get_list("cache-control") == ["no-store"]
            assert known.headers.get_list("x-content-type-options") == ["nosniff"]
            assert (await client.get("/api/orders", headers=headers)).status_code == 201
            document = (await client.get("/openapi.json")).json()
            assert "/auth/login" in document["paths"]


async def test_the_processes_work_together_and_end_streams_when_they_are_told_to(
    room: Room, echo: Echo, tmp_path: Path
) -> None:
    """`python -m services.auth.main` and `python -m services.gateway.main`, as an operator starts them."""
    given = {"MONGODB_URL": room.mongodb_url, "AMQP_URL": room.amqp_url, "REDIS_URL": room.redis_url}
    shop = Stack(
        tmp_path,
        services=("auth", "gateway"),
        settings=given | {"PORT_GATEWAY": str(free_port()), "ORDER_URL": echo.url},
    )
    async with shop, httpx.AsyncClient(base_url=shop.gateway, timeout=30) as client:
        login = {"email": shop.credentials.admin_email, "password": shop.credentials.admin_password}
        tokens = (await client.post("/auth/login", json=login)).json()
        headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        assert (await client.get("/auth/me", headers=headers)).json()["roles"] == ["admin"]
        async with client.stream("GET", "/api/orders/o1/events", headers=headers) as answer:
            chunks = answer.aiter_bytes()
            await anext(chunks)
            shop.processes.signal("gateway", signal.SIGTERM)
            assert [chunk async for chunk in chunks] == []

        async def ended() -> bool:
            return "gateway" not in shop.processes

        await until(ended, within=PATIENCE, what="the end of the stream")
