"""Ids that begin with the time."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from services.shared.database.new_id import least_id, new_id


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
