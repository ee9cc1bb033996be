"""Who may do what: customers with each other's things, services with each other's servers."""

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from sagactl.provision.broker_rights import TOOLS
from sagactl.shop import Json
from services.shared.contract.events import CORE, ENGINES
from tests.integration.saga.shop import Shop

DATABASES = ("auth", *ENGINES)
REFUND = {"reason": "broken"}
WANTED = {"name": "Lamp", "price": "1.00", "currency": "USD"}
OPEN, OWN, ADMIN, HIDDEN = "everybody", "its owner", "administrators", "nobody out here"

# Every route there is; `{id}` is an order of Alice's, or a product.
ROUTES: dict[tuple[str, str, str], tuple[str, Json | None]] = {
    ("auth", "post", "/auth/register"): (OPEN, {"email": "alice@shop.example", "password": "", "name": "A"}),
    ("auth", "post", "/auth/login"): (OPEN, {"email": "alice@shop.example", "password": "wrong"}),
    ("auth", "post", "/auth/refresh"): (OPEN, {"refreshToken": "unknown"}),
    ("auth", "post", "/auth/logout"): (OPEN, {"refreshToken": "unknown"}),
    ("auth", "post", "/auth/logout-all"): (OPEN, None),
    ("auth", "post", "/auth/password"): (OPEN, {"currentPassword": "wrong", "newPassword": "another horse"}),
    ("auth", "post", "/auth/verify"): (OPEN, {"token": "unknown"}),
    ("auth", "post", "/auth/verify/resend"): (OPEN, {"email": "nobody@shop.example"}),
    ("auth", "post", "/auth/reset"): (OPEN, {"email": "nobody@shop.example"}),
    ("auth", "post", "/auth/reset/confirm"): (OPEN, {"token": "unknown", "newPassword": "another horse"}),
    ("auth", "get", "/auth/me"): (OPEN, None),
    ("auth", "post", "/auth/totp/enrol"): (OPEN, {"currentPassword": "wrong"}),
    ("auth", "post", "/auth/totp/confirm"): (OPEN, {"code": "000000"}),
    ("auth", "post", "/auth/totp/disable"): (OPEN, {"currentPassword": "wrong", "code": "000000"}),
    ("auth", "get", "/auth/accounts"): (ADMIN, None),
    ("auth", "patch", "/auth/accounts/{user_id}"): (ADMIN, {"roles": ["admin"]}),
    ("auth", "delete", "/auth/accounts/{user_id}"): (ADMIN, None),
    ("auth", "get", "/auth/accounts/{user_id}/data"): (ADMIN, None),
    ("auth", "post", "/auth/accounts/{user_id}/logout"): (ADMIN, None),
    ("auth", "delete", "/auth/accounts/{user_id}/totp"): (ADMIN, None),
    ("auth", "get", "/auth/keys"): (ADMIN, None),
    ("auth", "post", "/auth/keys"): (ADMIN, None),
    ("auth", "post", "/auth/keys/{key_id}/revoke"): (ADMIN, None),
    ("auth", "get", "/.well-known/jwks.json"): (OPEN, None),
    ("product", "get", "/api/products"): (OPEN, None),
    ("product", "get", "/api/products/{product_id}"): (OPEN, None),
    ("product", "post", "/api/products"): (ADMIN, WANTED),
    ("product", "patch", "/api/products/{product_id}"): (ADMIN, {"name": "Mine"}),
    ("product", "delete", "/api/products/{product_id}"): (ADMIN, None),
    ("inventory", "get", "/api/inventory"): (OPEN, None),
    ("inventory", "get", "/api/inventory/{product_id}"): (OPEN, None),
    ("inventory", "post", "/api/inventory/{product_id}/restock"): (ADMIN, {"quantity": 1}),
    ("inventory", "post", "/api/inventory/{product_id}/adjust"): (ADMIN, {"delta": 1, "reason": "FOUND"}),
    ("inventory", "put", "/api/inventory/{product_id}"): (ADMIN, {"available": 9, "reason": "COUNT"}),
    ("inventory", "get", "/api/inventory/{product_id}/moves"): (ADMIN, None),
    ("order", "get", "/api/orders"): (OPEN, None),
    ("order", "post", "/api/orders"): (OPEN, {"ids": [], "quantities": []}),
    ("order", "get", "/api/orders/{order_id}"): (OWN, None),
    ("order", "get", "/api/orders/{order_id}/timeline"): (OWN, None),
    ("order", "get", "/api/orders/{order_id}/events"): (OWN, None),
    ("order", "post", "/api/orders/{order_id}/cancel"): (OWN, None),
    ("order", "post", "/api/orders/{order_id}/refund"): (OWN, REFUND),
    ("order", "post", "/api/orders/{order_id}/refunds/{refund_request_id}/settled-outside"): (
        ADMIN,
        {"reference": "transfer 7", "reason": "the card was closed"},
    ),
    ("order", "get", "/internal/orders/attention"): (HIDDEN, None),
    ("order", "get", "/internal/orders/stale"): (HIDDEN, None),
    ("order", "post", "/internal/orders/{order_id}/compensate"): (HIDDEN, {}),
    ("payment", "get", "/api/payments/{order_id}"): (OWN, None),
    ("payment", "post", "/api/payments/webhooks/{provider}"): (OPEN, {"id": "e1", "order_id": "o1"}),
    ("notification", "get", "/internal/notifications"): (HIDDEN, None),
    ("notification", "post", "/api/notifications/{notification_id}/resend"): (ADMIN, None),
    ("notification", "get", "/api/webhooks"): (ADMIN, None),
    ("notification", "post", "/api/webhooks"): (ADMIN, {"url": "https://merchant.example/"}),
    ("notification", "get", "/api/webhooks/{endpoint_id}"): (ADMIN, None),
    ("notification", "patch", "/api/webhooks/{endpoint_id}"): (ADMIN, {"types": []}),
    ("notification", "delete", "/api/webhooks/{endpoint_id}"): (ADMIN, None),
    ("notification", "post", "/api/webhooks/{endpoint_id}/rotate"): (ADMIN, None),
    ("notification", "post", "/api/webhooks/{endpoint_id}/enable"): (ADMIN, None),
    ("notification", "post", "/api/webhooks/{endpoint_id}/test"): (ADMIN, None),
    ("notification", "get", "/api/webhooks/{endpoint_id}/deliveries"): (ADMIN, None),
    ("notification", "post", "/api/webhooks/{endpoint_id}/replay"): (
        ADMIN,
        {"since": "2026-01-01T00:00:00Z"},
    ),
}


def filled(path: str, order_id: str, product_id: str) -> str:
    """The path of a route, of this order and product, and of others that are not there."""
    nobodys = dict.fromkeys(("user_id", "refund_request_id", "endpoint_id", "notification_id"), order_id)
    return path.format(order_id=order_id, product_id=product_id, key_id="0", provider="mock", **nobodys)


async def test_the_matrix_names_every_route_of_every_service(shop: Shop) -> None:
    described = set()
    for service in ("auth", *CORE):
        document = (await shop.http.get(f"{shop.stack.services[service]}/openapi.json")).json()
        described |= {(service, method, path) for path, item in document["paths"].items() for method in item}
    assert described == set(ROUTES)


async def test_another_customers_things_look_as_if_they_were_not_there(shop: Shop) -> None:
    """What is hidden is 404, whatever the route, and no different from what does not exist."""
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1}, who="alice")
    await shop.settles(order_id, "PAID")
    bob, alice = await shop.headers("bob"), await shop.headers("alice")
    for (_, method, path), (who, content) in ROUTES.items():
        for door in (shop.stack.gateway, shop.stack.services["order"]):
            url = door + filled(path, order_id, lamp)
            if door != shop.stack.gateway and not path.startswith(("/api/orders", "/internal/orders")):
                continue
            answer = await shop.http.request(method, url, json=content, headers=bob)
            if who == OWN:
                nowhere = url.replace(order_id, "00000000-0000-0000-0000-000000000000")
                missing = await shop.http.request(method, nowhere, json=content, headers=bob)
                assert (answer.status_code, answer.text) == (404, missing.text), path
                own = await shop.http.request("get", url, headers=alice) if method == "get" else None
                assert own is None or own.status_code == 200, path
            elif who == ADMIN:
                assert answer.status_code == 403, path
            elif who == HIDDEN:
                assert answer.status_code == (404 if door == shop.stack.gateway else 403), path
            else:
                assert answer.status_code not in {403, 404}, path
            if path == "/auth/logout-all":
                bob = await shop.headers_anew("bob")
    assert (await shop.order(order_id))["status"] == "PAID"
    await shop.stock_becomes(lamp, (9, 0, 1))
    listed = (await shop.http.get("/api/orders", headers=bob)).json()["items"]
    assert order_id not in [each["orderId"] for each in listed]


# What the shop's staff may do with an order of Alice's, which is paid: everything else is 403.
READS = {
    "/api/orders/{order_id}",
    "/api/orders/{order_id}/timeline",
    "/api/orders/{order_id}/events",
    "/api/payments/{order_id}",
    "/internal/notifications",
}
STAFF: dict[str, dict[str, int]] = {
    "viewer": dict.fromkeys(READS, 200),
    "support": dict.fromkeys(READS, 200)
    | {"/api/orders/{order_id}/cancel": 409, "/api/notifications/{notification_id}/resend": 409},
}


@pytest.mark.parametrize("role", STAFF)
async def test_staff_may_do_what_their_role_says_and_nothing_else(shop: Shop, role: str) -> None:
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1}, who="alice")
    await shop.settles(order_id, "PAID")
    account = {"email": f"{order_id}@shop.example", "password": "correct horse"}
    await shop.http.post("/auth/register", json=account | {"name": role})
    await shop.mongodb["auth"]["users"].update_one({"email": account["email"]}, {"$set": {"roles": [role]}})
    session = (await shop.http.post("/auth/login", json=account)).json()
    headers = {"Authorization": f"Bearer {session['accessToken']}"}
    for (service, method, path), (who, content) in ROUTES.items():
        if who == OPEN:
            continue
        url = shop.stack.services[service] + filled(path, order_id, lamp)
        params = {"orderId": order_id} if path == "/internal/notifications" else None
        answer = await shop.http.request(method, url, json=content, headers=headers, params=params)
        assert answer.status_code == STAFF[role].get(path, 403), (path, answer.text)
    listed = (await shop.http.get("/api/orders?limit=100", headers=headers)).json()["items"]
    assert order_id in [each["orderId"] for each in listed]
    assert (await shop.order(order_id))["status"] == "PAID"
    await shop.stock_becomes(lamp, (9, 0, 1))


async def test_without_a_token_only_what_is_open_answers(shop: Shop) -> None:
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1})
    for (service, method, path), (who, content) in ROUTES.items():
        if who == OPEN:
            continue
        url = shop.stack.services[service] + filled(path, order_id, lamp)
        answer = await shop.http.request(method, url, json=content)
        assert answer.status_code == 401, (path, answer.text)
    await shop.settles(order_id, "PAID")


@pytest.mark.parametrize("service", DATABASES)
async def test_a_service_reaches_no_database_but_its_own(shop: Shop, service: str) -> None:
    url = shop.stack.mongodb.url_of(service, shop.stack.credentials.users[service])
    async with AsyncMongoClient[Json](url) as client:
        assert await client[service]["anything"].count_documents({}) == 0
        for other in {*DATABASES, "admin", "local"} - {service}:
            with pytest.raises(OperationFailure, match="not authorized"):
                await client[other]["anything"].find_one({})
            with pytest.raises(OperationFailure, match="not authorized"):
                await client[other]["anything"].insert_one({})


async def test_no_password_is_kept_for_the_older_hash_function(shop: Shop) -> None:
    async with AsyncMongoClient[Json](shop.stack.mongodb.url) as client:
        users = (await client.admin.command("usersInfo", {"forAllDBs": True}))["users"]
    assert {user["user"] for user in users} >= {*DATABASES, "sagactl", "root"}
    assert {tuple(user["mechanisms"]) for user in users} == {("SCRAM-SHA-256",)}


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_tool_reads_what_the_checker_compares_and_nothing_of_auth(shop: Shop, tool: str) -> None:
    url = shop.stack.mongodb.url_of(tool, shop.stack.credentials.users[tool])
    async with AsyncMongoClient[Json](url) as client:
        for engine in ENGINES:
            assert await client[engine]["anything"].count_documents({}) == 0
            with pytest.raises(OperationFailure, match="not authorized"):
                await client[engine]["anything"].insert_one({})
        for other in ("auth", "admin", "local"):
            for collection in ("signingKeys", "users"):
                with pytest.raises(OperationFailure, match="not authorized"):
                    await client[other][collection].find_one({})
