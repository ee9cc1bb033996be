"""The audit trail, as its page shows it: who did what, from where, and what came of it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from msgspec import Struct

from console.jobs import path_of
from sagactl.oncall.trails import Told
from services.shared.contract.audit import Action, Outcome
from services.shared.emails import hidden

PATH: Final = "/trail"
ABOUT_ORDERS: Final = "order."
# So begins the subject of what a job does.
ABOUT_JOBS: Final = "job "
SHAPES: Final[Mapping[str, tuple[str, str]]] = {
    Outcome.DONE: ("✓", "good"),
    Outcome.ASKED: ("→", "moving"),
    Outcome.HALFWAY: ("→", "moving"),
    Outcome.REFUSED: ("✖", "bad"),
}


class Wanted(NamedTuple):
    """Which entries: of all, those that all of this is true of. Empty means any."""

    action: str = ""
    actor: str = ""
    subject: str = ""


class Row(NamedTuple):
    at: datetime
    service: str
    action: str
    outcome: str
    shape: str
    mood: str
    subject: str
    # The page of the order, or of the job; empty where it is about neither.
    link: str
    actor: str
    address: str
    why: str


class Page(Struct, frozen=True, kw_only=True):
    wanted: Wanted
    actions: tuple[str, ...]
    # The latest first.
    rows: tuple[Row, ...]


def page(told: Iterable[Told], wanted: Wanted) -> Page:
    return Page(wanted=wanted, actions=tuple(Action), rows=rows(told))


def rows(told: Iterable[Told]) -> tuple[Row, ...]:
    return tuple(map(_row, sorted(told, key=lambda each: each.at, reverse=True)))


def link_to(wanted: Wanted) -> str:
    return f"{PATH}?{urlencode({name: value for name, value in wanted._asdict().items() if value})}"


def _row(told: Told) -> Row:
    action, subject, outcome = told.text("action"), told.text("subject"), told.text("outcome")
    shape, mood = SHAPES.get(outcome, ("?", "doubtful"))
    return Row(
        at=told.at,
        service=told.service,
        action=action,
        outcome=outcome,
        shape=shape,
        mood=mood,
        subject=subject,
        link=_link(action, subject),
        actor=told.actor,
        address=told.text("address"),
        why=hidden("; ".join(filter(None, (told.text("detail"), told.text("reason"))))),
    )


def _link(action: str, subject: str) -> str:
    if (job := subject.removeprefix(ABOUT_JOBS)) != subject:
        return path_of(job)
    return f"/orders/{quote(subject, safe='')}" if subject and action.startswith(ABOUT_ORDERS) else ""
