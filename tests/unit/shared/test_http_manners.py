"""How every service answers what is asked in the wrong way: the shell alone, with routes of no business."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI, Query
from fastapi.sse import EventSourceResponse
from starlette.staticfiles import StaticFiles

from services.shared.health import Readiness
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.bodies import Body
from services.shared.http.routing import Route
from services.shared.settings import Settings

router = APIRouter(prefix="/things", route_class=Route)


class Thing(Body):
    name: str


@router.get("")
async def list_things(limit: Annotated[int, Query(ge=1, le=9)] = 5) -> list[int]:
    return list(range(limit))


@router.post("")
async def make_thing(thing: Thing) -> Thing:
    return thing


@router.get("/{name}/events")
async def follow_thing(name: str) -> EventSourceResponse:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield f": {name}\n\n"
            await asyncio.sleep(0.01)

    return EventSourceResponse(ticks())


@router.delete("/{name}", status_code=204)
async def delete_thing(name: str) -> None:
    assert name


@router.post("/{name}/poke")
async def poke_thing(name: str) -> str:
    return name


class ToySettings(Settings):
    service = "toy"
    port: int = 3000


async def ready() -> Readiness:
    return Readiness(ready=True, detail="ok")


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[ReadinessCheck]:
    yield ready


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ToySettings(), router, life)
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.state.readiness = ready
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


@pytest.mark.parametrize("path", ["/things", "/things?limit=3", "/healthz", "/readyz", "/metrics"])
async def test_head_has_the_headers_of_get(client: httpx.AsyncClient, path: str) -> None:
    head, got = await client.head(path), await client.get(path)
    assert head.status_code == got.status_code == 200
    assert head.headers.keys() == got.headers.keys()


async def test_head_of_a_stream_is_its_headers_and_then_over(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        head = await client.head("/things/lamp/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("PUT", "/things", "GET, HEAD, POST"),
        ("GET", "/things/a", "DELETE"),
        ("GET", "/things/a/poke", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/files/a.txt", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_every_right_one(
    client: httpx.AsyncClient, method: str, path: str, methods: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {*methods.split(", "), "OPTIONS"}
    assert answer.json()["detail"].endswith(f"use {methods}")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/things", "GET, HEAD, OPTIONS, POST"),
        ("/things/a/poke", "OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/files/a.txt", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_of_a_path_are_told(client: httpx.AsyncClient, path: str, methods: str) -> None:
    answer = await client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")


async def test_what_does_not_exist_has_no_options(client: httpx.AsyncClient) -> None:
    assert (await client.options("/nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/things%2f", 400, "malformed-path"),
        ("/api%2Fthings", 400, "malformed-path"),
        ("/api/things/a%2fb", 422, "invalid"),
        ("/api/things/a%2Fb/poke", 422, "invalid"),
    ],
)
async def test_a_slash_in_disguise_is_no_part_of_a_path_and_none_of_an_id(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    problem = (await client.get(httpx.URL("http://shop", raw_path=path.encode()))).json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert [fault["in"] for fault in problem.get("errors", [])] == (["path"] if status == 422 else [])


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/things/", "/things"),
        ("/things/?limit=3", "/things?limit=3"),
        ("/things/a%20b/", "/things/a%20b"),
        ("/nowhere/", "/nowhere"),
    ],
)
async def test_a_slash_at_the_end_leads_to_the_one_address_of_the_thing(
    client: httpx.AsyncClient, path: str, there: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["location"]) == (308, there)


@pytest.mark.parametrize("path", ["//elsewhere.example/", "/\\elsewhere.example/", "/%0d%0ax:/y/"])
async def test_no_slash_leads_to_another_host(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(httpx.URL("http://shop", raw_path=path.encode()))
    assert answer.status_code == 404 or answer.headers["location"].startswith("/%")


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "which is missing"),
        ({"Content-Type": "text/plain"}, "not text/plain"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "not application/x-www-form-urlencoded"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "Content-Encoding: gzip"),
    ],
)
async def test_a_body_that_is_no_json_is_415_and_says_which(
    client: httpx.AsyncClient, headers: dict[str, str], says: str
) -> None:
    answer = await client.post("/things", content=b'{"name": "a"}', headers=headers)
    assert answer.status_code == 415
    assert says in answer.json()["detail"]
    in_pieces = await client.post("/things", content=pieces(), headers=headers)
    assert in_pieces.status_code == 415


async def pieces() -> AsyncIterator[bytes]:
    yield b'{"name": '
    yield b'"a"}'


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_any_spelling_of_json_is_taken(client: httpx.AsyncClient, kind: str) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": "identity"}
    assert (await client.post("/things", content=b'{"name": "a"}', headers=headers)).status_code == 200


async def test_without_a_body_no_media_type_is_asked_for(client: httpx.AsyncClient) -> None:
    assert (await client.post("/things/a/poke")).status_code == 200


async def test_a_parameter_that_is_not_known_is_refused_and_the_known_ones_are_told(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/things?limt=3")
    assert answer.status_code == 422
    assert "limt" in answer.json()["detail"]
    assert "the parameters are limit" in answer.json()["detail"]
    assert (await client.post("/things/a/poke?x=1")).status_code == 422
    assert (await client.get("/healthz?x=1")).status_code == 200, "machines add what they like"


async def test_problems_are_as_compact_as_everything_else(client: httpx.AsyncClient) -> None:
    assert b'": ' not in (await client.get("/nowhere")).content
