"""When a delivery is tried again, for how long, and what becomes of it."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.notification.cloudevents import EventType
from services.notification.deliveries import (
    DELAYS,
    JITTER,
    LONGEST_RETRY_AFTER,
    TRIED_FOR,
    Answer,
    Delivery,
    DeliveryState,
    answered,
    firsts,
    made,
    retry_after,
)
from services.notification.domain import Notification
from services.notification.endpoints import Endpoint, EndpointState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILS = Answer(500, "500")
WAITING = Delivery(
    id="d1",
    endpoint_id="w1",
    event_id="e1",
    order_id="o1",
    type=EventType.PAID,
    sequence=3,
    at=NOW,
    due=NOW,
    expires_at=NOW + timedelta(days=30),
)
ENDPOINT = Endpoint(id="w1", url="https://merchant.example/hook", created_at=NOW, updated_at=NOW)
PAID = Notification(
    id="e1", kind="ORDER_PAID", order_id="o1", recipient=None, subject="", at=NOW, data={}, sequence=3
)
rolls = st.floats(0, 1)
answers = st.builds(
    Answer,
    st.none() | st.sampled_from([200, 204, 301, 404, 410, 429, 500, 503]),
    st.just("why"),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=3)),
)
# Receivers take at least some time.
takes = st.timedeltas(timedelta(milliseconds=1), timedelta(hours=30))


def test_the_delays_are_those_of_the_documents_and_end_within_three_days() -> None:
    seconds = [delay.total_seconds() for delay in DELAYS]
    hour = 3600.0
    assert seconds == [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 20 * hour]
    assert timedelta(hours=71) < sum(DELAYS, timedelta(0)) <= TRIED_FOR


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_delivers(status: int) -> None:
    after = answered(WAITING, Answer(status), NOW, 0)
    assert (after.state, after.attempts, after.status) == (DeliveryState.DELIVERED, 1, status)


@pytest.mark.parametrize("status", [None, 100, 301, 400, 404, 415, 429, 500, 503])
def test_anything_else_is_tried_again(status: int | None) -> None:
    after = answered(WAITING, Answer(status, "why"), NOW, 0)
    assert (after.state, after.due) == (DeliveryState.WAITING, NOW + timedelta(seconds=5))
    assert (after.status, after.reason, after.last_tried_at) == (status, "why", NOW)


def test_whoever_is_gone_is_not_tried_again() -> None:
    assert answered(WAITING, Answer(410, "410 Gone"), NOW, 0).state is DeliveryState.FAILED


def test_what_always_fails_is_tried_ten_times_and_given_up() -> None:
    at, delivery, tries = NOW, WAITING, []
    while delivery.state is DeliveryState.WAITING:
        delivery = answered(delivery, FAILS, at, 0)
        tries.append(at - NOW)
        at = delivery.due
    assert (delivery.state, len(tries)) == (DeliveryState.FAILED, 10)
    assert tries[-1] == timedelta(hours=71, minutes=35, seconds=5)


def test_a_receiver_may_ask_for_more_time_up_to_an_hour() -> None:
    waits = Answer(503, "503", timedelta(minutes=10))
    assert answered(WAITING, waits, NOW, 0).due == NOW + timedelta(minutes=10)
    waits = Answer(503, "503", timedelta(days=10))
    assert answered(WAITING, waits, NOW, 0).due == NOW + LONGEST_RETRY_AFTER
    later = structs.replace(WAITING, attempts=5, first_tried_at=NOW)
    assert answered(later, Answer(503, "503", timedelta(seconds=1)), NOW, 0).due == NOW + DELAYS[5]


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", "", 120),
        (" 0 ", "", 0),
        ("Thu, 26 Nov 2026 10:00:30 GMT", "Thu, 26 Nov 2026 10:00:00 GMT", 30),
        ("Thu, 26 Nov 2026 09:00:00 GMT", "Thu, 26 Nov 2026 10:00:00 GMT", 0),
        ("Thu, 26 Nov 2026 10:00:30 GMT", "", None),
        ("Thu, 26 Nov 2026 10:00:30", "Thu, 26 Nov 2026 10:00:00 GMT", None),
        ("-5", "", None),
        ("1e9", "", None),
        ("soon", "Thu, 26 Nov 2026 10:00:00 GMT", None),
        ("", "", None),
    ],
)
def test_what_a_receiver_asks_for_is_seconds_or_a_time_by_its_clock(
    text: str, date: str, seconds: int | None
) -> None:
    assert retry_after(text, date) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(), st.text())
def test_whatever_it_asks_for_is_understood_or_left(text: str, date: str) -> None:
    found = retry_after(text, date)
    assert found is None or found >= timedelta(0)


@given(st.lists(st.tuples(answers, rolls, takes), min_size=1, max_size=40))
def test_whatever_comes_it_ends_within_three_days_of_its_first_try(
    tries: list[tuple[Answer, float, timedelta]],
) -> None:
    delivery, at = WAITING, NOW
    for answer, roll, late in tries:
        before = delivery
        delivery = answered(before, answer, at, roll)
        first = delivery.first_tried_at
        assert first == NOW
        assert delivery.attempts == before.attempts + 1 <= len(DELAYS) + 1
        if delivery.state is not DeliveryState.WAITING:
            assert (delivery.state is DeliveryState.DELIVERED) == answer.is_success
            return
        assert at < delivery.due <= NOW + TRIED_FOR
        longest = max(DELAYS[before.attempts], min(answer.retry_after or timedelta(0), LONGEST_RETRY_AFTER))
        assert delivery.due <= at + longest
        assert delivery.due >= min(at + DELAYS[before.attempts] * (1 - JITTER), NOW + TRIED_FOR)
        at = delivery.due + late


@given(rolls, st.integers(0, len(DELAYS) - 1))
def test_jitter_only_takes_away(roll: float, attempts: int) -> None:
    delivery = structs.replace(WAITING, attempts=attempts, first_tried_at=NOW)
    again = answered(delivery, FAILS, NOW, roll).due - NOW
    assert DELAYS[attempts] * (1 - JITTER) <= again <= DELAYS[attempts]


# --- which there are --------------------------------------------------------------------------------------


def test_a_delivery_is_due_at_once_and_the_same_however_often_it_is_made() -> None:
    first, second = made(PAID, ENDPOINT, NOW), made(PAID, ENDPOINT, NOW + timedelta(hours=1))
    assert first is not None
    assert second is not None
    assert (first.state, first.due, first.sequence) == (DeliveryState.WAITING, NOW, 3)
    assert first.id == second.id


@pytest.mark.parametrize(
    ("told", "endpoint"),
    [
        (PAID, structs.replace(ENDPOINT, types=(EventType.REFUNDED,))),
        (PAID, structs.replace(ENDPOINT, state=EndpointState.DISABLED)),
        (PAID, structs.replace(ENDPOINT, state=EndpointState.DELETED)),
        # It happened before there was the endpoint.
        (structs.replace(PAID, at=NOW - timedelta(seconds=1)), ENDPOINT),
        # Stored by a release that knew no webhooks.
        (structs.replace(PAID, data=None), ENDPOINT),
        (structs.replace(PAID, kind="ORDER_EATEN"), ENDPOINT),
    ],
)
def test_an_endpoint_is_not_told_of_everything(told: Notification, endpoint: Endpoint) -> None:
    assert made(told, endpoint, NOW) is None


def test_a_replay_asks_for_what_happened_before_there_was_the_endpoint() -> None:
    early = structs.replace(PAID, at=NOW - timedelta(days=100))
    found = made(early, ENDPOINT, NOW, replay="r1")
    assert found is not None
    assert (found.replay, found.at) == ("r1", early.at)


# --- which is first ---------------------------------------------------------------------------------------

waiting = st.builds(
    lambda number, order, sequence, minutes: structs.replace(
        WAITING,
        id=f"d{number}",
        order_id=order,
        sequence=sequence,
        at=NOW + timedelta(minutes=minutes),
    ),
    st.integers(0, 10**6),
    st.sampled_from(["o1", "o2", "o3"]),
    st.integers(0, 5),
    st.integers(0, 5),
)


@given(st.lists(waiting, max_size=20), st.randoms())
def test_of_an_order_goes_first_what_happened_first_whatever_came_first(
    found: list[Delivery], random: Random
) -> None:
    first = firsts(found)
    assert first.keys() == {each.order_id for each in found}
    for each in found:
        head = first[each.order_id]
        assert (head.sequence, head.at) <= (each.sequence, each.at)
    random.shuffle(found)
    assert firsts(found) == first
