"""An order followed live: the order service on real sockets and servers, the other services played here."""

import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from sagactl.polling import until
from services.order.main import make_app
from services.order.settings import OrderSettings
from services.shared.contract.events import Line, PaymentSucceeded, StockReserved
from tests.integration.following import follow
from tests.integration.issuer import Issuer
from tests.integration.products import selling
from tests.integration.room import PATIENCE, Room
from tests.integration.serving import serving
from tests.integration.wires import Wires, wired

TEA: Final = {"ids": ["tea"], "quantities": [2]}
WATCHERS: Final = 200
Replica: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest_asyncio.fixture
async def replica(room: Room, issuer: Issuer) -> AsyncIterator[Replica]:
    """Makes replicas of the service; each with a client who is Alice."""
    async with selling() as products:
        own = {"jwks_url": issuer.jwks_url, "product_url": products.url}

        @asynccontextmanager
        async def replica(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
            settings = OrderSettings(**room.settings("order") | own | changes)
            many = httpx.Limits(max_connections=None)
            async with (
                serving(make_app, settings) as url,
                httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=many) as client,
            ):
                client.headers.update(issuer.headers("alice"))

                async def ready() -> bool:
                    return (await client.get("/readyz")).is_success

                await until(ready, within=PATIENCE, what="the service to be ready")
                yield client

        yield replica


@pytest_asyncio.fixture
async def wires(room: Room) -> AsyncIterator[Wires]:
    async with wired(room) as wires:
        yield wires


async def place(client: httpx.AsyncClient) -> str:
    """The URL of the events of a new order."""
    placed = await client.post("/api/orders", json=TEA)
    assert placed.status_code == 201, placed.text
    return f"{placed.headers['Location']}/events"


def order_of(url: str) -> str:
    return url.split("/")[3]


async def reserve(wires: Wires, url: str) -> None:
    await wires.send(StockReserved(order_id=order_of(url), products=(Line("tea", 2),)))


async def pay(wires: Wires, url: str) -> None:
    amount = Decimal("19.98")
    await wires.send(
        PaymentSucceeded(order_id=order_of(url), transaction_id="t", amount=amount, currency="EUR")
    )


async def becomes(client: httpx.AsyncClient, url: str, status: str) -> None:
    async def found() -> str:
        return str((await client.get(url.removesuffix("/events"))).json()["status"])

    await until(found, lambda now: now == status, within=PATIENCE, what=f"an order that is {status}")


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def none_is_open() -> None:
    async def still_open() -> float:
        return counted("sagashop_streams_open")

    await until(still_open, lambda number: number == 0, within=PATIENCE, what="the end of all streams")


async def test_an_order_is_seen_from_its_placing_to_its_end_as_it_happens(
    replica: Replica, wires: Wires
) -> None:
    async with replica() as client:
        url = await place(client)
        ended = counted("sagashop_streams_ended_total", reason="settled")
        async with follow(client, url) as events:
            first = await anext(events)
            assert (first.event, first.id, first.json()["to"]) == ("step", "1", "PENDING")
            await reserve(wires, url)
            second = await anext(events)
            assert (second.event, second.id, second.json()["to"]) == ("step", "2", "CONFIRMED")
            await pay(wires, url)
            third, end = [event async for event in events]
        assert (third.event, third.id, third.json()["to"]) == ("step", "3", "PAID")
        assert (end.event, end.json()["status"], end.json()["settled"]) == ("end", "PAID", True)
        timeline = (await client.get(url.replace("events", "timeline"))).json()["items"]
        assert [event.json() for event in (first, second, third)] == timeline
        assert counted("sagashop_streams_ended_total", reason="settled") == ended + 1
        over = await client.get(url, headers={"Last-Event-ID": "3"})
        assert (over.status_code, over.content) == (204, b"")
        async with follow(client, url, "unknown") as events:
            assert [event.id for event in [event async for event in events]] == ["1", "2", "3", "3"]


async def test_a_stream_that_was_cut_goes_on_at_another_replica_without_gap_or_double(
    replica: Replica, wires: Wires
) -> None:
    async with replica() as here, replica() as there:
        url = await place(here)
        async with follow(here, url) as events:
            seen = (await anext(events)).id
        await reserve(wires, url)
        await becomes(there, url, "CONFIRMED")
        async with follow(there, url, seen) as events:
            assert (await anext(events)).id == "2"
            await pay(wires, url)
            assert [event.id for event in [event async for event in events]] == ["3", "3"]


async def test_orders_of_others_are_not_there_but_for_the_shops_own_people(
    replica: Replica, issuer: Issuer
) -> None:
    async with replica() as client:
        url = await place(client)
        for stranger, status in ((issuer.headers("mallory"), 404), ({"Authorization": ""}, 401)):
            answer = await client.get(url, headers=stranger)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
        async with follow(client, url, **issuer.headers("boss", admin=True)) as events:
            assert (await anext(events)).json()["eventId"]
        head = await client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert (head.headers["cache-control"], head.headers["x-accel-buffering"]) == ("no-store", "no")
        assert (await client.options(url)).headers["allow"] == "GET, HEAD, OPTIONS"
        await none_is_open()


async def test_a_customer_has_so_many_streams_and_a_closed_one_makes_room(replica: Replica) -> None:
    async with replica(max_streams_per_customer=2) as client:
        url = await place(client)
        async with follow(client, url) as one, follow(client, url) as other:
            assert (await anext(one)).id == (await anext(other)).id == "1"
            refused = await client.get(url)
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
        await none_is_open()
        async with follow(client, url) as again:
            assert (await anext(again)).id == "1"


async def test_all_streams_of_a_replica_leave_room_for_requests(replica: Replica, issuer: Issuer) -> None:
    async with replica(max_connections=10) as client, AsyncExitStack() as several:
        url = await place(client)
        for number in range(5):
            headers = issuer.headers(f"boss-{number}", admin=True)
            events = await several.enter_async_context(follow(client, url, **headers))
            assert (await anext(events)).id == "1"
        refused = await client.get(url)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) > 0
        assert (await client.get(url.removesuffix("/events"))).status_code == 200


async def text_of(client: httpx.AsyncClient, url: str, **headers: str) -> str:
    """All of a stream that ends by itself."""
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200
        return (await answer.aread()).decode()


async def test_a_stream_ends_with_its_token(replica: Replica, issuer: Issuer) -> None:
    async with replica() as client:
        url = await place(client)
        text = await text_of(client, url, Authorization=f"Bearer {issuer.token('alice', expires_in=2)}")
        assert text.startswith("retry: ")
        *_, farewell, empty = text.split("\n\n")
        assert farewell.startswith(": the token has expired: come again with a new one\nretry: ")
        assert empty == ""
        assert text.count("event: step") == 1


async def test_no_stream_lasts_for_ever_and_a_silent_one_shows_that_it_lives(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.order.watching.HEARTBEAT_SECONDS", 0.1)
    async with replica(max_stream_seconds=1) as client:
        text = await text_of(client, await place(client))
        assert text.count(": ping\n\n") > 2
        assert ": no stream lasts longer: come again\nretry: " in text
        assert text.endswith("\n\n")


async def test_what_a_newer_release_wrote_of_an_order_is_left_to_its_own_replicas(
    replica: Replica, room: Room, wires: Wires
) -> None:
    async with replica() as client:
        url, other = await place(client), await place(client)
        async with follow(client, other) as events:
            assert (await anext(events)).id == "1"
            async with client.stream("GET", url) as answer:
                text = answer.aiter_text()
                await anext(text)
                newer = {"$set": {"status": "PARTLY_SHIPPED"}, "$inc": {"version": 1}}
                await room.database("order")["orders"].update_one({"_id": order_of(url)}, newer)
                assert ": this replica tells no more: come again\n" in "".join(
                    [piece async for piece in text]
                )
            await reserve(wires, other)
            assert (await anext(events)).id == "2"


async def test_a_reader_who_does_not_read_is_cut_off(
    replica: Replica, room: Room, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is more for it than two sockets hold between them."""
    monkeypatch.setattr("services.shared.http.serving.STALLED_SECONDS", 0.3)
    async with replica() as client:
        url = await place(client)
        orders = room.database("order")["orders"]
        (entry,) = (await orders.find_one({"_id": order_of(url)}) or {})["history"]
        long = [{**entry, "reason": "x" * 300}] * 20_000
        await orders.update_one({"_id": order_of(url)}, {"$set": {"history": long}})
        at = urlsplit(str(client.base_url))
        given = issuer.headers("alice")["Authorization"]
        with socket.create_connection((at.hostname or "", at.port or 0)) as reader:
            reader.sendall(f"GET {url} HTTP/1.1\r\nHost: shop\r\nAuthorization: {given}\r\n\r\n".encode())

            async def is_open() -> float:
                return counted("sagashop_streams_open")

            await until(is_open, within=PATIENCE, what="the stream")
            await none_is_open()
        assert (await client.get("/healthz")).status_code == 200


async def test_a_service_that_is_told_to_end_ends_all_streams_and_says_when_to_come_again(
    room: Room, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with selling() as products, AsyncExitStack() as several:
        own = {"jwks_url": issuer.jwks_url, "product_url": products.url, "max_streams_per_customer": 100}
        client = await several.enter_async_context(
            httpx.AsyncClient(timeout=PATIENCE, headers=issuer.headers("alice"))
        )
        async with serving(make_app, OrderSettings(**room.settings("order") | own)) as base:

            async def ready() -> bool:
                return (await client.get(f"{base}/readyz")).is_success

            await until(ready, within=PATIENCE, what="the service to be ready")
            placed = await client.post(f"{base}/api/orders", json=TEA)
            url = f"{base}{placed.headers['Location']}/events"
            streams = []
            for _ in range(50):
                answer = await several.enter_async_context(client.stream("GET", url))
                text = answer.aiter_text()
                assert (await anext(text)).startswith("retry: ")
                streams.append(text)
        # By now it has ended.
        for text in streams:
            rest = "".join([piece async for piece in text])
            assert ": this replica tells no more: come again\nretry: " in rest
    said = capsys.readouterr().out
    assert "stopping" in said
    assert "graceful shutdown exceeded" not in said


async def test_many_who_watch_one_order_cost_no_more_queries_than_one(
    replica: Replica, wires: Wires, room: Room
) -> None:
    async with replica(max_streams_per_customer=WATCHERS) as client, AsyncExitStack() as several:
        url, database = await place(client), room.database("order")
        everybody = [await several.enter_async_context(follow(client, url)) for _ in range(WATCHERS)]
        assert {(await anext(events)).id for events in everybody} == {"1"}
        began = time.monotonic()
        await database.command("profile", 2)
        await reserve(wires, url)
        assert {(await anext(events)).id for events in everybody} == {"2"}
        await pay(wires, url)
        assert {tuple([event.id async for event in events]) for events in everybody} == {("3", "3")}
        await database.command("profile", 0)
        seconds = time.monotonic() - began
        finds = {"ns": f"{database.name}.orders", "command.find": "orders"}
        asked = await database["system.profile"].find(finds).to_list()
        looks = [each for each in asked if "projection" in each["command"]]
        assert looks, json.dumps(asked, default=str)
        assert len(looks) <= seconds / 0.25 + 2
        # Each step is read once by its transaction, which may be repeated, and once for all who watch.
        assert len(asked) - len(looks) < WATCHERS / 10
