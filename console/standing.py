"""How the shop stands, as the page Now shows it: what is wrong first, each with where to look next. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from console.commands import page_of
from sagactl.oncall.status.standing import Backlog, Part, Status, gaps

SEE: Final = " See sagactl "


class Problem(NamedTuple):
    says: str
    # Where it is looked at: a page of ours; empty where there is none.
    link: str
    # What to type instead, at a terminal.
    command: str


class Page(Struct, frozen=True, kw_only=True):
    status: Status
    problems: tuple[Problem, ...]
    # What could not be seen, a sentence for each reason.
    gaps: tuple[str, ...]
    # None while they are unseen; so with the others.
    open_orders: int | None
    marked: int | None
    letters: int | None
    unsent: int | None


def page(status: Status) -> Page:
    unseen = {each.part for each in status.unseen}
    depths = status.queues
    return Page(
        status=status,
        problems=tuple(problem(each) for each in status.problems),
        gaps=tuple(gaps(status.unseen)),
        open_orders=None if Part.ORDERS in unseen else _sum(status.orders),
        marked=None if Part.MARKED in unseen else status.marked,
        letters=None if depths is None else sum(each.dead for each in depths),
        unsent=None if Part.OUTBOXES in unseen else _sum(status.outboxes),
    )


def _sum(backlogs: Sequence[Backlog]) -> int:
    return sum(each.number for each in backlogs)


def problem(sentence: str) -> Problem:
    """What `sagactl status` says to type is a page here."""
    says, found, rest = sentence.partition(SEE)
    command = f"sagactl {rest}" if found else ""
    return Problem(says, page_of(command), command)
