"""Idempotency keys: the same request again is the same answer, another request is refused, for a day."""

from datetime import UTC, datetime, timedelta

import pytest

from services.shared.contract.decisions import KeyReused
from services.shared.contract.idempotency import (
    LIFETIME,
    IdempotencyKey,
    earlier_subject,
    key_id,
    request_hash,
)

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REQUEST = request_hash({"ids": ["a"], "quantities": [1]})
FOUND = IdempotencyKey(id=key_id("customer", "key"), request=REQUEST, subject="order-1", at=AT)


def test_a_key_used_for_the_first_time_has_no_earlier_subject() -> None:
    assert earlier_subject(None, REQUEST, AT) is None


def test_the_same_request_again_gives_what_it_gave() -> None:
    assert earlier_subject(FOUND, REQUEST, AT + timedelta(hours=3)) == "order-1"


def test_a_key_for_another_request_is_refused() -> None:
    with pytest.raises(KeyReused, match="send a new key"):
        earlier_subject(FOUND, request_hash({"ids": ["b"]}), AT)


def test_a_key_lives_for_a_day_to_the_millisecond() -> None:
    last = AT + LIFETIME - timedelta(milliseconds=1)
    assert earlier_subject(FOUND, REQUEST, last) == "order-1"
    assert earlier_subject(FOUND, REQUEST, AT + LIFETIME) is None
    assert earlier_subject(FOUND, "another", AT + LIFETIME) is None


def test_equal_requests_have_one_hash_whatever_the_order_of_their_keys() -> None:
    assert request_hash({"a": 1, "b": [1, 2]}) == request_hash({"b": [1, 2], "a": 1})
    assert request_hash({"b": [1, 2]}) != request_hash({"b": [2, 1]})


def test_keys_of_two_customers_do_not_meet() -> None:
    assert key_id("ann", "1") != key_id("bob", "1")
