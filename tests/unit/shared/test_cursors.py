"""Cursors of lists: read as they were written, and nothing else is taken for one."""

import base64
from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from services.shared.http.cursors import LONGEST, Cursor, cursor_of

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis wants naive bounds


@given(TIMES, st.text(min_size=1, max_size=64))
def test_a_cursor_is_read_as_it_was_written(at: datetime, id_: str) -> None:
    cursor = Cursor(at.replace(microsecond=at.microsecond // 1000 * 1000), id_)
    assert Cursor.decode(cursor.encode()) == cursor
    assert cursor_of(cursor.encode()) == cursor


@given(TIMES, st.text("aZ09_-", min_size=1, max_size=64))
def test_a_cursor_is_no_longer_than_requests_may_send(at: datetime, id_: str) -> None:
    assert len(Cursor(at, id_).encode()) <= LONGEST


@given(st.text())
def test_any_other_text_is_a_value_error_or_a_time_and_an_id(text: str) -> None:
    try:
        cursor = Cursor.decode(text)
    except ValueError:
        return
    assert isinstance(cursor.at, datetime)
    assert cursor.id


@pytest.mark.parametrize("content", ["123", "/a", "1 /a", "1_0/a", "9999999999999999/a", "123/", "1.5/a"])
def test_what_no_list_gave_out_is_refused(content: str) -> None:
    text = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    with pytest.raises(RequestValidationError) as refused:
        cursor_of(text)
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("query", "cursor")
    assert "take the cursor from nextCursor" in fault["msg"]


def test_the_first_page_has_no_cursor() -> None:
    assert cursor_of(None) is None
