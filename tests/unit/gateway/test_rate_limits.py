"""What a request counts against, and how long a refused one has to wait."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import Rule, rule_for
from services.gateway.limits import Budget, Count, by_account, by_caller, judged, seconds_to_wait
from services.gateway.own_count import OwnCount
from services.gateway.settings import GatewaySettings
from services.shared import emails
from services.shared.http.auth import User

SETTINGS = GatewaySettings(
    rate_limit_requests=600, rate_limit_account_guesses=10, rate_limit_address_guesses=120
)
ADA = User(id="ada", email="ada@x.example")
BOB = User(id="bob", email="bob@x.example")
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


def test_a_user_counts_and_so_does_the_address_of_all_users_there() -> None:
    assert by_caller(SETTINGS, rule("/api/orders"), ADA, HERE) == (
        Budget("user:ada", 600),
        Budget(f"accounts:{HERE}", 3000),
    )
    assert by_caller(SETTINGS, rule("/api/products"), None, HERE) == (Budget(f"address:{HERE}", 600),)


def test_a_payment_gateway_has_a_budget_of_its_own_whoever_it_says_it_is() -> None:
    for user in (None, ADA):
        assert by_caller(SETTINGS, rule("/api/payments/webhooks/mock"), user, HERE) == (
            Budget(f"signed:{HERE}", 3000),
        )


def test_what_no_service_answers_counts_like_what_a_service_does() -> None:
    assert by_caller(SETTINGS, None, None, HERE) == (Budget(f"address:{HERE}", 600),)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
def test_guesses_count_for_the_address_and_then_for_the_account_at_that_address(path: str) -> None:
    general, place = by_caller(SETTINGS, rule(path), None, HERE)
    assert general == Budget(f"address:{HERE}", 600)
    assert place == Budget(f"guesses:{HERE}", 120)
    (account,) = guess_on(path, {"email": "Ada@X.example"})
    assert account.limit == 10
    assert account.name == "guesses"
    assert "ada" not in account.key


def guess_on(path: str, body: object, user: User | None = None) -> tuple[Budget, ...]:
    return by_account(SETTINGS, rule(path), user, HERE, json.dumps(body).encode())


def account_of(email: object) -> str:
    (budget,) = guess_on("/auth/login", {"email": email})
    return budget.key


def test_all_spellings_of_an_address_are_one_account() -> None:
    assert account_of("ada@x.example") == account_of(" ADA@x.EXAMPLE ") == account_of("\uff41da@x.example")
    assert account_of("ada@x.example") != account_of("bob@x.example")


@pytest.mark.parametrize("path", ["/auth/password", "/auth/totp/enrol", "/auth/totp/disable"])
def test_behind_one_address_each_user_guesses_alone_and_does_not_become_another_by_a_body(path: str) -> None:
    own = guess_on(path, {"currentPassword": "a"}, ADA)
    assert own == guess_on(path, {"currentPassword": "b", "email": "x@x.example", "token": "1.2"}, ADA)
    assert own != guess_on(path, {"currentPassword": "a"}, BOB)
    assert [(budget.name, budget.limit) for budget in own] == [("guesses", 10)]


@pytest.mark.parametrize("path", ["/auth/verify", "/auth/reset/confirm"])
def test_behind_one_address_each_letter_is_guessed_alone_whatever_the_secret(path: str) -> None:
    own = guess_on(path, {"token": "letter-1.secret"})
    assert own == guess_on(path, {"token": "letter-1.guess"}) != guess_on(path, {"token": "letter-2.secret"})
    assert not any(said in budget.key for budget in own for said in ("letter-1", "secret"))


def test_what_is_guessed_on_one_path_takes_nothing_from_another() -> None:
    ada = {"email": "ada@x.example"}
    paths = ("/auth/login", "/auth/register", "/auth/verify", "/auth/reset")
    assert len({guess_on(path, ada) for path in paths}) == len(paths)
    assert guess_on("/auth/password", {}, ADA) != guess_on("/auth/totp/enrol", {}, ADA)


def test_a_field_more_gives_a_guess_no_fresh_budget() -> None:
    (account,) = guess_on("/auth/login", {"email": "ada@x.example"})
    assert account in guess_on("/auth/login", {"email": "ada@x.example", "token": "anything.1"})
    assert account in guess_on("/auth/login", {"email": "ada@x.example"}, BOB)
    (letter,) = guess_on("/auth/verify", {"token": "letter-1.a"})
    assert letter in guess_on("/auth/verify", {"token": "letter-1.b", "email": "random@x.example"})


@given(
    st.one_of(
        st.binary(max_size=50),
        st.recursive(st.none(), st.lists).map(lambda value: json.dumps(value).encode()),
    )
)
def test_a_body_without_an_account_counts_all_the_same(body: bytes) -> None:
    assert len(by_account(SETTINGS, rule("/auth/login"), None, HERE, body)) == 1


def test_a_deeply_nested_body_is_no_trouble() -> None:
    assert len(by_account(SETTINGS, rule("/auth/login"), None, HERE, b"[" * 60_000)) == 1


def test_what_is_too_long_for_an_address_is_none_and_is_not_normalized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    normalized: list[str] = []

    def normalize(text: str) -> str:
        normalized.append(text)
        return text

    monkeypatch.setattr(emails, "normalize", normalize)
    # Each becomes 18 characters: 64 KiB of them took 50 ms of the event loop, before anything counted.
    assert account_of("\ufdfa" * 321) == account_of(None)
    with pytest.raises(ValueError, match="not an e-mail address"):
        emails.parse("\ufdfa" * 321)
    assert normalized == []


# --- the verdict ------------------------------------------------------------------------------------------


def test_the_budget_with_the_least_left_decides() -> None:
    plenty, scarce = Budget("user:ada", 600), Budget("guesses:here", 3)
    verdict = judged([plenty, scarce], [Count(0, 0, 0.5), Count(0, 2, 0.5)])
    assert (verdict.has_room, verdict.budget, verdict.left) == (True, scarce, 0)
    verdict = judged([plenty, scarce], [Count(0, 0, 0.5), Count(0, 3, 0.5)])
    assert (verdict.has_room, verdict.budget, verdict.count.current) == (False, scarce, 3)


def test_a_caller_is_told_how_much_is_left_and_for_how_long() -> None:
    assert judged([Budget("user:ada", 600)], [Count(100, 50, 0.5)]).fields(WINDOW) == {
        "RateLimit-Policy": '"user";q=600;w=60',
        "RateLimit": '"user";r=499;t=30',
    }
    refused = judged([Budget("user:ada", 10)], [Count(0, 10, 0.5)])
    wait = refused.seconds_to_wait(WINDOW)
    assert refused.fields(WINDOW)["RateLimit"] == f'"user";r=0;t={wait}'


# --- without Redis ----------------------------------------------------------------------------------------

ONE = (Budget("guesses:here", 3),)


def test_one_replica_alone_counts_as_redis_does() -> None:
    count = OwnCount(WINDOW)
    assert [count.judge(ONE, 0.0).has_room for _ in range(5)] == [True] * 3 + [False] * 2
    wait = count.judge(ONE, 0.0).seconds_to_wait(WINDOW)
    assert not count.judge(ONE, wait - 1.5).has_room
    assert count.judge(ONE, wait).has_room
    assert [count.judge(ONE, 500.0).has_room for _ in range(4)] == [True] * 3 + [False]


def test_a_refused_request_counts_against_none_of_its_budgets() -> None:
    count = OwnCount(WINDOW)
    both = (Budget("user:ada", 100), *ONE)
    for _ in range(10):
        count.judge(both, 0.0)
    assert count.judge((Budget("user:ada", 100),), 0.0).count.current == 4


def test_no_flood_of_addresses_fills_the_memory() -> None:
    count = OwnCount(WINDOW, most_keys=10)
    for number in range(1000):
        assert count.judge((Budget(f"address:{number}", 1),), 0.0).has_room
    assert not count.judge((Budget("address:999", 1),), 0.0).has_room, "the latest are known"
    assert count.judge((Budget("address:0", 1),), 0.0).has_room, "the oldest is forgotten"
