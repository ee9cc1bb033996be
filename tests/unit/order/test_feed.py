"""What a reader of an order's events has in the end, however often and wherever they are cut off."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.order import feed
from services.order.feed import Ending
from services.order.model import HistoryEntry, Order, Status
from services.shared.http.auth import User
from services.shared.http.rights import Right
from tests.unit.order import examples as eg

ANN = User(eg.CUSTOMER, "ann@example.com")
BOSS = User("boss", "boss@example.com", frozenset(Right))
# What people typed may hold anything, and a line's end is one to a reader of events.
REASONS = (
    st.none() | st.text(max_size=30) | st.sampled_from(["a\nb", "\r\n\r\n", "data: x\n\n", "\u2028", "id: 7"])
)


def grown(steps: int, reasons: list[str | None], *, settled: bool = False) -> Order:
    """An order with so many steps."""
    history = tuple(
        HistoryEntry(
            eg.CREATED_AT + timedelta(seconds=number),
            "SOMETHING",
            Status.CONFIRMED,
            Status.CONFIRMED,
            f"event-{number}",
            reason=reasons[number % len(reasons)],
        )
        for number in range(steps)
    )
    return structs.replace(eg.PAID if settled else eg.CONFIRMED, history=history)


def read(stream: bytes) -> list[ServerSentEvent]:
    """As a client's library reads it, up to wherever the stream breaks off."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    return [each for each in EventSource(answer).iter_sse() if each.data]


class Reader:
    """Comes again with the last id, as browsers do."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.last_id: str | None = None

    def hear(self, stream: bytes) -> None:
        for event in read(stream):
            self.heard.append((event.event, json.loads(event.data)))
            self.last_id = event.id or self.last_id


@given(
    reasons=st.lists(REASONS, min_size=1, max_size=5),
    # How many steps come between two connections, and the share of a stream that arrives before it breaks.
    tries=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=8),
)
def test_every_step_is_heard_once_and_in_order_wherever_streams_break(
    reasons: list[str | None], tries: list[tuple[int, float]]
) -> None:
    reader, steps = Reader(), 1
    for more, share in tries:
        steps += more
        order = grown(steps, reasons)
        stream = feed.opening(1000) + feed.told(order, feed.seen(reader.last_id, steps), ANN)
        reader.hear(stream[: round(share * len(stream))])
    over = grown(steps, reasons, settled=True)
    reader.hear(feed.told(over, feed.seen(reader.last_id, steps), ANN))
    *told, (end, last) = reader.heard
    assert [name for name, _ in told] == ["step"] * steps
    assert [entry["reason"] for _, entry in told] == [entry.reason for entry in over.history]
    assert (end, last["settled"], reader.last_id) == ("end", True, str(steps))


@given(st.text(max_size=30) | st.from_regex("[0-9]{1,12}", fullmatch=True) | st.none(), st.integers(0, 99))
def test_what_is_no_id_of_the_order_begins_from_the_start(last_event_id: str | None, steps: int) -> None:
    seen = feed.seen(last_event_id, steps)
    assert 0 <= seen <= steps
    assert seen in {0, *([int(last_event_id)] if last_event_id and last_event_id.isdecimal() else [])}


@pytest.mark.parametrize("odd", ["9" * 5000, "-1", "+1", "1.0", " 1", "\u0661", "1_0", "0x1", "", "1\x00"])
def test_odd_numbers_are_none(odd: str) -> None:
    assert feed.seen(odd, 10**9) == 0


@given(st.integers(0, 30))
def test_who_has_them_all_is_told_nothing_until_there_is_more(steps: int) -> None:
    assert feed.told(grown(steps, [None]), steps, ANN) == b""


def test_administrators_alone_are_told_whose_message_a_step_was() -> None:
    order = grown(1, [None], settled=True)
    (own, _), (theirs, end) = (read(feed.told(order, 0, who)) for who in (ANN, BOSS))
    assert "eventId" not in json.loads(own.data)
    assert json.loads(theirs.data)["eventId"] == "event-0"
    assert json.loads(end.data)["customer"] == {"customerId": eg.CUSTOMER, "email": "ann@example.com"}


def test_a_stream_lasts_as_long_as_its_token_and_never_longer_than_any() -> None:
    assert feed.lasts(1000, 1060, 900) == (60, Ending.TOKEN_EXPIRED)
    assert feed.lasts(1000, 9000, 900) == (900, Ending.LASTED)
    assert feed.lasts(1000, 999, 900) == (0, Ending.TOKEN_EXPIRED)


@pytest.mark.parametrize("ending", feed.FAREWELLS)
def test_who_is_to_come_again_is_told_why_and_when_and_gets_no_event(ending: Ending) -> None:
    said = feed.farewell(ending, 1500)
    assert b"\nretry: 1500\n\n" in said
    assert said.startswith(b": ")
    assert read(said) == []
