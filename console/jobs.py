"""Jobs, as their pages show them: what somebody did with letters or orders, and what became of each. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from console import bulk
from console.bulk import OrderJob
from console.letters import link_to, order_of
from sagactl.oncall.jobs.job import Chosen, Job, Outcome, Selector, Step, Verb, tally
from services.shared.contract.audit import Actor

PATH: Final = "/jobs"
SHOWN_AT_MOST: Final = 100
# Shape and mood.
SHAPES: Final[Mapping[StrEnum, tuple[str, str]]] = {
    Outcome.PLANNED: ("○", "moving"),
    Outcome.SENT: ("→", "moving"),
    Outcome.HANDLED: ("✓", "good"),
    Outcome.NO_EFFECT: ("✓", "good"),
    Outcome.DEAD: ("✖", "bad"),
    Outcome.DISCARDED: ("✓", "good"),
    Outcome.RESTORED: ("✓", "good"),
    Outcome.GONE: ("✖", "bad"),
    bulk.Outcome.DONE: ("✓", "good"),
    bulk.Outcome.REFUSED: ("✖", "bad"),
}
# What somebody may have to do something about comes first.
FIRST: Final = (Outcome.DEAD, Outcome.GONE, Outcome.PLANNED, Outcome.SENT, bulk.Outcome.REFUSED)


class Count(NamedTuple):
    outcome: StrEnum
    number: int
    shape: str
    mood: str


class Row(NamedTuple):
    letter: Chosen
    # Its own page, while it is a dead letter.
    link: str
    # The order's page; empty where it is not about one.
    order: str
    outcome: Outcome
    shape: str
    mood: str
    why: str


class OrderRow(NamedTuple):
    order: str
    link: str
    # As the plan has shown it.
    status: str
    outcome: StrEnum
    shape: str
    mood: str
    why: str


class Summary(Struct, frozen=True, kw_only=True):
    id: str
    link: str
    verb: Verb | bulk.Verb
    by: str
    reason: str
    begun_at: datetime
    counts: tuple[Count, ...]
    # Something is to be done still, or to be waited for.
    is_open: bool
    # Who stopped it; empty where nobody did.
    stopped_by: str


class Page(Struct, frozen=True, kw_only=True):
    summary: Summary
    # Why it stands still; empty while it does not.
    trouble: str
    # It goes on once somebody who may says so: with orders that is done by their login.
    waits: bool
    # Of its letters, or of its orders.
    rows: tuple[Row, ...]
    orders: tuple[OrderRow, ...]
    # So many more are not among them.
    left_out: int


def planned(id_: str, verb: Verb, letters: Sequence[Chosen], reason: str, at: datetime) -> Job:
    """Of letters of one queue."""
    selector = Selector(queues=(letters[0].queue,))
    steps = tuple(map(Step, letters))
    return Job(id=id_, verb=verb, reason=reason, begun_at=at, selector=selector, steps=steps)


def summary(job: Job | OrderJob, by: Actor, *, is_open: bool, stopped_by: str = "") -> Summary:
    return Summary(
        id=job.id,
        link=path_of(job.id),
        verb=job.verb,
        by=by.id,
        reason=job.reason,
        begun_at=job.begun_at,
        counts=tuple(Count(each, number, *SHAPES[each]) for each, number in _tally(job).items()),
        is_open=is_open,
        stopped_by=stopped_by,
    )


def _tally(job: Job | OrderJob) -> Mapping[StrEnum, int]:
    if isinstance(job, Job):
        return dict(tally(job).items())
    counted = Counter(step.outcome for step in job.steps)
    return {outcome: counted[outcome] for outcome in bulk.Outcome if counted[outcome]}


def page(
    job: Job | OrderJob, by: Actor, *, is_open: bool, trouble: str, stopped_by: str = "", waits: bool = False
) -> Page:
    letters = sorted(job.steps, key=_is_later) if isinstance(job, Job) else []
    orders = sorted(job.steps, key=_is_later) if isinstance(job, OrderJob) else []
    return Page(
        summary=summary(job, by, is_open=is_open, stopped_by=stopped_by),
        trouble=trouble,
        waits=waits,
        rows=tuple(_row(step, job.verb) for step in letters[:SHOWN_AT_MOST]),
        orders=tuple(map(_order_row, orders[:SHOWN_AT_MOST])),
        left_out=max(0, len(job.steps) - SHOWN_AT_MOST),
    )


def _is_later(step: Step | bulk.Step) -> bool:
    return step.outcome not in FIRST


def path_of(id_: str) -> str:
    return f"{PATH}/{quote(id_, safe='')}"


def _order_row(step: bulk.Step) -> OrderRow:
    link = f"/orders/{quote(step.order, safe='')}"
    shape, mood = SHAPES[step.outcome]
    return OrderRow(step.order, link, step.status, step.outcome, shape, mood, step.why)


def _row(step: Step, verb: Verb | bulk.Verb) -> Row:
    letter = step.letter
    before, after = {Outcome.PLANNED, Outcome.DEAD}, {Outcome.RESTORED}
    is_dead = step.outcome in (after if verb is Verb.RESTORE else before)
    shape, mood = SHAPES[step.outcome]
    return Row(
        letter=letter,
        link=link_to(letter.queue, letter.id) if is_dead else "",
        order=order_of(letter),
        outcome=step.outcome,
        shape=shape,
        mood=mood,
        why=step.why,
    )
