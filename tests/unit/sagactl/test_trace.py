"""How the trace of an order is drawn in the terminal."""

import pytest
from rich.console import Console

from sagactl.oncall.trace import Span, bar, spans_of, table, tree

POST = Span("a", None, "gateway", "POST", 0, 100)
CREATE = Span("b", "a", "order", "create", 10, 50)
RESERVE = Span("c", "b", "inventory", "reserve", 60, 20)
CHARGE = Span("d", "b", "payment", "charge", 100, 100, failed=True)
NOTIFY = Span("e", "d", "notification", "notify", 190, 10)


def test_each_span_stands_below_its_cause_in_the_order_of_time() -> None:
    drawn = [branch.guide + branch.span.name for branch in tree([NOTIFY, CHARGE, RESERVE, CREATE, POST])]
    assert drawn == ["POST", "└ create", "  ├ reserve", "  └ charge", "    └ notify"]


def test_a_span_whose_cause_was_not_kept_is_drawn_all_the_same() -> None:
    lost = Span("f", "never sent", "payment", "refund", 5, 1)
    assert [branch.span.name for branch in tree([POST, lost])] == ["POST", "refund"]


def test_a_bar_lies_where_its_span_does_and_is_never_invisible_or_too_long() -> None:
    assert bar(POST, 0, 200, width=10) == "█████"
    assert bar(CHARGE, 0, 200, width=10) == " " * 5 + "█" * 5
    assert bar(Span("x", None, "order", "instant", 200, 0), 0, 200, width=10) == " " * 9 + "█"
    assert bar(Span("x", None, "order", "alone", 7, 0), 7, 7, width=10) == "█"


def test_jaegers_json_is_read() -> None:
    found = spans_of(
        {
            "processes": {"p1": {"serviceName": "order"}},
            "spans": [
                {
                    "spanID": "b",
                    "processID": "p1",
                    "operationName": "create",
                    "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "a"}],
                    "startTime": 10,
                    "duration": 50,
                    "tags": [{"key": "error", "type": "bool", "value": True}],
                }
            ],
        }
    )
    assert found == [Span("b", "a", "order", "create", 10, 50, failed=True)]


@pytest.mark.parametrize("screen", [80, 120])
def test_the_table_shows_every_span_with_its_service_and_times(screen: int) -> None:
    deep = [
        Span(
            str(number),
            str(number - 1),
            "notification",
            f"order-events PAYMENT_SUCCEEDED {number}",
            number,
            1,
        )
        for number in range(8)
    ]
    console = Console(width=screen, no_color=True)
    with console.capture() as capture:
        console.print(table([*deep, Span("late", None, "order", "POST", 1_000, 500)], screen))
    lines = capture.get().splitlines()[1:]
    assert len(lines) == 9
    assert all("notification" in line and "█" in line for line in lines[:8])
    assert "█" in lines[8]
    assert lines[8].split()[:4] == ["POST", "order", "1", "0.5"]
    assert max(map(len, lines)) <= screen
