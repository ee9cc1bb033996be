"""`sagactl audit`: what is asked for, and how entries are shown."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, Final

import msgspec
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.oncall.audit import shown
from sagactl.oncall.times import duration
from sagactl.oncall.trails import Told, Wanted
from sagactl.wording import since
from services.shared.contract import audit
from services.shared.contract.audit import Action, Actor, By, Kind

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_duration_is_so_long_ago() -> None:
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since("2h")) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["2026-11-26T12:00", "2026-11-26T12:00Z", "2026-11-26T13:00+01:00"])
def test_a_time_is_itself_and_of_utc_unless_it_says_otherwise(text: str) -> None:
    assert since(text) == NOON


BEYOND: Final = ("999999999h", "0001-01-01T00:00+05:00", "9999-12-31T23:59-05:00")


@pytest.mark.parametrize("text", BEYOND)
def test_a_time_that_no_year_has_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        since(text)
    result = CliRunner().invoke(app, ["audit", "--since", text], env={"COLUMNS": "250"})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)


def test_a_duration_that_no_time_is_so_long_is_none() -> None:
    with pytest.raises(typer.BadParameter, match="of less than a thousand years"):
        duration(BEYOND[0])


def test_what_is_neither_is_told_with_what_is_allowed() -> None:
    result = CliRunner().invoke(app, ["audit", "--since", "yesterday"], env={"COLUMNS": "250"})
    assert result.exit_code == 2
    assert "give a duration such as 2h, or a date" in result.output


def test_only_what_is_given_is_asked_for() -> None:
    assert Wanted().query() == {}
    asked = Wanted(NOON, "boss", "order-1", Action.ORDER_CANCELLED)
    assert asked.query() == {
        "at": {"$gte": NOON},
        "actor.id": "boss",
        "subject": "order-1",
        "action": "order.cancelled",
    }


def test_an_entry_is_told_as_it_was_written() -> None:
    by = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")
    entry = audit.entry("1", NOON, by, Action.ORDER_CANCELLED, "order-1")
    told = Told("order", msgspec.to_builtins(entry, builtin_types=(datetime,)))
    assert (told.at, told.actor, told.text("action")) == (NOON, "user boss (admin)", "order.cancelled")
    said = told.to_json()
    assert (said["service"], said["id"], said["at"]) == ("order", "1", NOON)


ANYTHING = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.lists(st.integers()) | st.datetimes()
DOCUMENTS = st.dictionaries(
    st.sampled_from(["at", "action", "actor", "subject", "detail"]),
    ANYTHING | st.dictionaries(st.sampled_from(["id", "kind", "roles"]), ANYTHING),
)


@given(st.lists(DOCUMENTS, max_size=5))
def test_whatever_a_service_wrote_is_shown(documents: list[dict[str, Any]]) -> None:
    out = StringIO()
    told = [Told("order", {"_id": number, **each}) for number, each in enumerate(documents)]
    answer = shown(told)
    Console(file=out, width=200).print(*answer.text(False))  # noqa: FBT003  # not wide
    assert out.getvalue().count("order") >= len(documents)
    assert len(msgspec.json.encode(answer.document, enc_hook=str)) > 0
