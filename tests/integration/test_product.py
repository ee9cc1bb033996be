"""The product service on real servers: routes, cache, events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sagactl.polling import until
from services.product.main import make_app
from services.product.settings import ProductSettings
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running
from tests.integration.stock import stocking

LAMP = {"name": "Lamp", "description": "Warm", "price": "299.99", "currency": "USD", "initialStock": 7}


@asynccontextmanager
async def catalogue(room: Room, issuer: Issuer, inventory_url: str) -> AsyncIterator[httpx.AsyncClient]:
    given = room.settings("product") | {"jwks_url": issuer.jwks_url, "inventory_url": inventory_url}
    async with running(make_app(ProductSettings(**given))) as client:
        client.headers.update(issuer.headers("boss", admin=True))
        yield client


@pytest_asyncio.fixture
async def client(room: Room, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with catalogue(room, issuer, "http://127.0.0.1:9") as client:
        yield client


async def created(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post("/api/products", json=LAMP | changes)
    assert answer.status_code == 201, answer.text
    product_id: str = answer.json()["productId"]
    return product_id


async def test_a_created_product_is_where_its_location_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/products", json=LAMP)
    found = await client.get(answer.headers["Location"])
    body = found.json()
    assert answer.status_code == 201
    assert body == answer.json()
    assert {name: body[name] for name in ("name", "description", "price", "currency")} == {
        "name": "Lamp",
        "description": "Warm",
        "price": "299.99",
        "currency": "USD",
    }


async def test_products_are_made_known_by_the_outbox(client: httpx.AsyncClient, room: Room) -> None:
    async with room.broker() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("saga.events", "#")
        product_id = await created(client)
        await client.delete(f"/api/products/{product_id}")
        messages = [await _next(queue) for _ in range(2)]
        assert [json.loads(message.body) for message in messages] == [
            {"type": "PRODUCT_CREATED", "data": {"productId": product_id, "initialStock": 7}},
            {"type": "PRODUCT_DELETED", "data": {"productId": product_id}},
        ]
        assert {message.correlation_id for message in messages} == {product_id}

    async def published() -> bool:
        return await room.database("product")["outbox"].count_documents({}) == 0

    await until(published, within=PATIENCE, what="an empty outbox")


async def _next(queue: Any) -> Any:
    async with asyncio.timeout(10):
        while (message := await queue.get(fail=False)) is None:
            await asyncio.sleep(0.02)
    return message


@pytest.mark.parametrize(
    ("price", "currency", "answered"),
    [
        ("299.99", "USD", "299.99"),
        ("299.9", "USD", "299.90"),
        ("7", "JPY", "7"),
        ("1.234", "KWD", "1.234"),
        ("9999999999999.99", "USD", "9999999999999.99"),
        ("0.1", "USD", "0.10"),
    ],
)
@pytest.mark.parametrize("form", ['"{}"', "{}"], ids=["string", "number"])
async def test_prices_are_read_exactly(
    client: httpx.AsyncClient, price: str, currency: str, answered: str, form: str
) -> None:
    body = f'{{"name": "x", "price": {form.format(price)}, "currency": "{currency}"}}'
    answer = await client.post("/api/products", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json().get("price")) == (201, answered)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"price": "1.999"}, "at most 2 decimals"),
        ({"price": "1.5", "currency": "JPY"}, "at most 0 decimals"),
        ({"price": "-1"}, "an amount of 0 or more"),
        ({"price": "much"}, "price"),
        ({"price": True}, "price"),
        ({"price": "1e30"}, "out of range"),
        ({"currency": "XYZ"}, "ISO 4217"),
        ({"currency": "XAU"}, "ISO 4217"),
        ({"initialStock": -1}, "initialStock"),
        ({"initialStock": 1.5}, "initialStock"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"stock": 3}, "stock"),
        ({"productId": "mine"}, "productId"),
    ],
)
async def test_a_bad_product_is_refused_with_what_to_fix(
    client: httpx.AsyncClient, room: Room, changes: dict[str, Any], says: str
) -> None:
    answer = await client.post("/api/products", json=LAMP | changes)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert await room.database("product")["products"].count_documents({}) == 0


async def test_malformed_json_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/products", content=b'{"name": ', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_change_is_read_at_once_although_reads_are_cached(client: httpx.AsyncClient) -> None:
    product_id = await created(client)
    url = f"/api/products/{product_id}"
    assert (await client.get(url)).json()["price"] == "299.99"
    changed = await client.patch(url, json={"price": 5, "name": "Torch"})
    assert changed.status_code == 200
    found = (await client.get(url)).json()
    assert found == changed.json()
    assert (found["price"], found["name"], found["description"]) == ("5.00", "Torch", "Warm")


async def test_reads_come_from_the_cache(client: httpx.AsyncClient, room: Room) -> None:
    product_id = await created(client)
    await client.get(f"/api/products/{product_id}")
    await room.database("product")["products"].delete_one({"_id": product_id})
    assert (await client.get(f"/api/products/{product_id}")).status_code == 200
    await room.redis.flushdb()
    assert (await client.get(f"/api/products/{product_id}")).status_code == 404


@pytest.mark.parametrize("nonsense", [b"", b"1", b"{}", b"\xff"])
async def test_what_is_no_product_in_the_cache_is_as_good_as_nothing(
    client: httpx.AsyncClient, room: Room, nonsense: bytes
) -> None:
    product_id = await created(client)
    await room.redis.set(f"product:1:{product_id}", nonsense)
    assert (await client.get(f"/api/products/{product_id}")).json()["price"] == "299.99"


async def test_without_redis_everything_works(room: Room, issuer: Issuer) -> None:
    away = room.settings("product") | {"redis_url": "redis://127.0.0.1:1/0", "jwks_url": issuer.jwks_url}
    async with running(make_app(ProductSettings(**away))) as client:
        client.headers.update(issuer.headers("boss", admin=True))
        url = f"/api/products/{await created(client)}"
        assert (await client.patch(url, json={"name": "Torch"})).status_code == 200
        assert (await client.get(url)).json()["name"] == "Torch"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"price": "1.999"}, "at most 2 decimals"),
        ({"currency": "EUR"}, "needs a new price"),
        ({"initialStock": 3}, "initialStock"),
    ],
)
async def test_a_bad_change_is_refused(client: httpx.AsyncClient, changes: dict[str, Any], says: str) -> None:
    url = f"/api/products/{await created(client)}"
    answer = await client.patch(url, json=changes)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert (await client.get(url)).json()["price"] == "299.99"


async def test_a_price_may_change_its_currency(client: httpx.AsyncClient) -> None:
    url = f"/api/products/{await created(client)}"
    answer = await client.patch(url, json={"price": "1.234", "currency": "KWD"})
    assert (answer.json()["price"], answer.json()["currency"]) == ("1.234", "KWD")


async def test_a_deleted_product_is_absent_everywhere(client: httpx.AsyncClient) -> None:
    kept, gone = await created(client), await created(client)
    url = f"/api/products/{gone}"
    assert (await client.get(url)).status_code == 200
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.patch(url, json={"name": "x"})).status_code == 404
    assert (await client.patch(url, json={"price": "1"})).status_code == 404
    assert (await client.delete(url)).status_code == 404
    listed = (await client.get("/api/products")).json()["items"]
    asked = (await client.get("/api/products", params={"ids": f"{gone},{kept}"})).json()["items"]
    assert [product["productId"] for product in listed] == [kept]
    assert [product["productId"] for product in asked] == [kept]


async def test_pages_show_every_product_once(client: httpx.AsyncClient) -> None:
    made = await asyncio.gather(*(created(client, name=str(number)) for number in range(7)))
    seen: list[str] = []
    cursor = None
    while True:
        params: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/products", params=params)).json()
        seen += [product["productId"] for product in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert set(seen) == set(made)


@pytest.mark.parametrize(
    "params",
    [
        {"cursor": "%%%"},
        {"cursor": "bm9wZQ"},
        {"limit": 0},
        {"limit": 101},
        {"ids": "x," * 101},
        {"ids": "," * 10_000},
        {"ids": "lamp,a b"},
    ],
)
async def test_a_bad_query_is_refused(client: httpx.AsyncClient, params: dict[str, Any]) -> None:
    answer = await client.get("/api/products", params=params)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_several_products_come_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    made = [await created(client, name=str(number)) for number in range(3)]
    asked = [made[2], "nowhere", made[0], made[2]]
    answer = (await client.get("/api/products", params={"ids": ",".join(asked)})).json()
    assert [product["productId"] for product in answer["items"]] == [made[2], made[0]]
    assert answer["nextCursor"] is None


async def test_a_product_of_a_later_release_keeps_no_other_from_being_found(
    client: httpx.AsyncClient, room: Room
) -> None:
    """Prices are asked for by many orders at once: one such product must not refuse all of them."""
    odd, lamp = await created(client), await created(client)
    await room.database("product")["products"].update_one({"_id": odd}, {"$set": {"price": "by weight"}})
    for query in (f"ids={odd},{lamp}", "limit=2"):
        found = (await client.get(f"/api/products?{query}")).json()
        assert [each["productId"] for each in found["items"]] == [lamp]
    assert (await client.get(f"/api/products/{odd}")).status_code == 404


async def test_an_idempotency_key_makes_one_product(client: httpx.AsyncClient, room: Room) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post("/api/products", json=LAMP, headers=headers) for _ in range(5))
    )
    other = await client.post("/api/products", json=LAMP | {"name": "Torch"}, headers=headers)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["productId"] for answer in answers}) == 1
    assert other.status_code == 422
    assert await room.database("product")["products"].count_documents({}) == 1


async def test_a_change_with_a_key_is_made_once(client: httpx.AsyncClient) -> None:
    url, headers = f"/api/products/{await created(client)}", {"Idempotency-Key": "once"}
    torch = {"name": "Torch", "price": "1.00"}
    first = await client.patch(url, json=torch, headers=headers)
    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (200, False)
    later = (await client.patch(url, json={"name": "Candle"})).json()
    again = await client.patch(url, json=torch, headers=headers)
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", later)
    refused = [
        await client.patch(url, json=torch | {"name": "Bulb"}, headers=headers),
        await client.patch(f"/api/products/{await created(client)}", json=torch, headers=headers),
    ]
    assert [answer.json()["code"] for answer in refused] == ["idempotency-key-reused"] * 2
    assert (await client.get(url)).json() == later


async def test_a_change_with_a_key_is_told_again_whatever_became_of_the_product(
    client: httpx.AsyncClient,
) -> None:
    url, headers = f"/api/products/{await created(client)}", {"Idempotency-Key": "once"}
    first = await client.patch(url, json={"price": "1.00"}, headers=headers)
    assert (await client.delete(url)).status_code == 204
    again = await client.patch(url, json={"price": "1.00"}, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await client.patch(url, json={"price": "2.00"})).status_code == 404


async def test_a_deletion_with_a_key_is_no_404_when_it_is_repeated(client: httpx.AsyncClient) -> None:
    lamp, cup = [f"/api/products/{await created(client)}" for _ in range(2)]
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.delete(lamp, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {204}
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 4
    other = await client.delete(cup, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert (await client.delete(lamp)).status_code == 404
    assert (await client.get(cup)).status_code == 200


@pytest.mark.usefixtures("answers_lost")
async def test_a_command_whose_answer_was_lost_is_answered_all_the_same(client: httpx.AsyncClient) -> None:
    url = f"/api/products/{await created(client)}"
    changed = await client.patch(url, json={"name": "Torch"})
    assert (changed.status_code, changed.json()["name"]) == (200, "Torch")
    assert (await client.delete(url)).status_code == 204
    headers = {"Idempotency-Key": "once"}
    first, second = [await client.post("/api/products", json=LAMP, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


async def test_only_administrators_write(client: httpx.AsyncClient, issuer: Issuer) -> None:
    url = f"/api/products/{await created(client)}"
    customer = issuer.headers("customer")
    nobody = {"Authorization": ""}
    for headers, status in ((customer, 403), (nobody, 401)):
        assert (await client.post("/api/products", json=LAMP, headers=headers)).status_code == status
        assert (await client.patch(url, json={"name": "x"}, headers=headers)).status_code == status
        assert (await client.delete(url, headers=headers)).status_code == status
        assert (await client.get(url, headers=headers)).status_code == 200


# --- stock, on request ------------------------------------------------------------------------------------


async def test_a_list_has_the_stock_of_all_its_products_by_one_question(room: Room, issuer: Issuer) -> None:
    async with stocking() as stock, catalogue(room, issuer, stock.url) as client:
        known, unknown = await created(client), await created(client)
        stock.available[known] = 7
        page = (await client.get("/api/products?include=stock")).json()["items"]
        assert [product["stock"] for product in page] == [{"available": 7}, None]
        assert stock.asked == [[known, unknown]]
        by_id = (await client.get(f"/api/products?include=stock&ids={known}")).json()["items"]
        assert [product["stock"] for product in by_id] == [{"available": 7}]
        plain = (await client.get("/api/products")).json()["items"]
        assert ["stock" in product for product in plain] == [False, False]
        assert len(stock.asked) == 2


async def test_a_list_comes_without_stock_where_inventory_does_not_answer(room: Room, issuer: Issuer) -> None:
    async with stocking() as stock, catalogue(room, issuer, stock.url) as client:
        await created(client)
        stock.status = 503
        page = (await client.get("/api/products?include=stock")).json()["items"]
        assert [product["stock"] for product in page] == [None]
    async with catalogue(room, issuer, "http://127.0.0.1:9") as client:
        page = (await client.get("/api/products?include=stock")).json()["items"]
        assert [product["stock"] for product in page] == [None]


async def test_a_key_of_a_created_product_replays_it(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/api/products", json=LAMP, headers=headers)
    again = await client.post("/api/products", json=LAMP, headers=headers)
    assert "Idempotency-Replayed" not in first.headers
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
