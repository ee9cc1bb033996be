"""New orders are refused while those under way wait too long, and for no other reason."""

from datetime import UTC, datetime, timedelta

import pytest

from services.order.model import HistoryEntry, Status
from services.order.pressure import BOUND_SECONDS, ENOUGH, WINDOW_SECONDS, Pressure
from services.shared.contract.decisions import Unavailable
from services.shared.contract.events import PaymentSucceeded, StockReserved

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


def test_a_slow_card_is_no_pressure() -> None:
    answers = Answers()
    answers.come(*[SLOW] * ENOUGH, event=PaymentSucceeded.type, state=Status.CONFIRMED)
    answers.pressure.check()
