"""A flood of refused requests writes so many lines a second, and says how many it did not write."""

import logging
import time

import pytest

from services.shared.http import answers
from services.shared.http.sparing import Sparing


def record(level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("shop", level, __file__, 1, "refused", None, None)


def test_a_flood_writes_so_many_lines_a_second_and_the_next_one_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    spare = Sparing(3)
    assert [spare.filter(record()) for _ in range(10)] == [True] * 3 + [False] * 7
    now = 101.0
    first, second = record(), record()
    assert spare.filter(first)
    assert spare.filter(second)
    assert vars(first)["left_out"] == 7
    assert "left_out" not in vars(second)


def test_no_fault_of_ours_goes_unsaid() -> None:
    spare = Sparing(1)
    assert all(spare.filter(record(logging.ERROR)) for _ in range(10))


def test_the_lines_of_failed_requests_are_spared() -> None:
    assert any(isinstance(each, Sparing) for each in answers.log.filters)
