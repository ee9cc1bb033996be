"""Ids that begin with the time."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from services.shared.database.new_id import least_id, made_at, new_id


def test_an_id_is_a_uuid_of_version_7_and_holds_the_present_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_ids_that_were_made_since_a_time_do_not_come_before_its_least() -> None:
    now = datetime.now(UTC)
    assert least_id(now) <= new_id() < least_id(now + timedelta(minutes=1))


def test_an_id_says_when_it_was_made_to_the_millisecond() -> None:
    before = datetime.now(UTC)
    made = made_at(new_id())
    assert made is not None
    assert before - timedelta(milliseconds=1) <= made <= datetime.now(UTC)
    assert made_at(least_id(before)) == before.replace(microsecond=before.microsecond // 1000 * 1000)
    assert [made_at(other) for other in ("", "o1", str(uuid.uuid4()))] == [None] * 3
