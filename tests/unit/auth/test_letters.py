"""Which letters are owed, and what their tokens do, once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import guesses, letters, standing
from services.auth.domain import User
from services.auth.guesses import LETTERS
from services.auth.letters import LIFETIMES, Kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "long and random"
ADA = User(id="u1", email="ada@x.example", name="Ada", password_hash="-", created_at=NOW, epoch=3)
each_kind = pytest.mark.parametrize("kind", Kind)


def sent(kind: Kind, user: User = ADA) -> letters.Letter:
    return letters.drawn(letters.due("l1", kind, user, NOW), SECRET)


@each_kind
def test_a_letter_holds_no_token_and_its_hash_once_it_is_drawn(kind: Kind) -> None:
    owed = letters.due("l1", kind, ADA, NOW)
    assert owed.digest == ""
    assert not letters.opens(owed, kind, "", ADA, NOW), "one that was not sent opens nothing"
    assert SECRET not in str(sent(kind))
    assert letters.token_of(owed, SECRET) == f"l1.{SECRET}"


@given(kind=st.sampled_from(Kind), seconds=st.floats(0, 2 * 24 * 3600))
def test_a_token_does_what_its_letter_is_for_until_it_expires(kind: Kind, seconds: float) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert letters.opens(sent(kind), kind, SECRET, ADA, now) == (now < NOW + LIFETIMES[kind])
    for other in set(Kind) - {kind}:
        assert not letters.opens(sent(kind), other, SECRET, ADA, now)


@each_kind
def test_a_wrong_secret_or_anothers_account_opens_nothing(kind: Kind) -> None:
    assert not letters.opens(sent(kind), kind, SECRET + "x", ADA, NOW)
    assert not letters.opens(sent(kind), kind, SECRET, msgspec.structs.replace(ADA, id="u2"), NOW)


def test_what_ends_all_logins_ends_the_letters_that_would_open_the_account() -> None:
    later = standing.ends_logins(ADA)
    assert not letters.opens(sent(Kind.RESET), Kind.RESET, SECRET, later, NOW)
    assert letters.opens(sent(Kind.VERIFY), Kind.VERIFY, SECRET, later, NOW)


@each_kind
def test_whoever_is_owed_nothing_gets_a_letter_for_nobody(kind: Kind) -> None:
    disabled = standing.disabled(ADA)
    nobodys = letters.due("l1", kind, None, NOW)
    assert letters.due("l1", kind, disabled, NOW) == nobodys
    assert nobodys.user_id == ""
    assert not letters.opens(sent(kind), kind, SECRET, disabled, NOW)


def test_an_address_is_verified_once() -> None:
    verified = standing.verified(ADA)
    assert letters.due("l1", Kind.VERIFY, verified, NOW).user_id == ""
    assert not letters.opens(sent(Kind.VERIFY), Kind.VERIFY, SECRET, verified, NOW)
    assert letters.due("l1", Kind.RESET, verified, NOW).user_id == "u1"


@given(pauses=st.lists(st.floats(0, 60), max_size=100))
def test_no_pace_sends_more_than_three_letters_an_hour_beyond_the_first_ones(pauses: list[float]) -> None:
    now, known, count = NOW, None, 0
    for minutes in pauses:
        now += timedelta(minutes=minutes)
        if known is None or not guesses.wait(known, now, LETTERS):
            known, count = guesses.failed("reset:x", known, now, LETTERS), count + 1
    assert count <= LETTERS.free + 1 + (now - NOW) / LETTERS.forgotten_after
