"""New orders are refused while those under way wait too long, and for no other reason."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order.entrance import Entrance
from services.order.model import HistoryEntry, Status
from services.order.pressure import (
    BOUND_SECONDS,
    ENOUGH,
    LINE_BOUND_SECONDS,
    SHORT_SECONDS,
    TOLD_SECONDS,
    WINDOW_SECONDS,
    Pressure,
)
from services.shared.contract.decisions import Unavailable
from services.shared.contract.events import PaymentSucceeded, StockReserved
from services.shared.http.protocol import Asked

AT = datetime(2026, 1, 1, tzinfo=UTC)
SLOW, QUICK = BOUND_SECONDS + 1, 0.05


class Answers:
    """Orders that get their answers at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pressure = Pressure(lambda: self.now)

    def come(self, *waits: float, event: str = StockReserved.type, state: Status = Status.PENDING) -> None:
        for wait in waits:
            before = HistoryEntry(AT, "X", None, state, "1", None)
            step = HistoryEntry(AT + timedelta(seconds=wait), event, state, Status.CONFIRMED, "2", None)
            self.pressure.note(before, step)


def test_orders_are_refused_while_all_wait_too_long_for_their_reservations() -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH)
    with pytest.raises(Unavailable, match="try again"):
        answers.pressure.check()


def test_one_answer_in_time_shows_that_orders_are_served() -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH, QUICK)
    answers.pressure.check()


def test_a_few_slow_answers_are_no_pressure() -> None:
    answers = Answers()
    answers.come(*[SLOW] * (ENOUGH - 1))
    answers.pressure.check()


def test_what_was_slow_a_second_ago_is_forgotten() -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH)
    answers.now += WINDOW_SECONDS + 0.1
    answers.pressure.check()


@given(st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([QUICK, BOUND_SECONDS, SLOW, SLOW + 1]))))
def test_it_is_the_quickest_answer_of_the_last_second_that_counts(coming: list[tuple[float, float]]) -> None:
    answers, came = Answers(), list[tuple[float, float]]()
    for pause, wait in coming:
        answers.now += pause
        answers.come(wait)
        came.append((answers.now, wait))
        recent = [waited for at, waited in came if at >= answers.now - WINDOW_SECONDS]
        assert answers.pressure.is_too_high == (len(recent) >= ENOUGH and min(recent) > BOUND_SECONDS)


def test_a_slow_card_is_no_pressure() -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH, event=PaymentSucceeded.type, state=Status.CONFIRMED)
    answers.pressure.check()


def test_orders_are_refused_while_the_first_in_the_line_waits_too_long() -> None:
    answers = Answers()
    with answers.pressure.waiting():
        answers.now += LINE_BOUND_SECONDS + 0.1
        with pytest.raises(Unavailable, match="try again"):
            answers.pressure.check()
    answers.pressure.check()


def test_orders_are_refused_once_the_next_would_wait_too_long() -> None:
    """Ten a second are committed, and twenty are in the line: the next would wait two seconds."""
    answers = Answers()
    with ExitStack() as line:
        for _ in range(20):
            line.enter_context(answers.pressure.waiting())
        answers.now += SHORT_SECONDS + 0.1
        for _ in range(10):
            with answers.pressure.waiting():
                pass
        with pytest.raises(Unavailable):
            answers.pressure.check()


def test_a_long_line_that_is_served_fast_is_no_pressure() -> None:
    answers = Answers()
    with ExitStack() as line:
        for _ in range(20):
            line.enter_context(answers.pressure.waiting())
        answers.now += SHORT_SECONDS + 0.1
        for _ in range(40):
            with answers.pressure.waiting():
                pass
        answers.pressure.check()


def test_a_burst_on_an_idle_shop_is_no_pressure() -> None:
    answers = Answers()
    with ExitStack() as line:
        for _ in range(500):
            line.enter_context(answers.pressure.waiting())
        answers.now += SHORT_SECONDS
        answers.pressure.check()


def test_an_order_that_failed_has_left_the_line() -> None:
    answers = Answers()
    with pytest.raises(ZeroDivisionError), answers.pressure.waiting():
        raise ZeroDivisionError
    answers.now += LINE_BOUND_SECONDS + 0.1
    answers.pressure.check()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (Asked(b"POST", b"/api/orders", [(b"x-request-id", b"own")]), 503),
        (Asked(b"POST", b"/api/orders", [(b"idempotency-key", b"k")]), None),
        (Asked(b"GET", b"/api/orders", []), None),
        (Asked(b"POST", b"/api/orders/1/cancel", []), None),
    ],
)
def test_only_new_orders_are_refused_at_the_entrance(asked: Asked, status: int | None) -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH)
    answer = Entrance(answers.pressure)(asked)
    assert (answer is not None) is (status is not None)
    if answer is not None:
        head, _, body = answer.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(each.split(": ") for each in lines)
        assert line == f"HTTP/1.1 {status} Service Unavailable"
        assert int(headers["content-length"]) == len(body)
        assert headers["x-request-id"] == "own"
        assert int(headers["retry-after"]) >= 1
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["code"] == "overloaded"


def test_the_log_tells_now_and_then_how_many_were_refused(caplog: pytest.LogCaptureFixture) -> None:
    answers = Answers()
    for _ in range(2):
        answers.come(*[SLOW] * ENOUGH)
        for _ in range(100):
            assert answers.pressure.refuses()
        answers.now += TOLD_SECONDS + 0.1
    answers.come(*[SLOW] * ENOUGH)
    assert answers.pressure.refuses()
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "100", "100"]


def test_an_order_passes_the_entrance_while_there_is_no_pressure() -> None:
    assert Entrance(Answers().pressure)(Asked(b"POST", b"/api/orders", [])) is None
