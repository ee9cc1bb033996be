"""`sagactl orders watch`: what each form tells of the steps that are new."""

from datetime import timedelta

import pytest
from msgspec import structs
from rich.table import Table

from sagactl.oncall.invariants import Case
from sagactl.oncall.order import shown as facts
from sagactl.oncall.watching import OrderSteps, told
from services.order.model import HistoryEntry, Status
from tests.unit.order import examples as eg

NARROW = False
FIRST = HistoryEntry(eg.CREATED_AT, "ORDER_CREATED", None, Status.PENDING, eg.ORDER_ID)
SECOND = HistoryEntry(
    eg.CREATED_AT + timedelta(milliseconds=7480),
    "CUSTOMER_CANCELLED",
    Status.PENDING,
    Status.CANCELLED,
    "event-2",
    reason="[bold]no\x1b more",
)


def test_steps_are_lines_and_the_last_says_how_it_ends() -> None:
    paid = structs.replace(eg.PAID, history=(FIRST, SECOND))
    shown = told(paid, paid.history[1:], is_last=True)
    assert [*shown.text(NARROW)] == [
        "09:00:07.480  CUSTOMER_CANCELLED          PENDING -> CANCELLED  \\[bold]no\ufffd more",
        "[green]PAID, settled[/]",
    ]
    assert (shown.names, shown.items) == (["event-2"], (SECOND,))
    assert shown.document == OrderSteps(order=eg.ORDER_ID, status=Status.PAID, settled=True, items=(SECOND,))


def test_whoever_waits_no_longer_is_told_that_it_is_not_settled() -> None:
    assert [*told(eg.CONFIRMED, (), is_last=True).text(NARROW)] == ["[yellow]CONFIRMED, not settled yet[/]"]
    assert [*told(eg.CONFIRMED, (), is_last=False).text(NARROW)] == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(milliseconds=7480), "7480 ms"),
        (timedelta(seconds=104), "1 min 44 s"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_what_took_long_is_not_told_in_milliseconds(after: timedelta, said: str) -> None:
    order = structs.replace(eg.PAID, history=(FIRST, structs.replace(SECOND, at=FIRST.at + after)))
    (timeline,) = (
        part for part in facts(Case(eg.ORDER_ID, order, None, None, (), ())) if isinstance(part, Table)
    )
    assert [*timeline.columns[1].cells] == ["0 ms", said]
