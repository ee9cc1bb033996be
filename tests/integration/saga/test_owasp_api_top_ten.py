"""OWASP's ten risks of APIs (2023), each tried as an attacker would, on the whole shop."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from sagactl.oncall.check import Known
from sagactl.polling import until
from sagactl.shop import Json
from services.shared.http.cursors import Cursor
from tests.integration.saga.customers import PASSWORD, email_of
from tests.integration.saga.probe import body
from tests.integration.saga.shop import Shop

SECONDS = 20.0


async def ask(shop: Shop, method: str, path: str, who: str | None = None, **given: Any) -> httpx.Response:
    own = await shop.headers(who) if who else {}
    headers = {**own, **given.pop("headers", {})}
    return await shop.http.request(method, path, headers=headers, **given)


async def raw(shop: Shop, request: bytes) -> bytes:
    """What the gateway answers to bytes that no client library would send."""
    address = urlsplit(shop.stack.gateway)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65_536), SECONDS)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_api1_broken_object_level_authorization(shop: Shop) -> None:
    """Mallory knows the ids of Alice's order, and asks for it in every way there is."""
    lamp = await shop.product()
    paid = await shop.place({lamp: 1}, who="alice")
    await shop.settles(paid, "PAID")
    before = await shop.order(paid)
    attempts: list[tuple[str, str, Json | None]] = [
        ("GET", f"/api/orders/{paid}", None),
        ("HEAD", f"/api/orders/{paid}", None),
        ("GET", f"/api/orders/{paid}/timeline", None),
        ("GET", f"/api/orders/{paid}/events", None),
        ("GET", f"/api/payments/{paid}", None),
        ("POST", f"/api/orders/{paid}/cancel", None),
        ("POST", f"/api/orders/{paid}/refund", {"reason": "mine"}),
    ]
    for method, path, content in attempts:
        answer = await ask(shop, method, path, "mallory", json=content)
        assert answer.status_code == 404, (method, path, answer.text)
        # A service that is asked without the gateway decides for itself.
        service = "payment" if "payments" in path else "order"
        answer = await ask(shop, method, shop.stack.services[service] + path, "mallory", json=content)
        assert answer.status_code == 404, (method, path, answer.text)
    # A cursor is made by hand, and says nothing about whose list it is of.
    cursor = Cursor(datetime.fromisoformat(before["createdAt"]), paid[:-1] + "~").encode()
    for query in ("", f"?cursor={cursor}", "?status=PAID&limit=100"):
        listed = (await ask(shop, "GET", f"/api/orders{query}", "mallory")).json()["items"]
        assert paid not in [order["orderId"] for order in listed]
    # An idempotency key is its customer's own.
    key = {"Idempotency-Key": uuid.uuid4().hex}
    wanted = {"ids": [lamp], "quantities": [1], "paymentToken": "tok_success"}
    hers = await ask(shop, "POST", "/api/orders", "alice", json=wanted, headers=key)
    theirs = await ask(shop, "POST", "/api/orders", "mallory", json=wanted, headers=key)
    assert hers.json()["orderId"] != theirs.json()["orderId"]
    for answer in (hers, theirs):
        shop.house.accepted[answer.json()["orderId"]] = shop.test
        await shop.settles(answer.json()["orderId"], "PAID")
    assert await shop.order(paid) == before


async def test_api2_broken_authentication(shop: Shop) -> None:
    """An account's password is guessed, and a refresh token is stolen."""
    email = f"{uuid.uuid4().hex}@shop.example"
    account = {"email": email, "password": PASSWORD}
    await ask(shop, "POST", "/auth/register", json=account | {"name": "Alice"})
    wrong = await ask(shop, "POST", "/auth/login", json=account | {"password": "wrong horse"})
    nobody = await ask(shop, "POST", "/auth/login", json=account | {"email": f"no-{email}"})
    assert (wrong.status_code, nobody.status_code) == (401, 401)
    assert wrong.json() == nobody.json(), "who has an account is not told"
    statuses = [
        (await ask(shop, "POST", "/auth/login", json=account | {"password": f"guess {n}"})).status_code
        for n in range(24)
    ]
    assert 429 in statuses, "the gateway's limits are off here: the account's own budget holds"

    other = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD}
    await ask(shop, "POST", "/auth/register", json=other | {"name": "Alice"})
    session = (await ask(shop, "POST", "/auth/login", json=other)).json()
    stolen = {"refreshToken": session["refreshToken"]}
    for token in (session["refreshToken"], session["accessToken"][:-4] + "AAAA", "null", "undefined"):
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await ask(shop, "GET", "/auth/me", headers=bearer)).status_code == 401
    owner, thief = {"User-Agent": "owner"}, {"User-Agent": "thief"}
    renewed = (await ask(shop, "POST", "/auth/refresh", json=stolen, headers=owner)).json()
    assert (await ask(shop, "POST", "/auth/refresh", json=stolen, headers=thief)).status_code == 401
    last = {"refreshToken": renewed["refreshToken"]}
    ended = await ask(shop, "POST", "/auth/refresh", json=last, headers=owner)
    assert ended.status_code == 401, "owner and thief cannot be told apart: the login has ended for both"


async def test_api3_broken_object_property_level_authorization(shop: Shop) -> None:
    """Fields are written that are not the caller's to write, and looked for where none should be."""
    lamp = await shop.product()
    wanted: Json = {"ids": [lamp], "quantities": [1], "paymentToken": "tok_success"}
    for field, value in {
        "price": "0.01", "totalPrice": "0.01", "status": "PAID", "customerId": "x", "orderId": "x",
        "email": email_of("alice"), "settled": True, "currency": "JPY", "__proto__": {}, "version": 7,
    }.items():  # fmt: skip
        answer = await ask(shop, "POST", "/api/orders", "mallory", json=wanted | {field: value})
        assert answer.status_code == 422, (field, answer.text)
    registration = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD, "name": "M"}
    for field, value in {
        "roles": ["admin"],
        "userId": "x",
        "disabled": False,
        "epoch": 9,
        "seeded": True,
    }.items():
        answer = await ask(shop, "POST", "/auth/register", json=registration | {field: value})
        assert answer.status_code == 422, (field, answer.text)
    for field in ("deleted", "createdAt", "productId", "version"):
        answer = await ask(shop, "PATCH", f"/api/products/{lamp}", "admin", json={field: 1})
        assert answer.status_code == 422, (field, answer.text)

    order_id = await shop.place({lamp: 1}, who="alice")
    await shop.settles(order_id, "PAID")
    own = (await ask(shop, "GET", f"/api/orders/{order_id}", "alice")).json()
    timeline = (await ask(shop, "GET", f"/api/orders/{order_id}/timeline", "alice")).json()
    payment = (await ask(shop, "GET", f"/api/payments/{order_id}", "alice")).json()
    for secret in ("tok_success", "paymentToken", "passwordHash", "seen", "version", "eventId", "attention"):
        assert secret not in json.dumps([own, timeline, payment]), secret
    for who in (None, "mallory"):
        stock = (await ask(shop, "GET", f"/api/inventory/{lamp}", who)).json()
        assert {"reserved", "sold"}.isdisjoint(stock)
    assert "passwordHash" not in (await ask(shop, "GET", "/auth/accounts", "admin")).text


async def test_api4_unrestricted_resource_consumption(shop: Shop) -> None:
    """What is large, many or deep is refused at once, and others are served meanwhile."""
    lamp = await shop.product()
    deep = b'{"ids":' + b"[" * 30_000
    requests: list[tuple[str, str, dict[str, Any], int]] = [
        ("POST", "/api/orders", {"content": b"x" * 70_000}, 413),
        ("POST", "/api/orders", {"content": deep}, 400),
        ("POST", "/api/orders", {"json": {"ids": [lamp] * 51, "quantities": [1] * 51}}, 422),
        ("POST", "/api/orders", {"json": {"ids": [lamp], "quantities": [10**400]}}, 422),
        ("GET", "/api/orders?limit=1000000", {}, 422),
        ("GET", f"/api/products?ids={','.join(['a'] * 101)}", {}, 422),
        ("GET", f"/api/products?cursor={'A' * 5000}", {}, 422),
        ("GET", "/api/products", {"headers": {"X-Long": "x" * 40_000}}, 431),
        ("POST", "/auth/login", {"json": {"email": "\ufdfa" * 10_000, "password": "x"}}, 422),
        ("POST", "/auth/login", {"json": {"email": "a@x.example", "password": "x" * 50_000}}, 422),
    ]

    async def attack() -> None:
        for method, path, given, expected in requests:
            headers = {"content-type": "application/json"} | given.pop("headers", {})
            answer = await ask(shop, method, path, "mallory", headers=headers, **given)
            assert answer.status_code == expected, (method, path[:60], answer.status_code, answer.text[:300])

    started = time.monotonic()
    attacks = asyncio.create_task(attack())
    while not attacks.done():
        before = time.monotonic()
        assert (await ask(shop, "GET", f"/api/products/{lamp}")).is_success
        assert time.monotonic() - before < 10, "somebody else waits"
        await asyncio.sleep(0.05)
    await attacks
    assert time.monotonic() - started < SECONDS


async def test_api5_broken_function_level_authorization(shop: Shop) -> None:
    """A customer asks for what administrators and operators do, and dresses the request up."""
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1}, who="alice", card="tok_slow")
    functions: list[tuple[str, str, Json | None]] = [
        ("POST", "/api/products", {"name": "Mine", "price": "1.00", "currency": "USD"}),
        ("PATCH", f"/api/products/{lamp}", {"price": "0.01"}),
        ("DELETE", f"/api/products/{lamp}", None),
        ("POST", f"/api/inventory/{lamp}/restock", {"quantity": 1}),
        ("GET", "/auth/accounts", None),
        ("PATCH", f"/auth/accounts/{order_id}", {"roles": ["admin"]}),
        ("POST", f"/auth/accounts/{order_id}/logout", None),
    ]
    for headers in ({}, {"X-HTTP-Method-Override": "GET"}, {"X-Role": "admin", "X-User-Roles": "admin"}):
        for method, path, content in functions:
            answer = await ask(shop, method, path, "mallory", json=content, headers=headers)
            assert answer.status_code == 403, (method, path, answer.text)
    for path in (
        *(
            f"/internal/orders/{order_id}/compensate",
            f"/api/orders/../../internal/orders/{order_id}/compensate",
        ),
        *(f"/%69nternal/orders/{order_id}/compensate", f"//internal/orders/{order_id}/compensate"),
        *(
            f"/api/orders/..%2f..%2finternal/orders/{order_id}/compensate",
            "/internal/notifications?orderId=o",
        ),
        *(
            f"/api/orders/{order_id}/compensate",
            f"/INTERNAL/orders/{order_id}/compensate",
            "/;/internal/orders/stale",
        ),
    ):
        for who in ("mallory", "admin"):
            token = (await shop.headers(who))["Authorization"]
            told = await raw(
                shop,
                f"POST {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: {token}\r\nConnection: close\r\n"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode(),
            )
            assert told.split(b" ", 2)[1] in {b"400", b"404", b"405", b"422"}, (path, told[:200])
    service = shop.stack.services["order"]
    answer = await ask(shop, "POST", f"{service}/internal/orders/{order_id}/compensate", "alice", json={})
    assert answer.status_code == 403
    assert (await ask(shop, "GET", f"/api/products/{lamp}")).json()["price"] == "10.00"
    await shop.settles(order_id, "PAID")


async def test_api6_unrestricted_access_to_sensitive_business_flows(shop: Shop) -> None:
    """The last pieces are ordered by many at once, and one order is paid back as often as it is asked for."""
    lamp = await shop.product(stock=3)
    answers = await asyncio.gather(*(shop.try_to_place({lamp: 1}, who="mallory") for _ in range(12)))
    placed = [answer.json()["orderId"] for answer in answers if answer.status_code == 201]
    orders = [await shop.becomes(order_id, lambda order: order["settled"]) for order_id in placed]
    statuses = [order["status"] for order in orders]
    assert statuses.count("PAID") == 3, statuses
    await shop.stock_becomes(lamp, (0, 0, 3))  # no piece is sold twice

    paid = next(order["orderId"] for order in orders if order["status"] == "PAID")
    refund = {"reason": "again"}
    asked = [ask(shop, "POST", f"/api/orders/{paid}/refund", "mallory", json=refund) for _ in range(10)]
    assert {answer.status_code for answer in await asyncio.gather(*asked)} <= {202, 503}
    await shop.settles(paid, "REFUNDED")
    assert (await shop.ledger(paid))["refunded"] == 1, "the money comes back once"
    cancelled = await ask(shop, "POST", f"/api/orders/{paid}/cancel", "mallory")
    assert cancelled.status_code == 409


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server that nothing of the shop has a reason to ask."""
    heard: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_HEAD = do_GET  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Trap)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_api7_server_side_request_forgery(shop: Shop) -> None:
    """An address of the attacker's goes into everything that takes a text: nobody calls there."""
    with listening() as (host, heard):
        there = f"http://{host}"
        lamp = await shop.product()
        named = {"name": f"{there}/name", "description": f"<img src='{there}/description'>"}
        assert (await ask(shop, "PATCH", f"/api/products/{lamp}", "admin", json=named)).is_success
        order_id = await shop.place({lamp: 1}, who="mallory")
        await shop.settles(order_id, "PAID")
        await ask(
            shop, "POST", f"/api/orders/{order_id}/refund", "mallory", json={"reason": f"{there}/reason"}
        )
        for token in (there, f"tok_{there}", f"file://{host}"):
            wanted = {"ids": [lamp], "quantities": [1], "paymentToken": token}
            assert (await ask(shop, "POST", "/api/orders", "mallory", json=wanted)).status_code == 422
        for headers in (
            *(
                {"Host": host},
                {"X-Forwarded-Host": host},
                {"X-Original-URL": there},
                {"Forwarded": f"host={host}"},
            ),
            *({"X-Forwarded-For": host}, {"Referer": there}, {"Origin": there}, {"Destination": there}),
        ):
            await ask(shop, "GET", "/api/products", headers=headers)
            await ask(shop, "GET", "/auth/me", "mallory", headers=headers)
        for target in (
            f"{there}/api/products",
            f"//{host}/api/products",
            f"/api/products@{host}",
            f"http:{host}",
        ):
            await raw(shop, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await raw(shop, f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await shop.settles(order_id, "REFUNDED")
    assert heard == []


async def test_api8_security_misconfiguration(shop: Shop) -> None:
    """What frameworks show when nobody has looked: versions, traces, foreign origins, methods, listings."""
    answers = [
        await ask(shop, "GET", "/api/products"),
        await ask(shop, "GET", "/nowhere"),
        await ask(shop, "GET", "/api/orders/x", "mallory"),
        await ask(
            shop, "POST", "/api/orders", "mallory", content=b"{", headers={"content-type": "application/json"}
        ),
        await ask(shop, "TRACE", "/api/products", "mallory"),
        await ask(shop, "PUT", "/api/products", "mallory"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 400, 405, 405]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert "x-powered-by" not in answer.headers
        for hint in ("Traceback", "site-packages", ".py", "uvicorn", "pymongo", "pydantic", "mongodb://"):
            assert hint not in answer.text, hint
    secret = await ask(shop, "GET", "/api/orders", "alice", headers={"Origin": "https://evil.example"})
    assert secret.headers.get("access-control-allow-credentials") is None
    assert secret.headers["cache-control"] == "no-store"
    shout = await ask(shop, "GET", "/api/orders", "alice", headers={"X-Shout": "alice-shouts"})
    assert "alice-shouts" not in str(shout.headers) + shout.text
    for path in ("/.git/config", "/.env", "/static", "/statics", "/docs/../settings.py", "/etc/passwd"):
        assert (await ask(shop, "GET", path)).status_code in {400, 404}, path
    proxied = await ask(shop, "GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert proxied.status_code == 404, "metrics are this machine's alone"


def nameless(path: str) -> str:
    """Without the names of its parameters, which differ."""
    return re.sub(r"\{\w+\}", "{}", path)


async def test_api9_improper_inventory_management(shop: Shop) -> None:
    """Nothing is served that is not described, in no older version and on no forgotten path."""
    described = (await ask(shop, "GET", "/openapi.json")).json()["paths"]
    assert not [path for path in described if "internal" in path]
    for path in (
        *(
            "/v1/api/orders",
            "/api/v1/orders",
            "/api/v2/orders",
            "/api",
            "/admin",
            "/debug",
            "/actuator/health",
        ),
        *("/graphql", "/redoc", "/swagger.json", "/openapi.yaml", "/console", "/status", "/internal"),
        *(
            "/api/notifications",
            "/api/outbox",
            "/api/orders/x/internal",
            "/auth/users",
            "/metrics/x",
        ),
    ):
        answer = await ask(shop, "GET", path, "admin")
        assert answer.status_code in {404, 405}, (path, answer.text)
    for path, item in described.items():
        target = path.replace("{", "").replace("}", "")
        for method in {"get", "post", "put", "patch", "delete"} - item.keys():
            answer = await ask(shop, method, target, "mallory", json={} if method != "get" else None)
            assert answer.status_code in {404, 405, 422}, (method, path, answer.status_code)
    # Each service describes all of what it serves; those that are for operators are known by their path.
    for service, url in shop.stack.services.items():
        own = (await ask(shop, "GET", f"{url}/openapi.json")).json()["paths"]
        hidden = {path for path in own if nameless(path) not in {nameless(each) for each in described}}
        assert all(path.startswith("/internal/") for path in hidden), (service, hidden)


async def test_api10_unsafe_consumption_of_apis(shop: Shop) -> None:
    """What others say is not believed because they say it: caches, messages, and a gateway that fails."""
    lamp, torch = await shop.product(), await shop.product()
    first = await shop.place({lamp: 1}, who="alice")
    await shop.settles(first, "PAID")
    # The cache lies, and then talks rubbish.
    async with Redis.from_url(shop.stack.redis.url) as redis:
        keys = [key async for key in redis.scan_iter(match=f"*{torch}*")]
        await ask(shop, "GET", f"/api/products/{torch}")
        keys += [key async for key in redis.scan_iter(match=f"*{torch}*")]
        for key in {*keys}:
            await redis.set(key, b"\xff{not a product", ex=30)
    assert (await ask(shop, "GET", f"/api/products/{torch}")).json()["price"] == "10.00"
    order_id = await shop.place({torch: 1}, who="alice")
    assert (await shop.settles(order_id, "PAID"))["totalPrice"] == "10.00"
    # Somebody who may publish says that an order is paid once more, with a cent, and given back.
    for type_, said in (
        ("PAYMENT_SUCCEEDED", {"amount": "0.01"}),
        ("PAYMENT_REFUNDED", {"amount": "10.00", "refundId": "ref_lie"}),
    ):
        lie = body(type_, orderId=first, transactionId="txn_lie", currency="USD", **said)
        await shop.publish("order-events", lie, message_id=uuid.uuid4().hex)

    async def marks() -> int:
        found = await shop.database("order")["orders"].find_one({"_id": first}) or {}
        return len(found.get("attention", ()))

    await until(marks, lambda count: count == 2, within=SECONDS, what="both lies are marked for somebody")
    assert (await shop.order(first))["status"] == "PAID"
    assert (await shop.ledger(first)) == {"captured": 1}
    shop.house.known.add(Known(first))
    # The payment gateway answers 503 for a while.
    failing = await shop.place({lamp: 1}, who="alice", card="tok_error")
    await shop.settles(failing, "PAID")
    assert (await shop.ledger(failing))["captured"] == 1
