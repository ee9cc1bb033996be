"""Which letters are owed, which are sent and when again, and what their tokens do."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import guesses, letters, standing
from services.auth.domain import User
from services.auth.guesses import LETTERS
from services.auth.letters import ACCOUNT_WITHIN, LIFETIMES, PAUSES, Kind, Letter, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA = User(id="u1", email="ada@x.example", name="Ada", password_hash="-", created_at=NOW, epoch=3)
each_kind = pytest.mark.parametrize("kind", Kind)
kinds = st.sampled_from(Kind)
moments = st.floats(0, 2 * 24 * 3600).map(lambda seconds: NOW + timedelta(seconds=seconds))
# What may become of an account while a letter to it waits.
accounts = st.sampled_from(
    [
        ADA,
        standing.verified(ADA),
        standing.disabled(ADA),
        standing.ends_logins(ADA),
        standing.enabled(standing.disabled(ADA)),
        msgspec.structs.replace(ADA, id="u2"),
    ]
)


def owed(kind: Kind, user: User | None = ADA, locale: str | None = None) -> Letter:
    return letters.owed("l1", kind, user, locale, NOW)


# --- what a token does ------------------------------------------------------------------------------------


@given(kind=kinds, now=moments)
def test_a_token_does_what_its_letter_is_for_until_it_expires(kind: Kind, now: datetime) -> None:
    assert letters.opens(owed(kind), kind, ADA, now) == (now < NOW + LIFETIMES[kind])
    for other in set(Kind) - {kind}:
        assert not letters.opens(owed(kind), other, ADA, now)


def test_what_ends_all_logins_ends_the_letters_that_would_open_the_account() -> None:
    later = standing.ends_logins(ADA)
    assert not letters.opens(owed(Kind.RESET), Kind.RESET, later, NOW)
    assert letters.opens(owed(Kind.VERIFY), Kind.VERIFY, later, NOW)


@each_kind
def test_whoever_is_owed_nothing_gets_a_letter_for_nobody(kind: Kind) -> None:
    disabled = standing.disabled(ADA)
    nobodys = owed(kind, None)
    assert owed(kind, disabled) == nobodys
    assert nobodys.user_id == ""
    assert not letters.opens(owed(kind), kind, disabled, NOW)


def test_an_address_is_verified_once() -> None:
    verified = standing.verified(ADA)
    assert owed(Kind.VERIFY, verified).user_id == ""
    assert not letters.opens(owed(Kind.VERIFY), Kind.VERIFY, verified, NOW)
    assert owed(Kind.RESET, verified).user_id == "u1"


@given(kind=kinds, id_=st.uuids().map(str), user=st.uuids().map(str))
def test_no_two_letters_have_one_token_nor_has_a_letter_that_was_turned_to_another_account(
    kind: Kind, id_: str, user: str
) -> None:
    letter = owed(kind)
    others = [
        msgspec.structs.replace(letter, id=id_),
        msgspec.structs.replace(letter, user_id=user),
        *(msgspec.structs.replace(letter, kind=other) for other in set(Kind) - {kind}),
    ]
    assert letter.sealed_as not in {other.sealed_as for other in others}


def test_a_token_names_its_letter() -> None:
    assert letters.token_of(owed(Kind.RESET), "long") == "l1.long"


# --- what is sent -----------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("user", [ADA, None])
def test_a_letter_is_due_at_once_whoever_it_is_for(kind: Kind, user: User | None) -> None:
    letter = owed(kind, user, "de-AT")
    assert (letter.state, letter.due, letter.tries, letter.locale) == (State.WAITING, NOW, 0, "de-AT")


@given(kind=kinds, user=accounts, now=moments)
def test_what_is_sent_is_what_its_token_would_open(kind: Kind, user: User, now: datetime) -> None:
    letter = owed(kind)
    assert letters.is_to_be_sent(letter, user, now) == letters.opens(letter, kind, user, now)


@given(kind=kinds, user=accounts | st.none(), now=moments)
def test_a_letter_for_nobody_is_sent_to_nobody(kind: Kind, user: User | None, now: datetime) -> None:
    assert not letters.is_to_be_sent(owed(kind, None), user, now)
    assert not letters.is_to_be_sent(owed(kind), None, now)


@given(now=moments)
def test_an_account_may_come_after_its_letter_but_not_for_ever(now: datetime) -> None:
    assert letters.awaits_account(owed(Kind.VERIFY), None, now) == (now - NOW < ACCOUNT_WITHIN)
    assert not letters.awaits_account(owed(Kind.VERIFY), ADA, now), "it is there"
    assert not letters.awaits_account(owed(Kind.VERIFY, None), None, now), "there will be none"


@given(kind=kinds, tries=st.integers(0, 10_000), now=moments)
def test_a_letter_that_is_put_off_waits_longer_each_time_up_to_a_minute(
    kind: Kind, tries: int, now: datetime
) -> None:
    letter = msgspec.structs.replace(owed(kind), tries=tries)
    again, later = (letters.put_off(each, now) for each in (letter, with_one_more(letter)))
    assert again.state is State.WAITING
    assert again.due is not None
    assert later.due is not None
    assert PAUSES[0] <= again.due - now <= later.due - now <= PAUSES[-1]


def with_one_more(letter: Letter) -> Letter:
    return msgspec.structs.replace(letter, tries=letter.tries + 1)


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.VOID])
def test_what_is_over_is_never_due_again_and_its_token_counts_all_the_same(state: State) -> None:
    over = letters.over(owed(Kind.RESET), state)
    assert (over.state, over.due) == (state, None)
    assert letters.opens(over, Kind.RESET, ADA, NOW), "the server may have taken it on after all"


def test_a_row_of_before_letters_were_sent_is_sent_by_nobody() -> None:
    stored = {"_id": "l1", "kind": "reset", "userId": "u1", "createdAt": NOW, "expiresAt": NOW, "digest": "x"}
    old = msgspec.convert(stored, Letter)
    assert (old.state, old.due) == (State.VOID, None)


@given(pauses=st.lists(st.floats(0, 60), max_size=100))
def test_no_pace_sends_more_than_three_letters_an_hour_beyond_the_first_ones(pauses: list[float]) -> None:
    now, known, count = NOW, None, 0
    for minutes in pauses:
        now += timedelta(minutes=minutes)
        if known is None or not guesses.wait(known, now, LETTERS):
            known, count = guesses.failed("reset:x", known, now, LETTERS), count + 1
    assert count <= LETTERS.free + 1 + (now - NOW) / LETTERS.forgotten_after
