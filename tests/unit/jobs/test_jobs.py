"""What a job chooses, what becomes of its letters, and what its record holds after whatever ended it."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from typer.testing import CliRunner, Result

from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.faults import AbsentError, WrongError
from sagactl.oncall.jobs import record, working
from sagactl.oncall.jobs.command import counted
from sagactl.oncall.jobs.job import (
    Change,
    Chosen,
    Job,
    Outcome,
    Selector,
    Step,
    Verb,
    followed,
    groups,
    tally,
)

NOON: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
LETTER: Final = Chosen("orders", "event-1", "order-1", "PAYMENT_SUCCEEDED", "failed", "no such column", NOON)


def job(*outcomes: Outcome, verb: Verb = Verb.REDRIVE) -> Job:
    steps = (
        Step(structs.replace(LETTER, id=f"event-{number}"), outcome)
        for number, outcome in enumerate(outcomes)
    )
    return Job(id="job-1", verb=verb, reason="why", begun_at=NOON, selector=Selector(), steps=tuple(steps))


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"queues": ("inventory", "orders")}, True),
        ({"queues": ("inventory",)}, False),
        ({"kind": "failed", "type": "PAYMENT_SUCCEEDED", "about": "order-1"}, True),
        ({"kind": "invalid"}, False),
        ({"type": "ORDER_PAID"}, False),
        ({"about": "order-2"}, False),
        ({"reason": "column"}, True),
        ({"reason": "row"}, False),
        ({"since": NOON, "until": NOON + timedelta(seconds=1)}, True),
        ({"since": NOON + timedelta(seconds=1)}, False),
        ({"until": NOON}, False),
    ],
    ids=repr,
)
def test_a_letter_is_chosen_where_all_holds_that_is_given(selector: Mapping[str, Any], matches: bool) -> None:  # noqa: FBT001  # a case
    assert Selector(**selector).matches(LETTER) is matches


def test_of_a_letter_that_does_not_tell_when_it_failed_no_time_is_said_to_be() -> None:
    silent = structs.replace(LETTER, first_failed_at=None)
    assert Selector().matches(silent)
    assert not Selector(since=NOON).matches(silent)
    assert not Selector(until=NOON).matches(silent)


def test_of_a_letter_that_was_discarded_it_counts_when_and_why_that_was() -> None:
    """Its first failure may be long ago: what is undone is a mistake of today."""
    put_away = structs.replace(
        LETTER, discarded_at=NOON + timedelta(hours=2), discarded_for="of another system"
    )
    assert Selector(since=NOON + timedelta(hours=1)).matches(put_away)
    assert not Selector(until=NOON + timedelta(hours=1)).matches(put_away)
    assert Selector(reason="another system").matches(put_away)
    assert Selector(reason="column").matches(put_away)
    assert not Selector(reason="row").matches(put_away)


def test_what_was_sent_is_followed_and_handled_goes_before_dead() -> None:
    sent = job(*(Outcome.SENT,) * 4, Outcome.PLANNED)
    dead = {("orders", "event-1"): "failed: again", ("orders", "event-2"): "failed: again"}
    handled = [("orders", "event-2"), ("orders", "event-3"), ("inventory", "event-0"), ("orders", "event-4")]
    changes = [
        Change(1, Outcome.DEAD, NOON, "failed: again"),
        Change(2, Outcome.HANDLED, NOON),
        Change(3, Outcome.HANDLED, NOON),
    ]
    assert [*followed(sent, dead, handled, ["inventory"], NOON)] == changes
    # What is neither, and in no queue, has had no effect.
    gone = Change(0, Outcome.NO_EFFECT, NOON)
    assert [*followed(sent, dead, handled, ["orders"], NOON)] == [gone, *changes]


@pytest.mark.parametrize(
    ("outcomes", "code", "is_over"),
    [
        ((), Exit.FINE, True),
        ((Outcome.HANDLED, Outcome.DISCARDED), Exit.FINE, True),
        ((Outcome.HANDLED, Outcome.SENT), Exit.NOT_YET, False),
        ((Outcome.HANDLED, Outcome.PLANNED), Exit.NOT_YET, False),
        ((Outcome.HANDLED, Outcome.DEAD), Exit.BAD, True),
        ((Outcome.SENT, Outcome.DEAD), Exit.BAD, False),
        ((Outcome.RESTORED, Outcome.RESTORED), Exit.FINE, True),
        ((Outcome.RESTORED, Outcome.GONE), Exit.BAD, True),
    ],
)
def test_how_a_job_ends(outcomes: tuple[Outcome, ...], code: Exit, is_over: bool) -> None:  # noqa: FBT001  # a case
    assert (job(*outcomes).code, job(*outcomes).is_over) == (code, is_over)


def test_letters_are_counted_by_what_they_came_to_and_by_what_they_are() -> None:
    some = job(Outcome.DEAD, Outcome.HANDLED, Outcome.HANDLED)
    assert tally(some) == {Outcome.HANDLED: 2, Outcome.DEAD: 1}
    assert counted(some) == "2 handled, 1 dead again"
    other = structs.replace(LETTER, queue="inventory", kind="invalid")
    assert [*groups([other, LETTER, LETTER]).items()] == [
        (("orders", "PAYMENT_SUCCEEDED", "failed"), 2),
        (("inventory", "PAYMENT_SUCCEEDED", "invalid"), 1),
    ]


CHANGES: Final = st.lists(
    st.builds(
        Change, step=st.integers(0, 2), outcome=st.sampled_from(Outcome), at=st.just(NOON), why=st.text()
    ),
    max_size=5,
)


@given(changes=CHANGES, cut=st.integers(min_value=0), later=CHANGES)
async def test_a_record_that_was_cut_off_anywhere_goes_on_from_its_last_whole_line(
    changes: list[Change], cut: int, later: list[Change], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("jobs")
    planned = job(*(Outcome.PLANNED,) * 3)
    with record.begun(folder, planned) as begun:
        first = (folder / "job-1.jsonl").stat().st_size
        for change in changes:
            await begun.add(change)
        assert begun.job == planned.after(changes)
    written = (folder / "job-1.jsonl").read_bytes()
    kept = min(first + cut, len(written))
    os.truncate(folder / "job-1.jsonl", kept)
    whole = written[:kept].count(b"\n") - 1
    assert record.read(folder, "job-1") == planned.after(changes[:whole])
    with record.resumed(folder, "job-1") as resumed:
        assert resumed.job == planned.after(changes[:whole])
        await resumed.add(*later)
    assert record.read(folder, "job-1") == planned.after([*changes[:whole], *later])


def test_one_at_a_time_is_at_a_job(tmp_path: Path) -> None:
    with record.begun(tmp_path, job(Outcome.PLANNED)), pytest.raises(WrongError, match="another command"):  # noqa: SIM117
        with record.resumed(tmp_path, "job-1"):
            pass
    with record.resumed(tmp_path, "job-1") as there:
        assert there.job == job(Outcome.PLANNED)


def test_jobs_are_listed_the_latest_first_without_one_that_never_began(tmp_path: Path) -> None:
    assert [*record.all_(tmp_path / "nowhere")] == []
    for id_ in ("20261126T120000Z-a", "20261126T130000Z-b"):
        with record.begun(tmp_path, structs.replace(job(), id=id_)):
            pass
    (tmp_path / "20261126T140000Z-c.jsonl").write_bytes(b'{"apiVersion":"sagas')
    assert [each.id for each in record.all_(tmp_path)] == ["20261126T130000Z-b", "20261126T120000Z-a"]


@pytest.mark.parametrize("id_", ["nowhere", "../job-1", "/etc/passwd"])
def test_a_job_that_there_is_not_is_told(id_: str, tmp_path: Path) -> None:
    with record.begun(tmp_path, job()):
        pass
    for look in (record.read, lambda *of: record.resumed(*of).__enter__()):
        with pytest.raises(AbsentError, match="sagactl jobs list"):
            look(tmp_path / "jobs", id_)


def stopped(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(
        app, ["jobs", "stop", "job-1", "--jobs", str(folder), *options], env={"COLUMNS": "200"}
    )


def test_whoever_is_at_a_job_is_asked_to_stop_and_whoever_resumes_it_is_not(tmp_path: Path) -> None:
    with record.begun(tmp_path, job(Outcome.PLANNED)) as there:
        assert not there.is_to_stop
        # Nobody heeds it here.
        assert stopped(tmp_path, "--wait", "1s").exit_code == Exit.NOT_YET
        assert there.is_to_stop
    with record.resumed(tmp_path, "job-1") as again:
        assert not again.is_to_stop
    idle = stopped(tmp_path)
    assert (idle.exit_code, "no command was working on it" in idle.output) == (Exit.FINE, True)


def test_a_job_that_there_is_not_cannot_be_stopped(tmp_path: Path) -> None:
    assert stopped(tmp_path).exit_code == Exit.BAD
    assert [*tmp_path.iterdir()] == []


async def test_work_is_broken_off_once_somebody_wants_it_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "STOPPED_WITHIN_SECONDS", 0.0)
    wanted, ended = asyncio.Event(), []

    async def work() -> None:
        try:
            wanted.set()
            await asyncio.Event().wait()
        finally:
            ended.append("broken off")

    assert not await working.carry_on(work(), wanted.is_set)
    assert ended == ["broken off"]


async def test_work_that_nobody_stops_comes_to_its_end_or_says_what_goes_wrong() -> None:
    async def fails() -> None:
        raise WrongError("no letter")

    assert await working.carry_on(asyncio.sleep(0), lambda: False)
    with pytest.raises(WrongError, match="no letter"):
        await working.carry_on(fails(), lambda: False)
