"""What the benchmark makes of its readings."""

import pytest

from bench.load import Load, Offered, Saga
from bench.meter import Counts, Reading, Usage
from bench.report import Idle, Measured, Overload, quantiles_ms
from bench.soak import growth


def measured(
    orders: int, seconds: float, *, saga: float = 1.0, refused: int = 0, late: float = 0
) -> Measured:
    """One order after the other, evenly; the last tenth of them ends that much later."""
    before = Reading(Usage({"order": 1.0}, {"order": 100.0}), Counts(100, 10, 10, 50))
    after = Reading(
        Usage({"order": 1.0 + orders * 0.002, "late": 0.5}, {"order": 110.0, "late": 1.0}),
        Counts(100 + 5 * orders, 10 + orders, 10 + orders, 50 + 3 * orders),
    )
    offered = Offered(
        ids=[str(number) for number in range(orders)], posts=[0.1] * orders, refusals=[0.001] * refused
    )
    load = Load(orders + refused, rate=(orders + refused) / seconds)
    ends = [number * seconds / orders for number in range(orders)]
    sagas = [Saga(saga, ended + late * (rank >= orders * 0.95)) for rank, ended in enumerate(ends)]
    return Measured("x", load, offered, sagas, seconds, before, after)


def test_what_an_order_costs_is_divided_by_the_accepted_ones() -> None:
    found = measured(100, 10, refused=300).to_json()
    assert found["settledPerSecond"] == 10
    assert found["refusedShare"] == 0.75
    assert found["cpuMsPerOrderByProcess"] == {"order": 2.0, "late": 5.0}
    assert (found["messagesPerOrder"], found["transactionsPerOrder"], found["commitsPerOrder"]) == (5, 1, 3)
    assert found["offeredPerSecond"] == 40


@pytest.mark.parametrize(
    ("orders", "p99", "promised"),
    [(90, 5.0, True), (89, 5.0, False), (90, 5.1, False), (120, 1.0, True)],
)
def test_an_overload_is_held_against_the_peak(orders: int, p99: float, promised: bool) -> None:  # noqa: FBT001
    overload = Overload(measured(100, 10), measured(orders, 10, saga=p99, refused=200))
    assert overload.is_as_promised is promised
    assert overload.to_json()["asPromised"] is promised
    assert ("NOT as promised" in str(overload)) is not promised


def test_the_end_of_the_last_orders_does_not_count_as_goodput() -> None:
    overload = Overload(measured(100, 10), measured(100, 10, late=5, refused=200))
    assert overload.of_peak == pytest.approx(1)


def test_idle_cpu_is_per_minute() -> None:
    idle = Idle(15, Usage({"order": 7.0}, {}), Usage({"order": 7.5}, {}))
    assert idle.to_json()["cpuSecondsPerMinuteByProcess"] == {"order": 2.0}


def test_quantiles_of_nothing_are_zero() -> None:
    assert quantiles_ms([]) == {"p50": 0, "p95": 0, "p99": 0}


def test_memory_is_compared_between_the_thirds_once_it_is_warm() -> None:
    order = [10.0] + [100.0] * 3 + [200.0] * 3 + [111.0] * 3
    (found,) = growth([{"order": mib} for mib in order])
    assert (found.first, found.last, round(found.percent)) == (100, 111, 11)
    assert found.is_too_much


def test_a_tenth_more_memory_is_not_too_much() -> None:
    (found,) = growth([{"order": mib} for mib in (50.0, 100, 100, 100, 105, 105, 105, 110, 110, 110)])
    assert not found.is_too_much


def test_what_a_server_caches_is_not_judged() -> None:
    (found,) = growth([{"mongodb": float(mib)} for mib in range(100, 200)])
    assert found.percent > 10
    assert not found.is_too_much


def test_too_few_samples_tell_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth([{"order": 1.0}] * 2)
