"""Whoever guesses is slowed down, whoever mistypes is not, and nobody is locked out."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.auth.guesses import FORGOTTEN_AFTER, FREE, LONGEST_WAIT, Guesses, failed, wait

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def after(failures: int) -> Guesses:
    """So many, all at once."""
    guesses = failed("account", None, NOW)
    for _ in range(failures - 1):
        guesses = failed("account", guesses, NOW)
    return guesses


def test_twenty_wrong_passwords_cost_nothing_and_then_each_costs_twice_as_long() -> None:
    assert wait(after(FREE - 1), NOW) == timedelta()
    waits = [wait(after(FREE + more), NOW) / SECOND for more in range(8)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_wait_has_an_end() -> None:
    assert wait(after(FREE + 100), NOW + LONGEST_WAIT) == timedelta()


def test_failures_are_forgotten_one_after_the_other_within_an_hour() -> None:
    guesses = after(FREE)
    assert wait(guesses, NOW + FORGOTTEN_AFTER) == timedelta()
    assert guesses.expires_at == NOW + timedelta(hours=1)
    assert failed("account", guesses, NOW + timedelta(hours=1)).failures == 1


@given(pauses=st.lists(st.floats(0, 120), max_size=300))
def test_no_pace_gives_a_guesser_more_than_60_tries_an_hour_beyond_the_first_ones(
    pauses: list[float],
) -> None:
    now, tries = NOW, 1
    guesses = failed("account", None, NOW)
    for pause in pauses:
        now += pause * SECOND
        if wait(guesses, now):
            continue
        guesses, tries = failed("account", guesses, now), tries + 1
    hours = (now - NOW) / timedelta(hours=1)
    # 6 doublings are shorter than the longest wait; those that are forgotten are free again.
    assert tries <= FREE + 6 + 60 * hours + FREE * hours + 2
