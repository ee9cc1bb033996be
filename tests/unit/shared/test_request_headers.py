"""Headers that a request may have once, and those that every answer has."""

import pytest

from services.shared.http.once import repeated
from services.shared.http.safe_headers import completed

TOKENS = [(b"authorization", b"Bearer a"), (b"x", b"1"), (b"authorization", b"Bearer b")]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([], None),
        (TOKENS[:2], None),
        (TOKENS, "authorization"),
        (
            [(b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b"), (b"cookie", b"1"), (b"cookie", b"2")],
            None,
        ),
        ([(b"host", b"a"), (b"host", b"a")], "host"),
        ([(b"idempotency-key", b"a"), (b"idempotency-key", b"b")], "idempotency-key"),
        ([(b"content-type", b"a"), (b"content-type", b"b")], "content-type"),
    ],
)
def test_a_header_that_decides_something_comes_once(
    headers: list[tuple[bytes, bytes]], name: str | None
) -> None:
    assert repeated(headers, dict(headers)) == name


def test_what_a_route_says_of_its_answer_stays() -> None:
    own = [(b"Cache-Control", b"public, max-age=60"), (b"content-security-policy", b"default-src 'self'")]
    assert completed(own, is_personal=True) == [*own, (b"x-content-type-options", b"nosniff")]


def test_what_is_answered_to_somebody_stays_in_no_cache() -> None:
    assert (b"cache-control", b"no-store") in completed([], is_personal=True)
    assert b"cache-control" not in dict(completed([], is_personal=False))
