"""A log line as people see it."""

from services.shared.console import render

LINE = {
    "timestamp": "2026-11-25T12:03:11.204567Z",
    "level": "info",
    "service": "payment",
    "logger": "services.shared.engine.journal",
    "message": "CAPTURING -> DECLINED on ORDER_CONFIRMED: card declined",
    "order_id": "o-1",
    "event": "ORDER_CONFIRMED",
    "from": "CAPTURING",
    "to": "DECLINED",
    "reason": "card declined",
    "trace_id": "t",
    "request_id": "r-1",
}


def test_a_step_shows_its_time_its_service_what_happened_and_its_order() -> None:
    time, rest = render(LINE, colours=False).split(maxsplit=1)
    assert time.endswith(":11.204")
    assert rest == (
        "INFO    payment      CAPTURING -> DECLINED on ORDER_CONFIRMED: card declined order_id=o-1"
    )


def test_lines_of_different_services_are_aligned() -> None:
    one = render(LINE | {"message": "PENDING"}, colours=False)
    other = render(LINE | {"message": "PAID", "service": "notification", "level": "warning"}, colours=False)
    assert one.index("PENDING") == other.index("PAID")
    assert one.index("order_id") == other.index("order_id")


def test_what_goes_without_saying_is_left_out() -> None:
    assert "o-1" not in render(LINE, colours=False, without=frozenset({"order_id"}))


def test_a_request_without_an_order_is_named_by_its_id() -> None:
    assert render({"message": "GET / -> 404", "request_id": "r-1"}, colours=False).endswith("request_id=r-1")


def test_levels_have_colours_on_a_terminal_alone() -> None:
    assert "\x1b[33mWARNING\x1b[0m" in render(LINE | {"level": "warning"}, colours=True)
    assert "\x1b" not in render(LINE | {"level": "warning"}, colours=False)


def test_a_traceback_follows_its_line() -> None:
    shown = render(LINE | {"exception": "Traceback\n  ValueError: x"}, colours=False)
    assert shown.splitlines()[1:] == ["Traceback", "  ValueError: x"]


def test_nobody_paints_on_the_screen_with_what_is_logged() -> None:
    shown = render({"message": "unknown products: \x1b[2J\nPAID", "detail": "x"}, colours=False)
    assert "\\x1b[2J\\x0aPAID" in shown


def test_a_line_without_a_time_is_shown_all_the_same() -> None:
    assert render({"message": "of a server", "timestamp": "whenever"}, colours=False).endswith("of a server")
