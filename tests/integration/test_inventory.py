"""The inventory service on real servers: routes, restocking, and older publishers' messages."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import pytest_asyncio

from sagactl.polling import until
from services.inventory.main import make_app
from services.inventory.settings import InventorySettings
from services.shared.contract.events import Line, PaymentFailed, ProductCreated, ProductDeleted, ReserveStock
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running
from tests.integration.wires import Wires, wired


@pytest_asyncio.fixture
async def client(room: Room, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    settings = InventorySettings(**room.settings("inventory"), jwks_url=issuer.jwks_url)
    async with running(make_app(settings)) as client:
        yield client


@pytest_asyncio.fixture
async def wires(client: httpx.AsyncClient, room: Room) -> AsyncIterator[Wires]:
    assert client
    async with wired(room) as wires:
        yield wires


async def stocked(client: httpx.AsyncClient, wires: Wires, product_id: str, pieces: int) -> None:
    await wires.send(ProductCreated(product_id=product_id, initial_stock=pieces))

    async def there() -> bool:
        return (await client.get(f"/api/inventory/{product_id}")).is_success

    await until(there, within=PATIENCE, what=f"stock of {product_id}")


async def stock_of(client: httpx.AsyncClient, product_id: str) -> dict[str, Any]:
    stock: dict[str, Any] = (await client.get(f"/api/inventory/{product_id}")).json()
    return stock


async def test_anybody_may_see_what_there_is_and_administrators_what_is_reserved_and_sold(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 7)
    await wires.send(ReserveStock(order_id="order_1", products=(Line("lamp", 2),)))
    await wires.hear("INVENTORY_RESERVED")
    public = {"productId": "lamp", "available": 5, "discontinued": False}
    expired = {"Authorization": f"Bearer {issuer.token('alice', expires_in=-60)}"}
    for headers in ({}, expired, issuer.headers("alice")):
        assert (await client.get("/api/inventory/lamp", headers=headers)).json() == public
    admin = await client.get("/api/inventory/lamp", headers=issuer.headers("boss", admin=True))
    assert admin.json() == public | {"reserved": 2, "sold": 0, "revision": 2}
    assert (admin.headers["ETag"], "ETag" in (await client.get("/api/inventory/lamp")).headers) == (
        '"2"',
        False,
    )


async def test_the_stock_of_many_products_is_one_request(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    for number, product_id in enumerate(["lamp", "desk"]):
        await stocked(client, wires, product_id, number)
    answer = await client.get("/api/inventory?ids=desk,unknown,lamp,desk")
    assert answer.json()["items"] == [
        {"productId": "desk", "available": 1, "discontinued": False},
        {"productId": "lamp", "available": 0, "discontinued": False},
    ]
    admin = await client.get("/api/inventory?ids=desk", headers=issuer.headers("boss", admin=True))
    assert admin.json()["items"][0]["sold"] == 0
    for wrong in ("", "?ids=a%20b", f"?ids={','.join(map(str, range(101)))}"):
        assert (await client.get(f"/api/inventory{wrong}")).status_code == 422
    without = (await client.get("/api/inventory")).json()
    assert without["detail"] == "ids: missing: give ids, separated by commas, 100 at most: ids=a,b"


async def test_a_product_that_is_unknown_or_never_was_is_not_found(
    client: httpx.AsyncClient, room: Room, wires: Wires
) -> None:
    await wires.send(ProductDeleted(product_id="never"))

    async def heard_of() -> bool:
        return await room.database("inventory")["stock"].count_documents({"_id": "never"}) == 1

    await until(heard_of, within=PATIENCE, what="the deleted product")
    for product_id in ("unknown", "never"):
        answer = await client.get(f"/api/inventory/{product_id}")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("segment", ["SKU%2012%2F40%20W", "a%20b", "a;b", "a,b", "p" * 65, "lamp%0A"])
async def test_what_is_no_id_is_refused_with_what_an_id_looks_like(
    client: httpx.AsyncClient, wires: Wires, segment: str
) -> None:
    await wires.send(ProductCreated(product_id=unquote(segment)[:64], initial_stock=7))
    answer = await client.get(f"/api/inventory/{segment}")
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "an id has 1 to 64 characters" in answer.json()["detail"]


async def test_a_product_of_another_system_has_its_stock_whatever_its_id(room: Room, wires: Wires) -> None:
    await wires.send(ProductCreated(product_id="SKU 12/40 W", initial_stock=7))
    await wires.send(ReserveStock(order_id="Order Nr. 5", products=(Line("SKU 12/40 W", 2),)))
    await wires.hear("INVENTORY_RESERVED")
    stock = await room.database("inventory")["stock"].find_one({"_id": "SKU 12/40 W"})
    assert stock is not None
    assert (stock["available"], stock["reserved"]) == (5, 2)


async def test_only_administrators_restock(client: httpx.AsyncClient, issuer: Issuer, wires: Wires) -> None:
    await stocked(client, wires, "lamp", 0)
    url, more = "/api/inventory/lamp/restock", {"quantity": 3}
    assert (await client.post(url, json=more)).status_code == 401
    assert (await client.post(url, json=more, headers=issuer.headers("alice"))).status_code == 403
    answer = await client.post(url, json=more, headers=issuer.headers("boss", admin=True))
    assert (answer.status_code, answer.json()["available"]) == (200, 3)
    assert (await stock_of(client, "lamp"))["available"] == 3


async def test_a_restocking_with_a_key_counts_once_even_when_sent_at_once(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 0)
    url = "/api/inventory/lamp/restock"
    headers = issuer.headers("boss", admin=True) | {"Idempotency-Key": "monday"}
    answers = await asyncio.gather(
        *(client.post(url, json={"quantity": 3}, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {200}
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert sorted(map(str, replayed)) == ["None", *["true"] * 4]
    assert (await stock_of(client, "lamp"))["available"] == 3
    another = await client.post(url, json={"quantity": 4}, headers=headers)
    assert another.status_code == 422
    theirs = issuer.headers("second", admin=True) | {"Idempotency-Key": "monday"}
    assert (await client.post(url, json={"quantity": 4}, headers=theirs)).json()["available"] == 7


@pytest.mark.parametrize("body", [{"quantity": 0}, {"quantity": 1.5}, {"quantity": "3"}, {}, {"more": 3}])
async def test_a_bad_restocking_is_refused(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires, body: dict[str, Any]
) -> None:
    await stocked(client, wires, "lamp", 0)
    headers = issuer.headers("boss", admin=True)
    answer = await client.post("/api/inventory/lamp/restock", json=body, headers=headers)
    assert answer.status_code == 422
    assert (await stock_of(client, "lamp"))["available"] == 0


async def test_what_is_discontinued_is_not_restocked(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 7)
    await wires.send(ProductDeleted(product_id="lamp"))

    async def discontinued() -> bool:
        return bool((await stock_of(client, "lamp"))["discontinued"])

    await until(discontinued, within=PATIENCE, what="the product to be discontinued")
    answer = await client.post(
        "/api/inventory/lamp/restock", json={"quantity": 1}, headers=issuer.headers("boss", admin=True)
    )
    assert answer.status_code == 409


async def test_pieces_that_broke_are_taken_off_and_told_of(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 7)
    await wires.send(ReserveStock(order_id="order_1", products=(Line("lamp", 4),)))
    await wires.hear("INVENTORY_RESERVED")
    headers = issuer.headers("boss", admin=True)
    body = {"delta": -2, "reason": "DAMAGED", "note": "water in the basement"}
    url = "/api/inventory/lamp/adjust"
    assert (await client.post(url, json=body, headers=issuer.headers("alice"))).status_code == 403
    keyed = headers | {"Idempotency-Key": "flood"}
    answers = [await client.post(url, json=body, headers=keyed) for _ in range(2)]
    assert [answer.json()["available"] for answer in answers] == [1, 1]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    more = await client.post(url, json=body, headers=headers)
    assert more.status_code == 409
    assert more.json()["available"] == 1
    assert more.json()["reserved"] == 4
    (move,) = (await client.get("/api/inventory/lamp/moves", headers=headers)).json()["items"]
    assert move == body | {"kind": "adjust", "by": "boss", "at": move["at"], "revision": 3}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/adjust", {"delta": 0, "reason": "FOUND"}),
        ("POST", "/adjust", {"delta": 1}),
        ("POST", "/adjust", {"delta": 1.5, "reason": "FOUND"}),
        ("POST", "/adjust", {"delta": 1, "reason": "STOLEN"}),
        ("POST", "/adjust", {"delta": 1, "reason": "FOUND", "note": "x" * 501}),
        ("PUT", "", {"available": -1, "reason": "COUNT"}),
        ("PUT", "", {"available": 10**9 + 1, "reason": "COUNT"}),
        ("PUT", "", {"available": 1, "reason": "COUNT", "more": 1}),
    ],
)
async def test_a_bad_adjustment_is_refused(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires, method: str, path: str, body: dict[str, Any]
) -> None:
    await stocked(client, wires, "lamp", 5)
    headers = issuer.headers("boss", admin=True) | {"If-Match": "*"}
    answer = await client.request(method, f"/api/inventory/lamp{path}", json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert (await stock_of(client, "lamp"))["available"] == 5


async def test_of_a_hundred_who_saw_the_same_stock_one_may_write(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 5)
    headers = issuer.headers("boss", admin=True)
    url = "/api/inventory/lamp"
    seen = (await client.get(url, headers=headers)).headers["ETag"]
    bodies = [{"available": 100 + number, "reason": "COUNT"} for number in range(100)]
    answers = await asyncio.gather(
        *(client.put(url, json=body, headers=headers | {"If-Match": seen}) for body in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 99
    (won,) = [answer for answer in answers if answer.status_code == 200]
    assert (await stock_of(client, "lamp"))["available"] == won.json()["available"]
    overtaken = next(answer.json() for answer in answers if answer.status_code == 412)
    assert (overtaken["code"], overtaken["revision"]) == ("precondition-failed", won.json()["revision"])
    moves = (await client.get(f"{url}/moves", headers=headers)).json()
    assert [move["kind"] for move in moves["items"]] == ["set"]


async def test_whoever_sets_the_stock_says_what_they_saw(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 5)
    headers, url = issuer.headers("boss", admin=True), "/api/inventory/lamp"
    body = {"available": 8, "reason": "COUNT"}
    assert (await client.put(url, json=body, headers=headers)).status_code == 428
    for tag, status in {"1": 422, '"1': 422, 'W/"1"': 412, '"other"': 412, '"7", "1"': 200, "*": 200}.items():
        answer = await client.put(url, json=body, headers=headers | {"If-Match": tag})
        assert answer.status_code == status, tag
    gone = await client.put("/api/inventory/none", json=body, headers=headers | {"If-Match": "*"})
    assert gone.status_code == 404


async def test_the_history_of_a_stock_is_read_page_by_page(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 0)
    headers, url = issuer.headers("boss", admin=True), "/api/inventory/lamp"
    for quantity in range(1, 6):
        await client.post(f"{url}/restock", json={"quantity": quantity}, headers=headers)
    found: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await client.get(f"{url}/moves", params={"limit": 2, **cursor}, headers=headers)).json()
        found += [move["delta"] for move in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert found == [5, 4, 3, 2, 1]
    assert (await client.get("/api/inventory/none/moves", headers=headers)).status_code == 404


async def test_an_older_publisher_is_served_product_by_product(
    client: httpx.AsyncClient, wires: Wires
) -> None:
    await stocked(client, wires, "product_1", 3)
    reserve = {"orderId": "order_123", "productId": "product_1", "quantity": 2}
    await wires.send_as_is("inventory", {"type": "RESERVE", "data": reserve})
    assert await wires.hear("INVENTORY_RESERVED") == {
        "orderId": "order_123",
        "products": [{"productId": "product_1", "quantity": 2}],
    }
    await wires.send_as_is("inventory", {"type": "RESERVE", "data": reserve | {"orderId": "order_124"}})
    refused = await wires.hear("INVENTORY_RESERVE_FAILED")
    assert refused["reason"] == "Insufficient stock. Available: 1, Requested: 2"
    assert refused["productId"] == "product_1"
    release = reserve | {"reason": "PAYMENT_FAILED"}
    await wires.send_as_is("inventory", {"type": "RELEASE", "data": release})
    await wires.hear("INVENTORY_RELEASED")
    assert (await stock_of(client, "product_1"))["available"] == 3


async def test_a_failed_payment_asks_for_compensation_whatever_the_setting(
    client: httpx.AsyncClient, wires: Wires
) -> None:
    await stocked(client, wires, "lamp", 3)
    await wires.send(ReserveStock(order_id="order_1", products=(Line("lamp", 2),)))
    await wires.hear("INVENTORY_RESERVED")
    failed = {
        "orderId": "order_1",
        "transactionId": "txn_failed",
        "amount": 299.99,
        "currency": "USD",
        "reason": "Mock gateway declined the payment",
        "compensation": True,
        "products": [{"productId": "lamp", "quantity": 2}],
    }
    await wires.send_as_is("inventory-events", {"type": PaymentFailed.type, "data": failed})
    assert (await wires.hear("INVENTORY_RELEASED"))["products"] == [{"productId": "lamp", "quantity": 2}]
    assert (await stock_of(client, "lamp"))["available"] == 3
