"""How the shop stands, as the page Now shows it: what is wrong first, each with where to look next. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from sagactl.oncall.status.standing import Backlog, Depth, Status

COMMAND: Final = " See sagactl "


class Problem(NamedTuple):
    says: str
    # Where it is looked at: a page of ours; empty where there is none.
    link: str
    # What to type instead, at a terminal.
    command: str


class Queue(NamedTuple):
    depth: Depth
    # Its dead letters.
    link: str


class Page(Struct, frozen=True, kw_only=True):
    status: Status
    problems: tuple[Problem, ...]
    queues: tuple[Queue, ...]
    open_orders: int
    letters: int
    unsent: int


def page(status: Status) -> Page:
    return Page(
        status=status,
        problems=tuple(problem(each) for each in status.problems),
        queues=tuple(Queue(each, letters_of(each.queue) if each.dead else "") for each in status.queues),
        open_orders=_sum(status.orders),
        letters=sum(each.dead for each in status.queues),
        unsent=_sum(status.outboxes),
    )


def _sum(backlogs: Sequence[Backlog]) -> int:
    return sum(each.number for each in backlogs)


def problem(sentence: str) -> Problem:
    """What `sagactl status` says to type is a page here."""
    says, found, command = sentence.partition(COMMAND)
    return Problem(says, _page_of(command.split()), f"sagactl {command}") if found else Problem(says, "", "")


def _page_of(command: Sequence[str]) -> str:
    match command:
        case ["explain", order]:
            return f"/orders/{order}"
        case ["letters", "list", "--queue", queue]:
            return letters_of(queue)
        case ["check"]:
            return "/orders?show=attention"
    return ""


def letters_of(queue: str) -> str:
    return f"/letters?{urlencode({'queue': queue})}"
