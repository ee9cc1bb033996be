"""For how long the oldest message waits, by the broker's notes, held against a queue that is known."""

from collections import deque
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sagactl.oncall.waits import LATE_SECONDS, Notes, Sample, longest, notes_of

STEP = 5.0
LATE = int(LATE_SECONDS / STEP)


def notes(messages: list[int], acknowledged: list[int]) -> Notes:
    """One note for STEP seconds, the earliest first."""
    return Notes(samples(messages), samples(acknowledged), acknowledged[-1] if acknowledged else 0)


def samples(numbers: list[int]) -> list[Sample]:
    return [Sample(number * STEP, each) for number, each in enumerate(numbers)][::-1]


def test_nobody_consumes_it_so_the_first_that_came_waits_still() -> None:
    assert longest(notes([0, 0, 3, 5, 9], [])) == 2 * STEP


def test_a_queue_that_was_empty_meanwhile_has_nothing_older() -> None:
    assert longest(notes([9, 9, 0, 1, 1], [])) == STEP
    assert longest(notes([9, 9, 9, 9, 0], [])) == 0
    assert longest(Notes([], [], 0)) == 0


def test_who_keeps_up_lets_nothing_wait() -> None:
    assert longest(notes([30] * 9, [200 * number for number in range(9)])) == 0


def test_who_works_off_a_backlog_has_done_with_what_came_before() -> None:
    # 100 came at once, and 10 of them are handled a step: the last of them waits since the beginning.
    assert longest(notes([0, 0, 0, 100, 90, 80, 70], [0, 0, 0, 0, 10, 20, 30])) == 3 * STEP
    # And 100 more: by now all of the first have been handled. Of the second some came before the note before
    # the last, at least: acknowledgements may be counted late.
    both = [0, 0, 0, 100, 60, 20, 100, 80, 60], [0, 0, 0, 0, 40, 80, 100, 120, 140]
    assert longest(notes(*both)) == STEP


def test_a_counter_that_began_anew_proves_nothing() -> None:
    assert longest(notes([5, 5, 5, 5], [70, 70, 70, 0])) == 0


def test_notes_that_do_not_go_back_far_enough_prove_no_more_than_they_tell() -> None:
    assert longest(notes([5, 5, 5, 5, 5], [70, 70, 70, 70, 70])) == 2 * STEP


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40),
    st.integers(0, LATE),
    st.integers(0, LATE),
)
@example([(6, 0), (0, 5), (1, 1), (1, 1), (1, 1), (1, 1)], LATE, 0)
def test_no_message_is_said_to_wait_for_longer_than_the_oldest_did(
    steps: list[tuple[int, int]], lengths_late: int, acknowledged_late: int
) -> None:
    """What is counted late is true of the oldest of so many notes ago."""
    queue: deque[int] = deque()
    lengths, acknowledged, oldest = [0], [0], [0]
    for number, (come, handled) in enumerate(steps, 1):
        some = min(handled, len(queue))
        for _ in range(some):
            queue.popleft()
        queue.extend([number] * come)
        lengths.append(len(queue))
        acknowledged.append(acknowledged[-1] + some)
        oldest.append(queue[0] if queue else number)
    said = longest(notes(delayed(lengths, lengths_late), delayed(acknowledged, acknowledged_late)))
    then = max(0, len(steps) - max(lengths_late, acknowledged_late))
    assert said <= (len(steps) - oldest[then]) * STEP


def delayed(numbers: list[int], notes_late: int) -> list[int]:
    return [numbers[max(0, number - notes_late)] for number in range(len(numbers))]


@pytest.mark.parametrize("told", [{}, {"messages_details": {"rate": 0.0}, "message_stats": {}}])
def test_a_broker_that_takes_no_notes_tells_nothing(told: dict[str, Any]) -> None:
    assert longest(notes_of(told)) == 0


def test_the_management_api_is_understood() -> None:
    there = [{"sample": 4, "timestamp": 20000}, {"sample": 4, "timestamp": 15000}]
    told = {
        "messages_details": {"samples": there},
        "message_stats": {"ack": 7, "ack_details": {"samples": [{"sample": 7, "timestamp": 5000}]}},
    }
    assert notes_of(told) == Notes([Sample(20, 4), Sample(15, 4)], [Sample(5, 7)], 7)
    assert longest(notes_of(told)) == STEP
