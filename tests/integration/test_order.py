"""The order service's routes on real servers, with a product service that has everything."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from services.order.main import make_app
from services.order.settings import OrderSettings
from tests.integration.issuer import Issuer
from tests.integration.products import selling
from tests.integration.room import Room, running

TEA = {"ids": ["tea"], "quantities": [2]}


@pytest_asyncio.fixture
async def client(room: Room, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with selling() as products:
        given = room.settings("order") | {"jwks_url": issuer.jwks_url, "product_url": products.url}
        async with running(make_app(OrderSettings(**given))) as client:
            client.headers.update(issuer.headers("alice"))
            yield client


@pytest.mark.usefixtures("answers_lost")
async def test_an_order_whose_answer_was_lost_is_answered_all_the_same(client: httpx.AsyncClient) -> None:
    placed = await client.post("/api/orders", json=TEA)
    assert (placed.status_code, placed.json()["totalPrice"]) == (201, "19.98")
    cancelled = await client.post(f"{placed.headers['Location']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "CANCELLED")


@pytest.mark.usefixtures("answers_lost")
async def test_a_key_replayed_at_once_gives_the_first_order_even_where_answers_are_lost(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.post("/api/orders", json=TEA, headers=headers) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.json()["orderId"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert sorted(map(str, replayed)) == ["None", *["true"] * 4]
    assert (await client.post("/api/orders", json=TEA, headers=headers)).headers["Idempotency-Replayed"]


async def test_a_key_cancels_one_order_and_says_when_it_did_so_before(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    first, second = [(await client.post("/api/orders", json=TEA)).headers["Location"] for _ in range(2)]
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.post(f"{first}/cancel", headers=key) for _ in range(5)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "CANCELLED")}
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 4
    others = [
        await client.post(f"{second}/cancel", headers=key),
        await client.post(f"{first}/cancel", json={"reason": "another"}, headers=key),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in others} == {
        (422, "idempotency-key-reused")
    }
    assert (await client.get(second)).json()["status"] == "PENDING"
    # The keys of others are other keys.
    boss = issuer.headers("boss", admin=True) | key
    assert (await client.post(f"{second}/cancel", headers=boss)).json()["status"] == "CANCELLED"


async def test_who_has_lost_the_right_to_an_order_is_not_shown_it_by_an_old_key(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    url = f"{(await client.post('/api/orders', json=TEA)).headers['Location']}/cancel"
    key = {"Idempotency-Key": "once"}
    answers = [
        await client.post(url, headers=issuer.headers("boss", admin=admin) | key) for admin in (True, False)
    ]
    assert [answer.status_code for answer in answers] == [202, 422]
    assert "products" not in answers[1].json()


async def test_a_line_says_what_was_bought_in_the_words_of_that_time(client: httpx.AsyncClient) -> None:
    (line,) = (await client.post("/api/orders", json=TEA)).json()["products"]
    assert (line["productId"], line["name"]) == ("tea", "The tea")


async def test_what_the_customers_browser_asks_for_is_what_they_are_written_in(
    client: httpx.AsyncClient, room: Room
) -> None:
    asked = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.8"}
    placed = [(await client.post("/api/orders", json=TEA, headers=headers)).json() for headers in (asked, {})]
    orders = room.database("order")["orders"]
    found = [await orders.find_one({"_id": each["orderId"]}) for each in placed]
    assert [order and order["locale"] for order in found] == ["de-AT", None]


async def test_administrators_see_whose_order_it_is(client: httpx.AsyncClient, issuer: Issuer) -> None:
    placed = (await client.post("/api/orders", json=TEA)).json()
    url, boss = f"/api/orders/{placed['orderId']}", issuer.headers("boss", admin=True)
    assert "customer" not in placed
    assert "customer" not in (await client.get(url)).json()
    customer = {"customerId": "alice", "email": "alice@shop.example"}
    assert (await client.get(url, headers=boss)).json()["customer"] == customer
    listed = (await client.get("/api/orders", headers=boss)).json()["items"]
    assert [order["customer"] for order in listed] == [customer]
    (entry,) = (await client.get(f"{url}/timeline")).json()["items"]
    assert entry.keys() == {"at", "event", "from", "to", "reason", "lines", "refundRequestId", "traceId"}
    (entry,) = (await client.get(f"{url}/timeline", headers=boss)).json()["items"]
    assert "eventId" in entry


async def test_a_list_gives_the_newest_first_and_every_order_once(client: httpx.AsyncClient) -> None:
    placed = [(await client.post("/api/orders", json=TEA)).json()["orderId"] for _ in range(5)]
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await client.get("/api/orders", params=params)).json()
        seen += [order["orderId"] for order in page["items"]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    assert seen == placed[::-1]


@pytest.mark.parametrize("cursor", ["%%%", "bm9wZQ", "\u0661", "MTIz"])
async def test_a_cursor_that_no_list_gave_out_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get("/api/orders", params={"cursor": cursor})
    assert answer.status_code == 422
    assert "cursor" in answer.json()["detail"]
