"""What the benchmark makes of its readings."""

from pathlib import Path
from typing import Final

import pytest

from bench.load import Load, Offered, Saga
from bench.meter import Counts, Reading, Usage
from bench.past import KEPT
from bench.phases import PHASES, chosen
from bench.picture import draw
from bench.report import (
    Idle,
    Measured,
    Outage,
    Overload,
    by_service,
    cpu_seconds,
    document,
    quantiles_ms,
    ratios,
)
from bench.soak import KINDS, Sample, Soaked, growth
from bench.soak import draw as draw_soaked


def measured(
    orders: int, seconds: float, *, saga: float = 1.0, refused: int = 0, late: float = 0, cores: float = 0
) -> Measured:
    """One order after the other, evenly; the last tenth of them ends that much later."""
    before = Reading(Usage({"order": 1.0}, {"order": 100.0}), Counts(100, 10, 10, 50))
    after = Reading(
        Usage({"order": 1.0 + orders * 0.002, "late": 0.5}, {"order": 110.0, "late": 1.0}),
        Counts(100 + 5 * orders, 10 + orders, 10 + orders, 50 + 3 * orders),
    )
    offered = Offered(
        ids=[str(number) for number in range(orders)],
        posts=[0.1] * orders,
        refusals=[0.001] * refused,
        cores=cores,
    )
    load = Load(orders + refused, rate=(orders + refused) / seconds)
    ends = [number * seconds / orders for number in range(orders)]
    sagas = [Saga(saga, ended + late * (rank >= orders * 0.95)) for rank, ended in enumerate(ends)]
    return Measured("x", load, offered, sagas, seconds, before, after)


def overloaded(found: Measured) -> Overload:
    """Where the peak is 10 orders per second."""
    return Overload((measured(100, 10), measured(100, 10)), found, cores=2)


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
    overload = overloaded(measured(orders, 10, saga=p99, refused=200))
    assert overload.is_as_promised is promised
    assert overload.to_json()["asPromised"] is promised
    assert ("NOT as promised" in str(overload)) is not promised


def test_the_end_of_the_last_orders_does_not_count_as_goodput() -> None:
    overload = overloaded(measured(100, 10, late=5, refused=200))
    assert overload.of_peak == pytest.approx(1)


def test_what_the_load_generator_takes_is_no_loss_of_goodput() -> None:
    peaks = measured(90, 10, cores=0.4), measured(110, 10, cores=0.4)
    overload = Overload(peaks, measured(75, 10, refused=200, cores=0.8), cores=2)
    assert overload.of_peak == pytest.approx(0.75)
    assert overload.goodput == pytest.approx(1)
    assert (overload.to_json()["ofPeak"], overload.to_json()["goodput"]) == (0.75, 1)


def test_idle_cpu_is_per_minute() -> None:
    idle = Idle(15, Usage({"order": 7.0}, {}), Usage({"order": 7.5}, {}))
    assert idle.to_json()["cpuSecondsPerMinuteByProcess"] == {"order": 2.0}


def test_quantiles_of_nothing_are_zero() -> None:
    assert quantiles_ms([]) == {"p50": 0, "p95": 0, "p99": 0}


def test_what_was_started_anew_has_used_all_that_it_has_used() -> None:
    before, after = Usage({"rabbitmq": 9.0, "order": 1.0}, {}), Usage({"rabbitmq": 2.0, "order": 3.0}, {})
    assert cpu_seconds(before, after) == {"rabbitmq": 2.0, "order": 2.0}


def test_replicas_of_a_service_are_shown_together() -> None:
    assert by_service({"order": 1.0, "order-2": 2.0, "redis": 1.0}) == {"order": 3.0, "redis": 1.0}


def test_an_outage_tells_what_was_left_when_it_ended_and_how_long_that_took() -> None:
    outage = Outage(measured(100, 10), seconds=5, backlog=42, recovered_seconds=3.25)
    found = outage.to_json()
    assert (found["outageSeconds"], found["openAtReturn"], found["recoveredSeconds"]) == (5, 42, 3.25)
    assert "42 orders were open when it was back, 3.2 s later none" in str(outage)


# --- phases


def test_all_phases_are_measured_unless_some_are_named() -> None:
    assert chosen([], short=False) == [*PHASES]
    short = [phase.key for phase in chosen([], short=True)]
    assert short == [phase.key for phase in PHASES if not phase.is_long]
    assert {"direct", "brokerOutage"} <= set(short)


def test_phases_come_in_their_order_with_those_that_they_are_held_against() -> None:
    assert [phase.key for phase in chosen(["overload"], short=False)] == ["overload"]
    assert [phase.key for phase in chosen(["replicas3", "gateway"], short=True)] == ["gateway", "replicas3"]


def test_a_phase_that_there_is_not_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match="no phase is called hot; there are direct, "):
        chosen(["hot", "direct"], short=False)


def test_phases_of_one_shop_follow_one_another() -> None:
    stacks = [phase.stack for phase in PHASES]
    assert stacks == sorted(stacks, key=stacks.index)
    assert len({phase.key for phase in PHASES}) == len(PHASES)


def test_every_phase_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "performance.md").read_text()
    assert [phase.key for phase in PHASES if f"`{phase.key}`" not in text] == []


PNG: Final = b"\x89PNG"


def test_the_figures_are_drawn_whichever_phases_there_are(tmp_path: Path) -> None:
    picture = tmp_path / "bench.png"
    idle = Idle(15, Usage({"order": 7.0}, {}), Usage({"order": 7.5}, {"order": 100.0}))
    phases = {"direct": measured(100, 10), "replicas1": measured(100, 10), "replicas3": measured(100, 8)}
    figures = document(phases, idle)
    draw(figures, picture)
    assert picture.read_bytes().startswith(PNG)
    assert [*ratios(figures)] == ["three replicas of each on the same cores: 1.25 times the orders of one"]


# --- the soak


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


def soaked(*, every: float = 60, **lines: list[float]) -> Soaked:
    """A sample every `every` seconds; what is not named is of one process or collection, and constant."""
    kept = {kind: {"order": 100.0} for kind in KINDS}
    samples = [
        Sample(at * every, kept | {kind: {"order": values[at]} for kind, values in lines.items()})
        for at in range(max(map(len, lines.values()), default=30))
    ]
    return Soaked(Load(10, rate=1), 10, 0, samples)


RISING: Final = [100.0 + 10 * at for at in range(30)]


def test_a_shop_that_stays_as_it_is_is_flat() -> None:
    assert soaked().is_flat


@pytest.mark.parametrize("kind", ["memory", "descriptors", "stored"])
def test_whatever_grows_is_too_much(kind: str) -> None:
    assert not soaked(every=60, **{kind: RISING}).is_flat


def test_what_is_stored_grows_until_mongod_forgets_what_was_deleted_and_is_compared_from_then_on() -> None:
    filling = [float(min(at, 6)) * 10 for at in range(30)]
    found = soaked(stored=filling)
    assert found.is_flat
    assert [each.first for each in found.growth["stored"]] == [60.0]
    assert not soaked(stored=[10.0 * at for at in range(30)]).is_flat


def test_what_is_stored_is_not_compared_in_a_run_that_ends_before() -> None:
    assert soaked(every=10, stored=RISING).growth["stored"] == []


def test_a_few_more_documents_are_not_growth_and_many_are() -> None:
    few, many = [float(at) for at in range(10)], [100.0 * at for at in range(10)]
    assert soaked(documents=few).is_flat
    assert not soaked(documents=many).is_flat


def test_what_is_kept_of_orders_grows_with_them() -> None:
    rising = [{f"{database}.{name}": float(100 * at) for database, name, _ in KEPT} for at in range(10)]
    assert not any(each.is_too_much for each in growth(rising, KINDS["documents"]))


def test_a_collection_that_was_not_there_before_has_grown() -> None:
    (found,) = growth([{}] * 6 + [{"order.rubbish": 100.0}] * 4, KINDS["documents"])
    assert found.is_too_much


def test_a_soak_is_drawn_and_written_with_one_value_for_each_sample(tmp_path: Path) -> None:
    figures = soaked(memory=RISING).to_json()
    assert figures["memory"] == {"order": RISING}
    assert figures["isFlat"] is False
    draw_soaked(figures, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(PNG)
