"""Every public route, through the gateway and straight at its service, has the manners of HTTP."""

import httpx
import pytest

from sagactl.shop import Json
from tests.integration.saga.shop import Shop
from tests.integration.saga.test_saga_permissions import HIDDEN, ROUTES, filled

ORIGIN = {"Origin": "https://shop.example"}
PROBES = ("/healthz", "/readyz", "/metrics")


async def doors(shop: Shop) -> list[tuple[str, str, str]]:
    """Method, path and URL of every route, at each door that it has."""
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1}, who="alice")
    await shop.settles(order_id, "PAID")
    found = []
    for (service, method, path), (who, _) in ROUTES.items():
        target = filled(path, order_id, lamp)
        found.append((method, target, shop.stack.services[service] + target))
        if who != HIDDEN:
            found.append((method, target, shop.stack.gateway + target))
    return found


async def test_head_is_answered_wherever_get_is_with_the_same_headers(shop: Shop) -> None:
    headers = await shop.headers("admin")
    urls = [url for method, _, url in await doors(shop) if method == "get"]
    urls += [door + probe for door in shop.stack.services.values() for probe in PROBES]
    urls += [shop.stack.gateway + path for path in ("/docs", "/openapi.json")]
    for url in urls:
        got = await shop.http.get(url, headers=headers)
        head = await shop.http.head(url, headers=headers)
        # A stream comes in chunks, of which there are none here.
        names = set(got.headers) - {"transfer-encoding"}
        assert (head.status_code, set(head.headers)) == (got.status_code, names), url
        assert head.content == b""


async def test_a_method_that_no_route_of_a_path_has_is_told_all_that_it_has(shop: Shop) -> None:
    headers = await shop.headers("admin")
    found = await doors(shop)
    for _, path, url in found:
        methods = {method.upper() for method, same, _ in found if same == path}
        unknown = next(method for method in ("PUT", "PATCH", "DELETE") if method not in methods)
        answer = await shop.http.request(unknown, url, headers=headers)
        assert answer.status_code == 405, url
        there = set(answer.headers["Allow"].split(", "))
        assert there == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()), url


async def test_options_are_told_to_everybody(shop: Shop) -> None:
    for method, _, url in await doors(shop):
        answer = await shop.http.options(url)
        assert (answer.status_code, answer.content) == (204, b""), url
        assert {method.upper(), "OPTIONS"} <= set(answer.headers["Allow"].split(", ")), url


async def test_a_slash_at_the_end_leads_to_the_route(shop: Shop) -> None:
    headers = await shop.headers("admin")
    for method, path, url in await doors(shop):
        answer = await shop.http.request(method, f"{url}/", headers=headers)
        assert (answer.status_code, answer.headers["Location"]) == (308, path), url


async def test_a_parameter_that_no_route_knows_is_refused(shop: Shop) -> None:
    headers = await shop.headers("admin")
    for method, _, url in await doors(shop):
        answer = await shop.http.request(method, f"{url}?unkown=1", headers=headers)
        assert (answer.status_code, "unkown" in answer.text) == (422, True), url


async def test_every_answer_with_json_is_compact(shop: Shop) -> None:
    headers = await shop.headers("admin")
    for method, _, url in await doors(shop):
        for answer in (await shop.http.request(method, url, headers=headers), await shop.http.get(url)):
            assert b'": ' not in answer.content, url
    await shop.headers_anew("admin")  # one of the routes ended all logins


LONE = '"\\ud800"'
# Every text of every body, as half of a character: where, and the body around it.
LONE_SURROGATES: list[tuple[str, str, str]] = [
    ("post", "/auth/register", f'{{"email": {LONE}, "password": "long enough", "name": "A"}}'),
    ("post", "/auth/register", f'{{"email": "a@b.example", "password": {LONE}, "name": "A"}}'),
    ("post", "/auth/register", f'{{"email": "a@b.example", "password": "long enough", "name": {LONE}}}'),
    ("post", "/auth/login", f'{{"email": {LONE}, "password": "long enough"}}'),
    ("post", "/auth/login", f'{{"email": "a@b.example", "password": {LONE}}}'),
    ("post", "/auth/refresh", f'{{"refreshToken": {LONE}}}'),
    ("post", "/auth/logout", f'{{"refreshToken": {LONE}}}'),
    ("post", "/api/orders", f'{{"ids": [{LONE}], "quantities": [1]}}'),
    ("post", "/api/orders", f'{{"ids": ["a"], "quantities": [1], "paymentToken": {LONE}}}'),
    ("post", "/api/orders", f'{{"ids": ["a"], "quantities": [1], "fulfilment": {LONE}}}'),
    ("post", "/api/orders", f'{{"ids": ["a"], "quantities": [1], {LONE}: 1}}'),
    ("post", "/api/orders/o1/refund", f'{{"reason": {LONE}}}'),
    (
        "post",
        "/api/orders/o1/refund",
        f'{{"reason": "a", "lines": [{{"productId": {LONE}, "quantity": 1}}]}}',
    ),
    ("post", "/api/orders/o1/cancel", f'{{"reason": {LONE}}}'),
    ("post", "/api/orders/o1/refunds/r1/settled-outside", f'{{"reference": {LONE}, "reason": "a"}}'),
    ("post", "/api/orders/o1/refunds/r1/settled-outside", f'{{"reference": "a", "reason": {LONE}}}'),
    ("post", "/api/products", f'{{"name": {LONE}, "price": "1", "currency": "USD"}}'),
    ("post", "/api/products", f'{{"name": "A", "description": {LONE}, "price": "1", "currency": "USD"}}'),
    ("post", "/api/products", f'{{"name": "A", "price": {LONE}, "currency": "USD"}}'),
    ("post", "/api/products", f'{{"name": "A", "price": "1", "currency": {LONE}}}'),
    ("patch", "/api/products/p1", f'{{"name": {LONE}}}'),
    ("patch", "/api/products/p1", f'{{"currency": {LONE}, "price": "1"}}'),
]


@pytest.mark.parametrize(("method", "path", "body"), LONE_SURROGATES)
async def test_half_a_character_is_no_text(shop: Shop, method: str, path: str, body: str) -> None:
    headers = await shop.headers("admin") | {"Content-Type": "application/json"}
    answer = await shop.http.request(method, path, content=body, headers=headers)
    assert answer.status_code == 422, answer.text


async def test_the_root_leads_to_the_description(shop: Shop) -> None:
    answer = await shop.http.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/docs")
    assert (await shop.http.head("/")).status_code == 307


async def test_an_unusual_method_is_told_the_usual_ones(shop: Shop) -> None:
    answer = await shop.http.request("TRACE", "/api/orders", headers=await shop.headers("admin"))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")


@pytest.mark.parametrize("changes", [{}, {"name": "Lamp"}, {"price": "1.00", "currency": "USD"}])
async def test_a_patch_that_changes_nothing_is_no_change(shop: Shop, changes: Json) -> None:
    headers = await shop.headers("admin")
    lamp = {"name": "Lamp", "price": "1.00", "currency": "USD"}
    made = (await shop.http.post("/api/products", json=lamp, headers=headers)).json()
    answer = await shop.http.patch(f"/api/products/{made['productId']}", json=changes, headers=headers)
    assert (answer.status_code, answer.json()) == (200, made)


# --- web pages of other origins ---------------------------------------------------------------------------


async def test_a_web_page_of_another_origin_may_use_the_local_shop(shop: Shop) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = await shop.http.options("/api/orders", headers=ORIGIN | asked)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
    refused = await shop.http.post("/api/orders", headers=ORIGIN)
    exposed = refused.headers["Access-Control-Expose-Headers"]
    assert refused.status_code == 401
    for name in ("Location", "X-Request-ID", "Idempotency-Replayed", "Retry-After", "RateLimit"):
        assert name in exposed


async def test_without_an_origin_nothing_is_said_of_it(shop: Shop) -> None:
    answer: httpx.Response = await shop.http.get("/api/products")
    assert "Access-Control-Allow-Origin" not in answer.headers
