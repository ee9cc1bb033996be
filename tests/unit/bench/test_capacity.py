"""What so many orders a second need, by what was measured: the rules of the model."""

import json
import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity import (
    HANDLED,
    LEAST_REPLICAS,
    MEASURED,
    MOST_AT_ONCE,
    PASSING,
    PLANNED,
    POWERS,
    Cost,
    Model,
    checks,
    plan,
)
from services.shared.settings import EngineSettings

SERVICES: Final = (PASSING, *HANDLED)
SERVERS: Final = ("mongodb", "rabbitmq", "redis")

costs = st.builds(Cost, fixed=st.floats(0.01, 50), alone=st.floats(0, 50), power=st.floats(0.35, 1))
models = st.builds(
    Model,
    costs=st.fixed_dictionaries(dict.fromkeys((*SERVICES, *SERVERS), costs)),
    interval=st.floats(0.001, 0.2),
    longest_interval=st.floats(0.2, 1),
    resident_mib=st.just(dict.fromkeys(SERVICES, 100.0)),
)
rates = st.floats(0.1, 100_000)


@given(models, rates)
def test_no_replica_is_busier_than_planned_and_with_fewer_one_would_be(model: Model, rate: float) -> None:
    for service in SERVICES:
        replicas = model.replicas(service, rate)
        assert model.busy(service, rate / replicas) <= PLANNED * (1 + 1e-9)
        assert replicas == LEAST_REPLICAS or model.busy(service, rate / (replicas - 1)) > PLANNED


@given(models, rates, st.floats(1, 100))
def test_more_orders_never_need_less(model: Model, rate: float, times: float) -> None:
    fewer, more = plan(model, rate), plan(model, rate * times)
    assert all(a.pieces <= b.pieces for a, b in zip(fewer.parts[:5], more.parts[:5], strict=True))
    for service in HANDLED:
        assert model.cost_ms(service, rate * times) <= model.cost_ms(service, rate)


@given(models, rates)
def test_an_order_costs_no_less_than_what_is_fixed_and_no_more_than_alone(model: Model, rate: float) -> None:
    for part in plan(model, rate).parts:
        if part.name in HANDLED:
            cost = model.costs[part.name]
            assert cost.at(MOST_AT_ONCE) <= part.cpu_ms <= cost.at(1)


@given(models, rates)
def test_every_piece_bears_its_share(model: Model, rate: float) -> None:
    for part in plan(model, rate).parts:
        assert part.pieces >= 1
        assert part.pieces * part.each >= rate * (1 - 1e-9)


@given(models, rates)
def test_what_is_first_to_be_full_is_named_first(model: Model, rate: float) -> None:
    beyond = plan(model, rate).beyond
    assert [part.each for part in beyond] == sorted(part.each for part in beyond)
    assert all(part.pieces > 1 and part.each < rate for part in beyond)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_is_above_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        plan(Model.fitted(measured()), rate)


@given(st.fixed_dictionaries(dict.fromkeys(HANDLED, costs)), st.sampled_from(POWERS))
def test_costs_that_a_run_had_are_found_in_it(true: dict[str, Cost], power: float) -> None:
    true = {name: cost._replace(power=power) for name, cost in true.items()}
    found = Model.fitted(run_of(true))
    for service, cost in true.items():
        assert found.costs[service].fixed == pytest.approx(cost.fixed, rel=1e-6, abs=1e-6)
        assert found.costs[service].alone == pytest.approx(cost.alone, rel=1e-6, abs=1e-6)


def run_of(true: dict[str, Cost]) -> dict[str, Any]:
    """What `make bench` would write of a shop with such costs, which uses something when idle, too."""
    idle_ms = 3.0

    def phase(batch: float, rate: float) -> dict[str, Any]:
        used = {name: cost.at(batch) + idle_ms / rate for name, cost in true.items()} | {PASSING: 0.5}
        return {
            "settledPerSecond": rate,
            "transactionsPerOrder": 7 / batch,
            "cpuMsPerOrderByProcess": used,
            "residentMiB": {},
        }

    return {
        "direct": phase(70, 400),
        "gateway": phase(60, 350),
        "ungrouped": phase(1, 40),
        "rate40": phase(4, 40),
        "rate5": phase(1.2, 5),
        "idle": {"cpuSecondsPerMinuteByProcess": dict.fromkeys(true, idle_ms * 60 / 1000)},
    }


def test_replicas_are_held_against_one_replica_on_the_same_machine() -> None:
    """That machine is twice as slow as the one that the model was fitted on: the ratio is what counts."""
    true = dict.fromkeys((*HANDLED, *SERVERS), Cost(1, 10))
    run = run_of(true)
    slow = {name: 2 * used for name, used in run["direct"]["cpuMsPerOrderByProcess"].items()}
    two = {name: used / 2 for name, used in slow.items()} | {name: slow[name] for name in SERVERS}
    two |= {f"{name}-2": slow[name] / 2 for name in HANDLED}
    run["replicas1"] = run["direct"] | {"cpuMsPerOrderByProcess": slow}
    run["replicas2"] = run["direct"] | {"cpuMsPerOrderByProcess": two, "replicas": 2}
    model = Model.fitted(run)
    (check,) = [each for each in checks(model, run) if each.phase.startswith("replicas")]
    assert check.measured == pytest.approx(sum(slow[name] for name in true), rel=0.05)
    # Each replica has half of the messages in its transactions.
    one, more = (sum(model.order_ms(400, dict.fromkeys(SERVICES, number)).values()) for number in (1, 2))
    assert check.predicted / check.measured == pytest.approx(more / one, rel=0.1)
    assert more > one


def measured() -> dict[str, Any]:
    run: dict[str, Any] = json.loads(MEASURED.read_text())
    return run


def test_the_model_is_near_what_was_measured() -> None:
    """A busy machine is no laboratory. To say half too much is near; to say too little is worse."""
    run = measured()
    found = checks(Model.fitted(run), run)
    assert {check.phase for check in found} >= {
        "gateway",
        "hotProduct",
        "rate40",
        "rate5",
        "replicas2",
        "replicas3",
    }
    assert all(-0.25 < check.error < 0.5 for check in found), found


def test_what_is_decided_on_for_an_order_is_what_was_measured() -> None:
    run = measured()
    assert sum(HANDLED.values()) == pytest.approx(run["ungrouped"]["transactionsPerOrder"], abs=0.05)


def test_the_model_knows_how_many_messages_a_transaction_decides_at_most() -> None:
    assert EngineSettings.model_fields["commit_max_batch"].default == MOST_AT_ONCE


def test_one_product_bears_at_least_what_was_measured() -> None:
    run = measured()
    assert Model.fitted(run).hot_product >= run["hotProduct"]["settledPerSecond"]


def test_what_nothing_costs_is_never_full() -> None:
    run = run_of(dict.fromkeys((*HANDLED, *SERVERS), Cost(0, 0)))
    found = plan(Model.fitted(run)._replace(resident_mib=dict.fromkeys(SERVICES, 100.0)), 1000)
    assert math.inf in {part.each for part in found.parts}
    assert not found.beyond
