"""A session as Redis holds it: under a name, and sealed by a key, that follow from what the browser has."""

import time

from console.sessions import IDLE_SECONDS, LONGEST_SECONDS, Session, key_of, opened, sealed

SESSION = Session(
    access_token="access", access_until=1.0, refresh_token="refresh", csrf="csrf", began_at=1_000_000.0
)


def session(age: float) -> Session:
    return Session(access_token="", access_until=0, refresh_token="", csrf="", began_at=time.time() - age)


def test_who_reads_redis_reads_no_token_and_no_id() -> None:
    text = sealed("id", SESSION)
    assert opened("id", text) == SESSION
    assert b"access" not in text
    assert opened("another id", text) is None
    assert opened("id", b"x" + text) is None
    assert opened("id", b"") is None


def test_the_name_does_not_open_what_it_names() -> None:
    assert opened(key_of("id"), sealed("id", SESSION)) is None


def test_a_session_ends_when_it_is_idle_and_at_last_whatever_it_is() -> None:
    assert session(age=0).seconds_left == IDLE_SECONDS
    assert session(age=LONGEST_SECONDS - 60).seconds_left <= 60
    assert not session(age=LONGEST_SECONDS - 60).is_over
    assert session(age=LONGEST_SECONDS).is_over
