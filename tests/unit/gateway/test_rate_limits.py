"""What a request counts against, and how long a refused one has to wait."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import Rule, rule_for
from services.gateway.limits import Budget, Count, budgets, seconds_to_wait
from services.gateway.settings import GatewaySettings
from services.shared.http.auth import User

SETTINGS = GatewaySettings(
    rate_limit_requests=600, rate_limit_account_guesses=10, rate_limit_address_guesses=120
)
ADA = User(id="ada", email="ada@x.example", is_admin=False)
HERE = "203.0.113.7"
WINDOW = 60.0


def rule(path: str) -> Rule:
    found = rule_for(path.encode())
    assert found is not None
    return found


def used(count: Count) -> float:
    return count.current + count.before * (1 - count.elapsed)


def later(count: Count, seconds: float) -> Count:
    """The same window when nobody came meanwhile."""
    windows, elapsed = divmod(count.elapsed + seconds / WINDOW, 1)
    before = {0: count.before, 1: count.current}.get(int(windows), 0)
    return Count(before, count.current if windows == 0 else 0, elapsed)


@given(
    before=st.integers(0, 1000),
    current=st.integers(0, 1000),
    elapsed=st.floats(0, 1, exclude_max=True),
    limit=st.integers(1, 1000),
)
def test_after_the_wait_there_is_room_and_a_second_and_more_before_there_was_none(
    before: int, current: int, elapsed: float, limit: int
) -> None:
    count = Count(before, min(current, limit), elapsed)
    if used(count) + 1 <= limit:
        return  # it would not have been refused
    wait = seconds_to_wait(count, limit, WINDOW)
    assert 1 <= wait <= 2 * WINDOW
    assert used(later(count, wait)) + 1 <= limit + 1e-6
    if wait > 1:
        assert used(later(count, wait - 1.001)) + 1 > limit - 1e-6


def test_a_user_is_counted_wherever_it_is_and_nobody_by_address() -> None:
    assert budgets(SETTINGS, rule("/api/orders"), ADA, HERE, b"") == (Budget("user:ada", 600),)
    assert budgets(SETTINGS, rule("/api/products"), None, HERE, b"") == (Budget(f"address:{HERE}", 600),)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
def test_guesses_count_for_the_address_and_for_the_account_at_that_address(path: str) -> None:
    body = json.dumps({"email": "Ada@X.example"}).encode()
    general, place, account = budgets(SETTINGS, rule(path), None, HERE, body)
    assert general == Budget(f"address:{HERE}", 600)
    assert place == Budget(f"guesses:{HERE}", 120)
    assert account.limit == 10
    assert "ada" not in account.key


def test_all_spellings_of_an_address_are_one_account() -> None:
    def key(email: str) -> str:
        return budgets(SETTINGS, rule("/auth/login"), None, HERE, json.dumps({"email": email}).encode())[
            2
        ].key

    assert key("ada@x.example") == key(" ADA@x.EXAMPLE ") == key("\uff41da@x.example")
    assert key("ada@x.example") != key("bob@x.example")


@given(
    st.one_of(
        st.binary(max_size=50),
        st.recursive(st.none(), st.lists).map(lambda value: json.dumps(value).encode()),
    )
)
def test_a_body_without_an_account_counts_all_the_same(body: bytes) -> None:
    assert len(budgets(SETTINGS, rule("/auth/login"), None, HERE, body)) == 3


def test_a_deeply_nested_body_is_no_trouble() -> None:
    assert len(budgets(SETTINGS, rule("/auth/login"), None, HERE, b"[" * 60_000)) == 3
