"""Dead letters, as their list shows them."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from sagactl.oncall.letters import Letter, columns
from sagactl.output import table

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def shown(first_failed_at: str, *, wide: bool) -> str:
    letter = Letter("orders", "1", "order-1", "T", "failed", "why", 3, first_failed_at, "trace", "{}")
    console = Console(width=200)
    with console.capture() as found:
        for part in table([letter], "dead letter", columns(NOON))(wide):
            console.print(part)
    return " ".join(found.get().split())


def test_a_letter_is_told_for_how_long_it_has_failed_and_since_when_if_one_wants_to_know() -> None:
    since = "2026-11-26T11:57:30+00:00"
    assert "2 min 30 s" in shown(since, wide=False)
    assert since not in shown(since, wide=False)
    assert since in shown(since, wide=True)


@pytest.mark.parametrize("said", ["", "yesterday"])
def test_what_is_no_time_is_shown_as_it_is(said: str) -> None:
    assert said in shown(said, wide=False)
