"""What is on the list goes to its service, and nothing else goes anywhere."""

import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.domain import RULES, NotAnId, PathRefused, Rule, rule_for, rule_of, segments
from services.shared.http import preconditions
from services.shared.http.verbs import METHODS

PREFIXES = st.sampled_from([rule.path for rule in RULES])
PIECES = st.sampled_from(
    [
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5c",
        "\\",
        "%252e",
        "%00",
        "%",
        ";",
        "internal",
        "api",
        "orders",
        "auth",
        "a",
        "%c3%a9",
        "%ff",
        "~",
        "@",
    ]
)


def allowed_by_the_list(path: str) -> bool:
    """The same said another way: decode until nothing changes, then no segment may be odd."""
    while (decoded := unquote(path, errors="strict")) != path:
        path = decoded
    return all(part and part not in (".", "..") for part in path[1:].split("/")) and any(
        path == rule.path or path.startswith(f"{rule.path}/") for rule in RULES
    )


@given(prefix=st.one_of(PREFIXES, st.just("")), pieces=st.lists(PIECES, max_size=8))
@example(prefix="/api/orders", pieces=["/", "..", "/", "..", "/", "internal"])
@example(prefix="/api/orders", pieces=["/", "%2e%2e", "/", "internal"])
@example(prefix="/auth", pieces=["%2f", "..", "%2f", "internal"])
def test_only_what_is_plainly_on_the_list_is_routed(prefix: str, pieces: list[str]) -> None:
    path = prefix + "".join(pieces)
    try:
        rule = rule_for(path.encode())
    except PathRefused:
        return
    if rule is not None:
        assert allowed_by_the_list(path)
        assert path == rule.path or path.startswith(f"{rule.path}/")
        assert "internal" not in segments(path.encode())[:1]


@given(st.binary(max_size=40))
def test_no_bytes_at_all_do_more_than_be_refused(raw: bytes) -> None:
    try:
        rule = rule_for(b"/" + raw)
    except PathRefused:
        return
    assert rule is None or (b"/" + raw).startswith(rule.path.encode())


@given(
    rule=st.sampled_from(RULES),
    id_=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
)
def test_a_segment_goes_through_unless_it_has_a_separator_or_should_be_an_id(rule: Rule, id_: str) -> None:
    path = f"{rule.path.replace('*', 'an-id')}/{quote(id_, safe='')}".encode()
    if id_ in (".", "..") or re.search(r"[/\\%?#;]", id_):
        with pytest.raises(PathRefused):
            rule_for(path)
    elif rule.names_ids and not re.fullmatch("[A-Za-z0-9_-]{1,64}", id_):
        with pytest.raises(NotAnId, match="an id has 1 to 64 characters"):
            rule_for(path)
    else:
        assert segments(path)[-1] == id_
        found = rule_for(path)
        assert found is not None


@pytest.mark.parametrize(
    "path",
    [
        "//api/orders",
        "/api//orders",
        "/api/orders/",
        "/api/orders/..",
        "/api/./orders",
        "/api/orders/%2e%2e/x",
        "/api/orders/%2E./x",
        "/api/orders/..%2f..%2finternal",
        "/api%2forders",
        "/api/orders\\..\\internal",
        "/api/orders/%252e%252e",
        "/api/orders/a;b",
        "/api/orders/%00",
        "/api/orders/%ff",
        "/api/orders/%zz",
        "api/orders",
    ],
)
def test_a_path_that_two_could_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        rule_for(path.encode())


@pytest.mark.parametrize("segment", ["SKU%2012%2F40%20W", "a%20b", "a;b", "a,b", "%F0%9F%8D%B5", "p" * 65])
def test_what_is_no_id_is_told_from_a_path_that_could_mean_two_things(segment: str) -> None:
    with pytest.raises(NotAnId, match="an id has 1 to 64 characters"):
        rule_for(f"/api/inventory/{segment}".encode())
    with pytest.raises(NotAnId):
        rule_for(f"/api/inventory/{segment}/restock".encode())


def test_a_path_of_a_description_has_its_rule() -> None:
    rule = rule_of("/api/orders/{order_id}/cancel")
    assert rule is not None
    assert rule.service == "order"
    assert rule_of("/internal/orders/{order_id}") is None


@pytest.mark.parametrize(
    "path",
    [
        "/internal/orders/stale",
        "/api",
        "/api/ordersx",
        "/api/internal",
        "/healthz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/API/orders",
        "/.well-known/openid-configuration",
        "/api/notifications",
    ],
)
def test_what_is_not_on_the_list_is_nobodys(path: str) -> None:
    assert rule_for(path.encode()) is None


@pytest.mark.parametrize(
    ("method", "path", "service", "needs_token"),
    [
        ("POST", "/auth/register", "auth", False),
        ("POST", "/auth/login", "auth", False),
        ("POST", "/api/notifications/n1/resend", "notification", True),
        ("POST", "/auth/refresh", "auth", False),
        ("POST", "/auth/logout", "auth", False),
        ("POST", "/auth/logout-all", "auth", True),
        ("GET", "/auth/accounts", "auth", True),
        ("PATCH", "/auth/accounts/u1", "auth", True),
        ("POST", "/auth/password", "auth", True),
        ("POST", "/auth/verify", "auth", False),
        ("POST", "/auth/verify/resend", "auth", False),
        ("POST", "/auth/reset", "auth", False),
        ("POST", "/auth/reset/confirm", "auth", False),
        ("POST", "/auth/totp/enrol", "auth", True),
        ("POST", "/auth/totp/confirm", "auth", True),
        ("POST", "/auth/totp/disable", "auth", True),
        ("GET", "/auth/me", "auth", True),
        ("GET", "/.well-known/jwks.json", "auth", False),
        ("GET", "/api/products", "product", False),
        ("GET", "/api/products/p1", "product", False),
        ("POST", "/api/products", "product", True),
        ("PATCH", "/api/products/p1", "product", True),
        ("DELETE", "/api/products/p1", "product", True),
        ("GET", "/api/inventory/p1", "inventory", False),
        ("POST", "/api/inventory/p1/restock", "inventory", True),
        ("PUT", "/api/inventory/p1", "inventory", True),
        ("GET", "/api/inventory/p1/moves", "inventory", True),
        ("GET", "/api/inventory/p1/more", "inventory", False),
        ("GET", "/api/orders", "order", True),
        ("POST", "/api/orders", "order", True),
        ("GET", "/api/orders/o1/events", "order", True),
        ("POST", "/api/orders/o1/cancel", "order", True),
        ("GET", "/api/payments/o1", "payment", True),
        ("POST", "/api/payments/webhooks/mock", "payment", False),
        ("GET", "/api/payments/webhooks/mock", "payment", True),
    ],
)
def test_every_public_route_goes_to_its_service(
    method: str, path: str, service: str, *, needs_token: bool
) -> None:
    rule = rule_for(path.encode())
    assert rule is not None
    assert (rule.service, rule.needs_token(method)) == (service, needs_token)
    assert method in METHODS


def test_only_a_payment_gateways_webhooks_may_be_longer_than_other_bodies() -> None:
    longer = {rule.path: rule.body_limit for rule in RULES if rule.body_limit != 64 * 1024}
    assert longer == {"/api/payments/webhooks": 256 * 1024}
    for path, limit in (("/api/payments/webhooks/mock", 256 * 1024), ("/api/payments/webhooks", 64 * 1024)):
        assert preconditions.limit_of(path.encode()) == limit


def test_only_routes_that_try_passwords_are_counted_as_guesses() -> None:
    assert {rule.path for rule in RULES if rule.guesses} == {
        "/auth/login",
        "/auth/register",
        "/auth/password",
        "/auth/totp",
        "/auth/verify",
        "/auth/reset",
    }
