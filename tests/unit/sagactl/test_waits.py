"""For how long the oldest message waits, by the broker's notes, held against a queue that is known."""

from collections import deque
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sagactl.oncall.waits import LATE_SECONDS, Notes, Sample, longest, notes_of

STEP = 5.0
LATE = int(LATE_SECONDS / STEP)
# Of what second of its step a note is.
MOMENTS = st.integers(0, int(STEP) - 1)


def notes(messages: list[int], acknowledged: list[int]) -> Notes:
    """One note for STEP seconds, the earliest first."""
    total = acknowledged[-1] if acknowledged else 0
    return Notes(samples(messages), samples(acknowledged), total, STEP)


def samples(numbers: list[int]) -> list[Sample]:
    return [Sample(number * STEP, each) for number, each in enumerate(numbers)][::-1]


def test_nobody_consumes_it_so_the_first_that_came_waits_still() -> None:
    assert longest(notes([0, 0, 3, 5, 9], [])) == STEP  # it may have come just before the note after it


def test_a_queue_that_was_empty_meanwhile_has_nothing_older() -> None:
    assert longest(notes([9, 9, 0, 1, 1, 1], [])) == STEP
    assert longest(notes([9, 9, 9, 9, 0], [])) == 0
    assert longest(Notes([], [], 0, STEP)) == 0


def test_who_keeps_up_lets_nothing_wait() -> None:
    assert longest(notes([30] * 9, [200 * number for number in range(9)])) == 0


def test_who_works_off_a_backlog_has_done_with_what_came_before() -> None:
    # 100 came at once, and 10 of them are handled a step: the last of them waits since the beginning.
    assert longest(notes([0, 0, 0, 0, 100, 90, 80, 70], [0, 0, 0, 0, 0, 10, 20, 30])) == 2 * STEP
    # And 300 more: by now all of the first have been handled. Of the second some came before the note before
    # the last, at least.
    both = [0, 0, 0, 0, 100, 60, 20, 300, 280, 260], [0, 0, 0, 0, 0, 40, 80, 100, 120, 140]
    assert longest(notes(*both)) == STEP


def test_a_counter_that_began_anew_proves_nothing() -> None:
    assert longest(notes([5, 5, 5, 5, 5], [70, 70, 70, 70, 0])) == 0


def test_notes_that_do_not_go_back_far_enough_prove_no_more_than_they_tell() -> None:
    assert longest(notes([5, 5, 5, 5, 5, 5], [70, 70, 70, 70, 70, 70])) == STEP


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=90),
    st.tuples(MOMENTS, MOMENTS),
    st.tuples(st.integers(0, LATE), st.integers(0, LATE)),
)
@example([(6, 0), (0, 0)] + [(0, 0)] * 11 + [(0, 5), *[(1, 1)] * 8], (0, 0), (LATE, 0))
@example([(0, 0)] * 4 + [(1, 0), (0, 0)], (4, 0), (0, 0))
def test_no_message_is_said_to_wait_for_longer_than_the_oldest_did(
    seconds: list[tuple[int, int]], moments: tuple[int, int], late: tuple[int, int]
) -> None:
    """What is counted late is true of the oldest of so many notes ago."""
    queue: deque[int] = deque()
    lengths, acknowledged, oldest = [0], [0], [0]
    for second, (come, handled) in enumerate(seconds, 1):
        some = min(handled, len(queue))
        for _ in range(some):
            queue.popleft()
        queue.extend([second] * come)
        lengths.append(len(queue))
        acknowledged.append(acknowledged[-1] + some)
        oldest.append(queue[0] if queue else second)
    noted, length_of = noting(lengths, moments[0], late[0])
    noted_acks, acks_of = noting(acknowledged, moments[1], late[1])
    said = longest(notes(noted, noted_acks))
    assert said <= len(seconds) - oldest[min(length_of, acks_of)]


def noting(numbers: list[int], moment: int, late: int) -> tuple[list[int], int]:
    """A note for each step, of the second that is so much later, counted so many notes late; and which
    second the last is of.
    """
    seconds = [*range(moment, len(numbers), int(STEP))] or [0]
    told = [seconds[max(0, number - late)] for number in range(len(seconds))]
    return [numbers[second] for second in told], told[-1]


@pytest.mark.parametrize("told", [[], {}, {"messages_details": {"rate": 0.0}, "message_stats": []}])
def test_a_broker_that_takes_no_notes_tells_nothing(told: dict[str, Any] | list[Any]) -> None:
    assert longest(notes_of(told, STEP)) == 0


def test_the_management_api_is_understood() -> None:
    there = [{"sample": 4, "timestamp": timestamp} for timestamp in (20000, 15000, 10000)]
    told = {
        "messages_details": {"samples": there},
        "message_stats": {"ack": 7, "ack_details": {"samples": [{"sample": 7, "timestamp": -5000}]}},
    }
    found = notes_of(told, STEP)
    assert found == Notes([Sample(20, 4), Sample(15, 4), Sample(10, 4)], [Sample(-5, 7)], 7, STEP)
    assert longest(found) == STEP
