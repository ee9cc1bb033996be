"""New orders are refused while those under way wait too long, and for no other reason."""

import asyncio
import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import ServerSelectionTimeoutError

from services.order import queries
from services.order.entrance import Entrance
from services.order.model import HistoryEntry, Status
from services.order.pressure import (
    BOUND_SECONDS,
    ENOUGH,
    LINE_BOUND_SECONDS,
    SHORT_SECONDS,
    WINDOW_SECONDS,
    Pressure,
)
from services.order.shedding import TOLD_SECONDS, tell
from services.shared.contract.decisions import Unavailable
from services.shared.contract.events import PaymentSucceeded, StockReserved
from services.shared.engine.life import Engine
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


class Noted:
    """An engine whose database takes a note, or is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.clock, self.store, self.is_away = self, self, is_away
        self.notes: list[tuple[int, datetime]] = []

    def now(self) -> datetime:
        return AT

    async def note(self, _: object, number: int, at: datetime) -> None:
        if self.is_away:
            raise ServerSelectionTimeoutError("no primary")
        self.notes.append((number, at))


@pytest.mark.looptime
@pytest.mark.parametrize("engine", [Noted(), Noted(is_away=True)], ids=["noted", "away"])
async def test_log_and_database_tell_every_few_seconds_how_many_were_refused(
    engine: Noted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers()
    monkeypatch.setattr(queries, "note_shed", engine.note)
    answers.come(*[SLOW] * ENOUGH)
    telling = asyncio.create_task(tell(answers.pressure, cast("Engine", engine)))
    for number in (100, 0, 1):
        for _ in range(number):
            assert answers.pressure.refuses()
        await asyncio.sleep(TOLD_SECONDS + 0.1)
    telling.cancel()
    await asyncio.wait({telling})
    assert telling.cancelled()
    told = [record.getMessage() for record in caplog.records]
    assert [each.split()[0] for each in told if "were refused" in each] == ["100", "1"]
    assert sum("not noted" in each for each in told) == (2 if engine.is_away else 0)
    assert engine.notes == ([] if engine.is_away else [(100, AT), (1, AT)])


def test_an_order_passes_the_entrance_while_there_is_no_pressure() -> None:
    assert Entrance(Answers().pressure)(Asked(b"POST", b"/api/orders", [])) is None
