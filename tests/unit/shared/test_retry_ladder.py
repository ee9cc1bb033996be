"""Where a message goes whose handling failed, and what its copy tells whoever finds it there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic

from services.shared.contract.decisions import Deferred, Premature, Rejected
from services.shared.contract.wire import InvalidMessage
from services.shared.engine.envelope import Delivery, Route, route

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def delivery(**headers: Any) -> Delivery:
    return Delivery(1, b"{}", Basic.Properties(), {k.replace("_", "-"): v for k, v in headers.items()}, "id")


def climb(error: Exception, times: int) -> list[Route]:
    """What happens to a message that fails over and over: each copy is what is delivered next."""
    routes: list[Route] = []
    headers: dict[str, Any] = {}
    for _ in range(times):
        routes.append(route("orders", Delivery(1, b"", Basic.Properties(), headers, "id"), error, NOW))
        headers = routes[-1].headers
    return routes


@pytest.mark.parametrize("error", [Premature("too early"), KeyError("a bug"), ValueError("a bug")])
def test_what_failed_is_tried_three_times_more_and_then_kept_as_dead(error: Exception) -> None:
    routes = climb(error, 4)
    keys = [each.key for each in routes]
    assert keys == ["orders.retry.1", "orders.retry.2", "orders.retry.3", "orders.dlq"]
    assert [each.dead for each in routes] == [False, False, False, True]
    assert [each.headers["x-attempts"] for each in routes] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("error", "kind"), [(InvalidMessage("no such field"), "invalid"), (Rejected("unknown order"), "rejected")]
)
def test_what_no_retry_will_help_is_dead_at_once(error: Exception, kind: str) -> None:
    way = route("orders", delivery(), error, NOW)
    assert (way.key, way.dead, way.kind) == ("orders.dlq", True, kind)
    assert way.headers["x-error"] == str(error)
    assert way.headers["x-error-kind"] == kind
    assert way.headers["x-queue"] == "orders"


def test_an_unknown_outcome_is_asked_about_for_as_long_as_it_takes() -> None:
    routes = climb(Deferred("the gateway timed out"), 50)
    assert [each.key for each in routes[:3]] == ["orders.retry.1", "orders.retry.2", "orders.retry.3"]
    assert {each.key for each in routes[3:]} == {"orders.retry.3"}
    assert not any(each.dead for each in routes)
    assert routes[-1].headers["x-attempts"] == 0
    assert routes[-1].headers["x-deferrals"] == 50


def test_waiting_for_an_outcome_does_not_use_up_the_attempts() -> None:
    way = route("orders", delivery(x_deferrals=9, x_attempts=1), Premature("early"), NOW)
    assert way.key == "orders.retry.2"
    assert way.headers["x-deferrals"] == 9


def test_the_first_failure_keeps_its_time() -> None:
    first = route("orders", delivery(), Premature("early"), NOW)
    assert first.headers["x-first-failed-at"] == NOW.isoformat()
    later = route("orders", delivery(x_first_failed_at="2026-01-01T00:00:00+00:00"), Premature("early"), NOW)
    assert later.headers["x-first-failed-at"] == "2026-01-01T00:00:00+00:00"


def test_a_copy_keeps_its_trace_and_drops_what_the_broker_wrote() -> None:
    came = delivery(
        traceparent="00-1-2-01",
        x_death=[{"queue": "orders.retry.1"}],
        x_first_death_queue="orders",
        x_last_death_queue="orders",
    )
    headers = route("orders", came, Premature("early"), NOW).headers
    assert headers["traceparent"] == "00-1-2-01"
    assert not [name for name in headers if "death" in name]


def test_an_error_without_a_text_is_known_by_its_name_and_a_long_one_is_cut() -> None:
    assert route("orders", delivery(), KeyError(), NOW).headers["x-error"] == "KeyError"
    assert len(route("orders", delivery(), ValueError("x" * 10_000), NOW).headers["x-error"]) == 500


HEADER_VALUES = st.one_of(st.none(), st.integers(), st.booleans(), st.text(), st.binary(), st.floats())


@given(HEADER_VALUES, HEADER_VALUES, st.sampled_from([Premature("p"), Deferred("d"), ValueError("v")]))
def test_whatever_strangers_write_into_our_headers_there_is_a_queue_to_go_to(
    attempts: object, deferrals: object, error: Exception
) -> None:
    way = route("orders", delivery(x_attempts=attempts, x_deferrals=deferrals), error, NOW)
    assert way.key in {"orders.retry.1", "orders.retry.2", "orders.retry.3", "orders.dlq"}
    assert way.headers["x-attempts"] >= 0
    assert way.dead is (way.key == "orders.dlq")
