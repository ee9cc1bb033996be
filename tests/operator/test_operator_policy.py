"""The policy alone: which orders a sweep takes, when it gives up, and when the next one is."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saga_operator.policy.durations import parse_duration
from saga_operator.policy.policy import (
    CATCH_UP,
    FAILURES_IN_A_ROW,
    LISTED_AT_MOST,
    LONGEST_BACK_OFF,
    Action,
    Attempt,
    Failure,
    Outcome,
    Plan,
    Policy,
    StaleOrder,
    Sweep,
    delay_until_next,
    gives_up,
    is_due,
    longest_pause,
    pause_after,
    plan,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)

orders = st.lists(
    st.builds(
        StaleOrder,
        order_id=st.sampled_from([f"order-{n}" for n in range(20)]),
        status=st.sampled_from(["CONFIRMED", "PENDING", "PAID"]),
        state_since=st.integers(0, 10_000).map(lambda s: NOW - timedelta(seconds=s)),
    )
)
policies = st.builds(
    Policy,
    stale_after=st.just(FIVE_MINUTES),
    pending_stale_after=st.sampled_from([None, FIVE_MINUTES]),
    max_per_sweep=st.integers(1, 8),
)
failures = st.frozensets(st.sampled_from([f"order-{n}" for n in range(20)]))
intervals = st.integers(5, 86_400).map(lambda s: timedelta(seconds=s))


def order(name: str, age: int = 600) -> StaleOrder:
    return StaleOrder(name, "CONFIRMED", NOW - timedelta(seconds=age))


def failed(reason: str = "ServerError") -> Attempt:
    return Attempt(order("x"), Outcome.FAILED, NOW, Failure(reason, "no"))


@given(orders, policies, failures)
def test_a_plan_takes_every_watched_order_once_and_no_more_than_the_cap(
    found: list[StaleOrder], policy: Policy, failed_before: frozenset[str]
) -> None:
    planned = plan(found, policy, failed_before)
    ids = [o.order_id for o in (*planned.compensate, *planned.deferred)]
    assert sorted(ids) == sorted({o.order_id for o in found if o.status in policy.limits})
    assert len(planned.compensate) == min(policy.max_per_sweep, len(ids))
    assert not planned.preview


@given(orders, policies)
def test_no_deferred_order_is_older_than_one_that_is_compensated(
    found: list[StaleOrder], policy: Policy
) -> None:
    planned = plan(found, policy)
    taken = [o.state_since for o in planned.compensate]
    assert taken == sorted(taken)
    assert all(taken[-1] <= o.state_since for o in planned.deferred)


@given(orders, policies, failures)
def test_an_order_that_failed_before_never_keeps_another_waiting(
    found: list[StaleOrder], policy: Policy, failed_before: frozenset[str]
) -> None:
    planned = plan(found, policy, failed_before)
    if any(o.order_id not in failed_before for o in planned.deferred):
        assert not any(o.order_id in failed_before for o in planned.compensate)


def test_with_one_place_the_oldest_goes_first_but_not_for_ever_if_it_fails() -> None:
    old, young = order("old", age=900), order("young", age=600)
    one = Policy(FIVE_MINUTES, max_per_sweep=1)
    assert plan([young, old], one).compensate == (old,)
    assert plan([young, old], one, {"old"}).compensate == (young,)
    assert plan([young, old], one, {"old", "young"}).compensate == (old,)


@given(orders, policies, failures)
def test_a_dry_run_previews_exactly_what_would_be_compensated(
    found: list[StaleOrder], policy: Policy, failed_before: frozenset[str]
) -> None:
    dry = Policy(
        policy.stale_after, policy.pending_stale_after, policy.action, policy.max_per_sweep, dry_run=True
    )
    real, previewed = plan(found, policy, failed_before), plan(found, dry, failed_before)
    assert previewed.preview == real.compensate
    assert previewed.deferred == real.deferred
    assert not previewed.compensate


@given(orders)
def test_alert_compensates_and_previews_nothing(found: list[StaleOrder]) -> None:
    planned = plan(found, Policy(FIVE_MINUTES, action=Action.ALERT))
    assert planned == Plan()


def test_pending_orders_are_left_alone_unless_they_have_a_limit_of_their_own() -> None:
    pending = StaleOrder("p", "PENDING", NOW)
    assert plan([pending], Policy(FIVE_MINUTES)).compensate == ()
    assert plan([pending], Policy(FIVE_MINUTES, FIVE_MINUTES)).compensate == (pending,)


def test_a_sweep_goes_on_after_failures_that_are_not_in_a_row() -> None:
    good = Attempt(order("y"), Outcome.COMPENSATED, NOW)
    assert gives_up([]) is None
    assert gives_up([failed()] * (FAILURES_IN_A_ROW - 1)) is None
    assert gives_up([failed(), failed(), good, failed(), failed()]) is None
    assert gives_up([*[failed()] * FAILURES_IN_A_ROW, good]) is None


def test_a_sweep_gives_up_after_three_failures_in_a_row() -> None:
    last = failed("Timeout")
    assert gives_up([failed(), failed(), last]) == last.failure


@pytest.mark.parametrize("reason", ["Unauthorized", "Forbidden"])
def test_a_sweep_that_is_refused_gives_up_at_once(reason: str) -> None:
    assert gives_up([failed(reason)]) == Failure(reason, "no")


@given(intervals, st.integers(0, 10_000))
def test_the_next_sweep_is_never_sooner_than_the_interval_nor_later_than_the_longest_delay(
    interval: timedelta, consecutive_failures: int
) -> None:
    delay = delay_until_next(interval, consecutive_failures)
    assert interval <= delay <= max(interval, LONGEST_BACK_OFF)


def swept(deferred: int, *attempts: Attempt) -> Sweep:
    planned = Plan(tuple(each.order for each in attempts), deferred=(order("late"),) * deferred)
    return Sweep(NOW, NOW, found=planned.compensate + planned.deferred, plan=planned, attempts=attempts)


def test_a_sweep_that_left_orders_is_followed_at_once_and_one_that_left_none_after_the_interval() -> None:
    done = Attempt(order("x"), Outcome.COMPENSATED, NOW)
    interval = timedelta(seconds=60)
    assert pause_after(swept(1, done), interval, 0) == CATCH_UP
    assert pause_after(swept(0, done), interval, 0) == interval
    assert pause_after(swept(1, done), timedelta(milliseconds=50), 0) == timedelta(milliseconds=50)
    # A full list has left the rest with the order service.
    assert pause_after(swept(0, *[done] * LISTED_AT_MOST), interval, 0) == CATCH_UP


def test_a_sweep_that_failed_or_did_nothing_is_not_hurried() -> None:
    done, interval = Attempt(order("x"), Outcome.COMPENSATED, NOW), timedelta(seconds=60)
    assert pause_after(swept(1, done, failed()), interval, 1) == interval
    assert pause_after(swept(1, done, failed()), interval, 2) == timedelta(seconds=120)
    assert pause_after(swept(1), interval, 0) == interval


@given(intervals, st.integers(0, 100))
def test_more_failures_never_mean_a_shorter_wait(interval: timedelta, consecutive_failures: int) -> None:
    assert delay_until_next(interval, consecutive_failures) <= delay_until_next(
        interval, consecutive_failures + 1
    )


def test_the_first_failure_does_not_change_the_pace_and_the_next_ones_double_it() -> None:
    delays = [delay_until_next(timedelta(seconds=5), n).total_seconds() for n in range(8)]
    assert delays == [5, 5, 10, 20, 40, 80, 120, 120]


@given(intervals, st.integers(0, 100), st.integers(0, 1_000_000))
def test_a_sweep_becomes_due_within_the_longest_delay_whatever_the_clock_did(
    interval: timedelta, consecutive_failures: int, set_back: int
) -> None:
    next_sweep = NOW + delay_until_next(interval, consecutive_failures)
    after = NOW - timedelta(seconds=set_back)
    assert is_due(next_sweep, interval, after + longest_pause(interval)) or is_due(
        next_sweep, interval, after
    )


def test_a_sweep_is_due_when_there_never_was_one_and_not_before_its_time() -> None:
    interval = timedelta(seconds=60)
    assert is_due(None, interval, NOW)
    assert not is_due(NOW + interval, interval, NOW)
    assert is_due(NOW, interval, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1m30s", 90), ("1.5h", 5400), ("500ms", 0.5), ("1h1m1s", 3661), ("2m1s500ms", 121.5)],
)
def test_durations_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5d", "5m!", "1e3s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_the_policy_can_be_used_where_there_is_no_kubernetes() -> None:
    """As sagactl does, whose image has neither kopf nor the client."""
    code = "import saga_operator.policy.sweep, sys; print('kopf' in sys.modules)"
    printed = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], env={"PYTHONPATH": "operator"}, capture_output=True, check=True
    )
    assert printed.stdout.strip() == b"False"
