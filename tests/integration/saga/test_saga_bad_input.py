"""What is wrong is refused with a problem document that says what to fix, and nothing of it is stored."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from sagactl.shop import Json
from tests.integration.saga.shop import Shop
from tests.integration.signing import opened

MISSING = "ffffffff-0000-0000-0000-000000000000"


def order(**changes: Any) -> Json:
    return {"ids": ["LAMP"], "quantities": [1], "paymentToken": "tok_success"} | changes


# What is sent (LAMP, CUP and EURO stand for products), the status, what the answer says.
BAD_ORDERS: dict[str, tuple[str | Json, int, str]] = {
    "malformed JSON": ('{"ids": [', 400, "not valid JSON"),
    "no JSON": ("ids=1", 400, "not valid JSON"),
    "no object": ("[]", 422, "body"),
    "nothing": ("", 422, "body"),
    "an unknown field": (order(price="0.01"), 422, "price"),
    "a customer of one's choice": (order(customerId="somebody"), 422, "customerId"),
    "a status of one's choice": (order(status="PAID"), 422, "status"),
    "no quantities": ({"ids": ["LAMP"]}, 422, "quantities"),
    "no products": (order(ids=[], quantities=[]), 422, "ids"),
    "quantity 0": (order(quantities=[0]), 422, "quantities.0"),
    "a negative quantity": (order(quantities=[-1]), 422, "quantities.0"),
    "a huge quantity": (order(quantities=[10**30]), 422, "quantities.0"),
    "a quantity just too large": (order(quantities=[100_001]), 422, "quantities.0"),
    "a fraction of a piece": (order(quantities=[1.5]), 422, "quantities.0"),
    "a quantity in words": (order(quantities=["2"]), 422, "quantities.0"),
    "a quantity of true": (order(quantities=[True]), 422, "quantities.0"),
    "a quantity for no product": (order(quantities=[1, 1]), 422, "1 ids, but 2 quantities"),
    "a product twice": (order(ids=["LAMP", "LAMP"], quantities=[1, 2]), 422, "add up their quantities"),
    "an unknown product": (order(ids=["LAMP", MISSING], quantities=[1, 1]), 422, MISSING),
    "two currencies": (order(ids=["LAMP", "EURO"], quantities=[1, 1]), 422, "EUR and USD"),
    "too many lines": (order(ids=[f"p{n}" for n in range(51)], quantities=[1] * 51), 422, "ids"),
    "an id too long": (order(ids=["p" * 65]), 422, "ids.0: an id has 1 to 64 characters"),
    "an id that is many": (order(ids=["a," * 31 + "07"]), 422, "ids.0: an id has 1 to 64 characters"),
    "an id of signs": (order(ids=["\U0001f375" * 64]), 422, "ids.0: an id has 1 to 64 characters"),
    "an unknown fulfilment": (order(fulfilment="some"), 422, "fulfilment"),
    "an empty payment token": (order(paymentToken=""), 422, "paymentToken"),
    "a card number": (order(paymentToken="4242 4242 4242 4242"), 422, "never send a card number"),
    "a card number as a token": (order(paymentToken="tok_4242424242424242"), 422, "holds a card number"),
    "an oversized body": (order(paymentToken="x" * 70_000), 413, "65536 bytes"),
}


def is_problem(answer: httpx.Response, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"/errors#{problem['code']}"
    assert says in problem["detail"]


async def stored(shop: Shop) -> tuple[int, ...]:
    """How much there is of everything that an order leaves behind."""
    names = {"order": ["orders", "outbox", "idempotency"], "inventory": ["reservations"]}
    return tuple(
        [
            await shop.database(service)[name].count_documents({})
            for service, collections in names.items()
            for name in collections
        ]
    )


async def test_every_bad_order_is_refused_with_what_to_fix_and_leaves_nothing_behind(shop: Shop) -> None:
    products = {"LAMP": await shop.product(), "EURO": await shop.product(currency="EUR")}
    headers = await shop.headers("alice") | {"Content-Type": "application/json"}
    await shop.drained()
    before = await stored(shop)
    for sent, status, says in BAD_ORDERS.values():
        text = sent if isinstance(sent, str) else json.dumps(sent)
        for name, product_id in products.items():
            text = text.replace(f'"{name}"', f'"{product_id}"')
        is_problem(await shop.http.post("/api/orders", content=text, headers=headers), status, says)
    too_long = headers | {"Idempotency-Key": "k" * 201}
    good = json.dumps(order(ids=[products["LAMP"]]))
    is_problem(
        await shop.http.post("/api/orders", content=good, headers=too_long),
        422,
        "Idempotency-Key: a key has 1 to 200 characters",
    )
    for door in (shop.stack.gateway, shop.stack.services["order"]):
        unsaid = await shop.http.post(f"{door}/api/orders", content=endless(), headers=headers)
        is_problem(unsaid, 413, "65536 bytes")
    assert await stored(shop) == before


@pytest.mark.parametrize("segment", ["SKU%2012%2F40%20W", "a%20b", "a;b", "a,b", "%F0%9F%8D%B5", "p" * 65])
@pytest.mark.parametrize("service", ["product", "inventory", "order", "payment"])
async def test_gateway_and_service_say_the_same_of_what_is_no_id(
    shop: Shop, service: str, segment: str
) -> None:
    noun = {"product": "products", "inventory": "inventory", "order": "orders", "payment": "payments"}
    headers = await shop.headers("alice")
    for door in (shop.stack.gateway, shop.stack.services[service]):
        answer = await shop.http.get(f"{door}/api/{noun[service]}/{segment}", headers=headers)
        is_problem(answer, 422, "an id has 1 to 64 characters")


async def test_nobodys_odd_order_spoils_those_of_others(shop: Shop) -> None:
    lamp = await shop.product()
    odd = [",".join(["a"] * 31) + f",{number:02}" for number in range(50)]
    answers = await asyncio.gather(
        *(shop.try_to_place(dict.fromkeys(odd, 1), who="mallory") for _ in range(5)),
        *(shop.try_to_place({lamp: 1}, who="alice") for _ in range(5)),
    )
    assert [answer.status_code for answer in answers] == [422] * 5 + [201] * 5
    for answer in answers[5:]:
        await shop.settles(answer.json()["orderId"], "PAID")


async def endless() -> AsyncIterator[bytes]:
    """A body that does not say beforehand how long it is."""
    for _ in range(100):
        yield b" " * 1000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"currency": "XYZ"}, "unknown currency"),
        ({"currency": "usd"}, "unknown currency"),
        ({"price": "-1"}, "price"),
        ({"price": "1.999"}, "at most 2 decimals"),
        ({"price": "1e30"}, "out of range"),
        ({"price": "NaN"}, "price"),
        ({"price": "1.5", "currency": "JPY"}, "at most 0 decimals"),
        ({"initialStock": -1}, "initialStock"),
        ({"initialStock": 1.5}, "initialStock"),
        ({"name": ""}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_product_is_refused_with_what_to_fix(shop: Shop, changes: Json, says: str) -> None:
    product = {"name": "Lamp", "price": "1.00", "currency": "USD", "initialStock": 1} | changes
    before = await shop.database("product")["products"].count_documents({})
    answer = await shop.http.post("/api/products", json=product, headers=await shop.headers("admin"))
    is_problem(answer, 422, says)
    assert await shop.database("product")["products"].count_documents({}) == before


@pytest.mark.parametrize("quantity", [0, -1, 1.5, "1", 10**12, None])
async def test_a_bad_restock_is_refused_and_changes_nothing(shop: Shop, quantity: object) -> None:
    lamp = await shop.product(stock=5)
    url = f"/api/inventory/{lamp}/restock"
    answer = await shop.http.post(url, json={"quantity": quantity}, headers=await shop.headers("admin"))
    is_problem(answer, 422, "quantity")
    assert await shop.stock(lamp) == (5, 0, 0)


async def signed(shop: Shop, **changes: Any) -> str:
    """A token that the auth service could have given out, but for the changes."""
    stored = await shop.database("auth")["signingKeys"].find_one(sort=[("_id", 1)])
    assert stored is not None
    key = opened(stored, shop.stack.credentials.secrets_key)
    return sign(key, str(key.kid), **changes)


def sign(key: RSAKey, kid: str, **changes: Any) -> str:
    claims = {
        "iss": "sagashop",
        "aud": "sagashop",
        "sub": "mallory",
        "email": "mallory@shop.example",
        "roles": ["admin"],
        "exp": int(time.time()) + 600,
    }
    return jwt.encode({"alg": "RS256", "kid": kid, "typ": "at+jwt"}, claims | changes, key)


async def test_only_our_own_unexpired_tokens_open_doors(shop: Shop) -> None:
    lamp = await shop.product()
    good = await signed(shop)
    foreign_key = RSAKey.generate_key(2048, {"kid": "foreign"})
    stored = await shop.database("auth")["signingKeys"].find_one(sort=[("_id", 1)])
    assert stored is not None
    bad = {
        "expired": (await signed(shop, exp=int(time.time()) - 60), "expired"),
        "of another issuer": (await signed(shop, iss="elsewhere"), "iss"),
        "for another audience": (await signed(shop, aud="elsewhere"), "aud"),
        "signed with an unknown key": (sign(foreign_key, "foreign"), "not valid here"),
        "signed with a foreign key under our key's name": (
            sign(foreign_key, stored["jwk"]["kid"]),
            "not valid here",
        ),
        "cut short": (good[:-20], "not valid here"),
        "changed": (good.replace(".", ".e", 1), "not valid here"),
        "no token": ("hello", "not valid here"),
        "nothing": ("", "bearer token"),
    }
    doors = [shop.stack.gateway, shop.stack.services["order"]]
    before = await stored_orders(shop)
    for token, says in bad.values():
        for door in doors:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await shop.http.post(f"{door}/api/orders", json=order(ids=[lamp]), headers=headers)
            is_problem(answer, 401, says)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert await stored_orders(shop) == before
    headers = {"Authorization": f"Bearer {good}"}
    assert (await shop.http.get("/api/orders", headers=headers)).status_code == 200


async def stored_orders(shop: Shop) -> int:
    return await shop.database("order")["orders"].count_documents({})


async def test_prices_come_from_the_catalogue_or_the_order_has_to_wait(shop: Shop) -> None:
    lamp = await shop.product()
    async with shop.away("product"):
        answer = await shop.try_to_place({lamp: 1})
        is_problem(answer, 503, "prices")
        assert int(answer.headers["Retry-After"]) > 0
    await shop.settles(await shop.place({lamp: 1}), "PAID")


async def test_what_is_wrong_with_an_order_is_pointed_at_in_the_same_form_for_every_rule(shop: Shop) -> None:
    lamp, euro = await shop.product(), await shop.product(currency="EUR")
    headers = await shop.headers("alice")
    wrong = {
        "unknown-product": (order(ids=[lamp, MISSING], quantities=[1, 1]), "#/ids/1"),
        "mixed-currencies": (order(ids=[lamp, euro], quantities=[1, 1]), "#/ids"),
        "invalid": (order(ids=[lamp, euro], quantities=[1, 0]), "#/quantities/1"),
    }
    for code, (body, pointer) in wrong.items():
        problem = (await shop.http.post("/api/orders", json=body, headers=headers)).json()
        assert (problem["code"], [each["pointer"] for each in problem["errors"]]) == (code, [pointer])
    unknown = (await shop.http.post("/api/orders", json=wrong["unknown-product"][0], headers=headers)).json()
    assert unknown["unknown"] == [MISSING]
