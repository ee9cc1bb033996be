"""What tokens say, and which refresh token counts."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import domain
from services.auth.domain import ACCESS_TTL, REFRESH_IDLE, REFRESH_LONGEST, Family, Use, User
from services.shared import emails

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER, THIEF = "owner", "thief"
ADA = User(id="u1", email="ada@x.example", name="Ada", password_hash="-", roles=("admin",), created_at=NOW)


def family_after(rotations: int) -> tuple[Family, list[str]]:
    """A family in which `rotations` tokens were used, and all of its secrets; the last one counts."""
    secrets = [f"secret {number}" for number in range(rotations + 1)]
    family = domain.begin("f", ADA, secrets[0], NOW)
    for secret, successor in pairwise(secrets):
        family, outcome = domain.use(family, secret, successor, OWNER, NOW)
        assert outcome is Use.ROTATED
    return family, secrets


@given(rotations=st.integers(0, 8), data=st.data())
def test_of_all_the_tokens_of_a_family_only_the_latest_counts(rotations: int, data: st.DataObject) -> None:
    family, secrets = family_after(rotations)
    presented = data.draw(st.sampled_from(secrets))
    after, outcome = domain.use(family, presented, "next", THIEF, NOW)
    if presented == secrets[-1]:
        assert (outcome, after.revoked) == (Use.ROTATED, False)
    else:
        assert (outcome, after.revoked) == (Use.REUSED, True)


@given(rotations=st.integers(1, 8), data=st.data())
def test_after_a_reuse_no_token_of_the_family_counts_any_more(rotations: int, data: st.DataObject) -> None:
    family, secrets = family_after(rotations)
    revoked, _ = domain.use(family, data.draw(st.sampled_from(secrets[:-1])), "thief's next", THIEF, NOW)
    for secret in [*secrets, "thief's next"]:
        assert domain.use(revoked, secret, "next", OWNER, NOW) == (revoked, Use.REVOKED)


@given(repeats=st.lists(st.floats(0, 10), min_size=1, max_size=5).map(sorted))
def test_whoever_never_got_the_answer_may_ask_again_for_some_seconds(repeats: list[float]) -> None:
    family, secrets = family_after(2)
    for number, seconds in enumerate(repeats):
        now = NOW + timedelta(seconds=seconds)
        family, outcome = domain.use(family, secrets[-2], f"repeated {number}", OWNER, now)
        assert (outcome, family.revoked) == (Use.ROTATED, False)
    for secret in ("repeated 0", secrets[-1]) if len(repeats) > 1 else (secrets[-1],):
        assert domain.use(family, secret, "x", OWNER, NOW)[1] is Use.REUSED, "a pair that nobody received"
    newest = f"repeated {len(repeats) - 1}"
    after, outcome = domain.use(family, newest, "next", OWNER, NOW)
    assert outcome is Use.ROTATED
    assert domain.use(after, secrets[-2], "x", OWNER, NOW)[1] is Use.REUSED, "the newest pair arrived"


@pytest.mark.parametrize(("by", "seconds"), [("owner", 10.001), ("thief", 0)])
def test_after_ten_seconds_or_from_elsewhere_a_repetition_is_a_reuse(by: str, seconds: float) -> None:
    family, secrets = family_after(2)
    now = NOW + timedelta(seconds=seconds)
    assert domain.use(family, secrets[-2], "next", by, now)[1] is Use.REUSED


def test_a_client_is_known_by_its_address_and_its_program() -> None:
    clients = [domain.client(*given) for given in (("a", "b"), ("a", ""), ("b", "b"), ("a", "b"))]
    assert clients[0] == clients[3]
    assert len(set(clients)) == 3


def test_what_is_stored_of_a_refresh_token_does_not_contain_it() -> None:
    family, secrets = family_after(3)
    assert not any(secret in str(family) for secret in secrets)


def test_a_refresh_token_that_nobody_used_for_two_weeks_has_expired() -> None:
    family, (secret,) = family_after(0)
    assert domain.use(family, secret, "next", OWNER, NOW + REFRESH_IDLE) == (family, Use.EXPIRED)
    just_before = NOW + REFRESH_IDLE - timedelta(seconds=1)
    assert domain.use(family, secret, "next", OWNER, just_before)[1] is Use.ROTATED


@given(st.lists(st.integers(1, int(REFRESH_IDLE.total_seconds()) - 1), min_size=1, max_size=40))
def test_no_family_lives_longer_than_90_days_however_often_it_is_used(pauses: list[int]) -> None:
    family, (secret,) = family_after(0)
    now = NOW
    for number, seconds in enumerate(pauses):
        now += timedelta(seconds=seconds)
        family, outcome = domain.use(family, secret, f"next {number}", OWNER, now)
        assert family.expires_at <= NOW + REFRESH_LONGEST
        if outcome is not Use.ROTATED:
            assert now >= NOW + REFRESH_LONGEST
            return
        secret = f"next {number}"


def test_an_access_token_says_who_what_for_whom_and_until_when() -> None:
    assert domain.claims(ADA, ["admin"], NOW, "shop", "services", "t1") == {
        "jti": "t1",
        "iss": "shop",
        "aud": "services",
        "sub": "u1",
        "email": "ada@x.example",
        "roles": ["admin"],
        "epoch": 0,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + ACCESS_TTL).timestamp()),
    }


@pytest.mark.parametrize("text", [" Ada@X.Example", "ADA@x.example\n", "ada@x.example", "\uff41da@x.example"])
def test_one_mailbox_is_compared_by_one_spelling(text: str) -> None:
    assert emails.normalize(emails.parse(text)) == "ada@x.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@x.example",
        "ada@",
        "ada@x",
        "a@b@x.example",
        "a b@x.example",
        "a@x.example\nBcc: b@x.example",
        "<a@x.example>",
        "a,b@x.example",
        f"{'a' * 65}@x.example",
        f"a@{'x' * 250}.example",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        emails.parse(text)


@given(st.text(max_size=40))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = emails.normalize(text)
    assert emails.normalize(once) == once
