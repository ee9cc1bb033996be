"""The story that a seed tells, and what its faults promise."""

import shlex
from itertools import islice

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dev.chaos import __main__ as chaos
from dev.chaos.__main__ import SHORT_ROUNDS, main
from dev.chaos.faults import FAULTS, Fault
from dev.chaos.plan import LONGEST_SECONDS, SHORTEST_SECONDS, rounds
from tests.monitoring.rules import ALERTS

TARGETS = {name: fault.target for name, fault in FAULTS.items()}
SEEDS = st.integers(min_value=0, max_value=2**32)


@given(SEEDS)
def test_every_fault_is_seen_alone_before_any_is_seen_with_another(seed: int) -> None:
    story = [*islice(rounds(TARGETS, seed), 2 * len(FAULTS))]
    alone, pairs = story[: len(FAULTS)], story[len(FAULTS) :]
    assert sorted(each.faults for each in alone) == sorted((name,) for name in FAULTS)
    assert sorted(each.faults[0] for each in pairs) == sorted(FAULTS)
    assert all(TARGETS[first] != TARGETS[second] for first, second in (each.faults for each in pairs))
    assert all(SHORTEST_SECONDS <= each.seconds <= LONGEST_SECONDS for each in story)


@given(SEEDS)
def test_a_seed_always_tells_the_same_story(seed: int) -> None:
    assert [*islice(rounds(TARGETS, seed), 50)] == [*islice(rounds(TARGETS, seed), 50)]


def test_another_seed_tells_another_story() -> None:
    assert len({tuple(islice(rounds(TARGETS, seed), len(FAULTS))) for seed in range(20)}) == 20


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_who_is_called_is_called_by_an_alert_of_the_charts(fault: Fault) -> None:
    assert not fault.alert or fault.alert in ALERTS


def test_the_story_says_what_happens_in_each_round() -> None:
    app = typer.Typer()
    app.command()(main)
    story = CliRunner().invoke(app, ["--plan"])
    assert story.exit_code == 0, story.output
    for fault in FAULTS.values():
        assert f" s  {fault.name}: {fault.says}\n" in story.output
    assert all(" + " not in line or "; " in line for line in story.output.splitlines())


def test_the_short_story_begins_as_the_long_one_does_and_no_round_is_longer_than_it_has_to_be() -> None:
    app = typer.Typer()
    app.command()(main)
    whole = CliRunner().invoke(app, ["--plan", "--seed", "14"]).output.splitlines()
    short = CliRunner().invoke(app, ["--plan", "--seed", "14", "--short"]).output.splitlines()
    assert len(short) == SHORT_ROUNDS
    assert [line.split(" s  ")[1] for line in short] == [
        line.split(" s  ")[1] for line in whole[:SHORT_ROUNDS]
    ]
    assert {float(line.split(" s  ")[0].split()[1]) for line in short} == {SHORTEST_SECONDS}


def test_a_story_is_told_from_its_middle_on_as_it_is_told_whole() -> None:
    app = typer.Typer()
    app.command()(main)
    whole = CliRunner().invoke(app, ["--plan", "--seed", "7"]).output.splitlines()
    assert CliRunner().invoke(app, ["--plan", "--seed", "7", "--from", "10"]).output.splitlines() == whole[9:]
    beyond = CliRunner().invoke(app, ["--plan", "--from", str(len(whole) + 1)])
    assert beyond.exit_code == 2
    assert "none from 69 on" in beyond.output


@pytest.mark.parametrize(
    "said",
    [
        "make chaos SEED=1",
        'make chaos SEED=7 CHAOS="--from 10"',
        'make chaos SEED=7 CHAOS="--from 10 --rounds 12"',
        'make chaos SEED=3 CHAOS="broker-killed redis-slow --from 4"',
        'make chaos SEED=14 CHAOS="--short"',
    ],
)
def test_who_is_to_see_it_again_is_told_the_same_story(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def play(_seed: int, _chosen: object, again: str, _file: object) -> int:
        told.append(again)
        return 0

    monkeypatch.setattr(chaos, "play", play)
    monkeypatch.setattr(chaos, "with_own_mounts", lambda _: None)
    app = typer.Typer()
    app.command()(main)
    given = dict(each.split("=") for each in shlex.split(said)[2:])
    result = CliRunner().invoke(app, ["--seed", given["SEED"], *given.get("CHAOS", "").split()])
    assert result.exit_code == 0, result.output
    assert told == [said]
