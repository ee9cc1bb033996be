"""`sagactl audit`: what is asked for, and how entries are shown."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.oncall.audit import since
from sagactl.oncall.trails import Told, Wanted
from services.shared.contract import audit
from services.shared.contract.audit import Action, Actor, By, Kind

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_duration_is_so_long_ago() -> None:
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since("2h")) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["2026-11-26T12:00", "2026-11-26T12:00Z", "2026-11-26T13:00+01:00"])
def test_a_time_is_itself_and_of_utc_unless_it_says_otherwise(text: str) -> None:
    assert since(text) == NOON


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


def test_as_json_an_entry_says_whose_trail_it_is_on() -> None:
    by = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7", "request-1")
    said = Told("order", audit.entry("1", NOON, by, Action.ORDER_CANCELLED, "order-1")).to_json()
    assert (said["service"], said["id"], said["at"]) == ("order", "1", "2026-11-26T12:00:00Z")
    assert said["actor"] == {"id": "boss", "kind": "user", "roles": ("admin",)}
