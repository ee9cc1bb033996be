"""Which headers go on, and which come back."""

import pytest

from services.gateway.forwarding import back, onward

CALLER = [
    (b"host", b"shop.example"),
    (b"content-length", b"2"),
    (b"authorization", b"Bearer x"),
    (b"idempotency-key", b"k1"),
    (b"accept-encoding", b"br"),
]


def test_a_caller_s_own_headers_go_on() -> None:
    assert onward(CALLER, {}) == [
        ("authorization", "Bearer x"),
        ("idempotency-key", "k1"),
        ("accept-encoding", "br"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authorization",
    ],
)
def test_headers_of_the_connection_stay_on_it_in_both_directions(name: bytes) -> None:
    assert onward([(name, b"x")], {}) == []
    assert back([(name.title(), b"x")]) == []


def test_what_connection_names_stays_as_well() -> None:
    headers = [(b"connection", b"X-Hop, close"), (b"x-hop", b"1"), (b"x-end", b"2")]
    assert onward(headers, {}) == [("x-end", "2")]
    assert back(headers) == [(b"x-end", b"2")]


@pytest.mark.parametrize(
    "name", [b"x-forwarded-for", b"x-real-ip", b"forwarded", b"traceparent", b"tracestate", b"x-request-id"]
)
def test_what_is_ours_to_say_is_not_taken_from_a_caller(name: bytes) -> None:
    assert onward([(name, b"forged")], {"X-Ours": "1"}) == [("X-Ours", "1")]


def test_bytes_beyond_ascii_are_no_error() -> None:
    assert onward([(b"x-name", b"\xff")], {}) == [("x-name", "\xff")]


def test_an_answer_keeps_its_headers_in_order_and_several_of_a_name() -> None:
    answer = [(b"Set-Cookie", b"a=1"), (b"Date", b"now"), (b"Set-Cookie", b"b=2"), (b"ETag", b'"x"')]
    assert back(answer) == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"etag", b'"x"')]


def test_a_request_is_called_by_our_id_alone_whatever_a_service_calls_it() -> None:
    assert back([(b"X-Request-ID", b"the service's own")]) == []
