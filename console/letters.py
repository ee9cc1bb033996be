"""Dead letters, as their page shows them: those that are alike together. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from msgspec import Struct

from console import words
from console.traces import Trace, of_header
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.causes import alike, order_in
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.explain.explanation import Preview
from sagactl.oncall.jobs.job import Chosen, Verb
from sagactl.wording import masked
from services.shared.emails import hidden

# Of those that a plan is about.
SHOWN_AT_MOST: Final = 100
# Whose ids an address has room for.
CHOSEN_AT_MOST: Final = 200
# In an address.
ID: Final = "id"


class Wanted(NamedTuple):
    """Which letters: of all, those that all of this is true of. Empty means any."""

    queue: str = ""
    kind: str = ""
    type: str = ""
    text: str = ""
    # Those that were ticked, perhaps none; None where there was nothing to be ticked.
    ids: tuple[str, ...] | None = None

    def fits(self, letter: DeadLetter) -> bool:
        return (
            self.queue in {"", letter.queue}
            and self.kind in {"", letter.kind}
            and self.type in {"", letter.type}
            and (self.ids is None or letter.id in self.ids)
            and (not self.text or self.text in f"{letter.id} {letter.subject} {letter.trace} {letter.reason}")
        )


class Row(NamedTuple):
    letter: DeadLetter
    link: str
    # The order's page; empty where it is not about one.
    order: str
    reason: str
    # None where its headers do not tell, or not so that it can be read.
    first_failed: datetime | None


class Away(NamedTuple):
    """A letter that was discarded, and is kept."""

    row: Row
    at: datetime
    by: str
    why: str


class Shelf(NamedTuple):
    """Those of a queue, the latest first."""

    queue: str
    letters: tuple[Away, ...]
    # Where it is planned to restore all of them.
    restore: str


class Discards(Struct, frozen=True, kw_only=True):
    wanted: Wanted
    number: int
    shelves: tuple[Shelf, ...]
    # What can be chosen.
    queues: tuple[str, ...]
    kinds: tuple[str, ...]
    types: tuple[str, ...]


class Group(NamedTuple):
    """Those that were given up for the same cause, as far as words tell."""

    queue: str
    type: str
    kind: str
    reason: str
    first: datetime | None
    last: datetime | None
    rows: tuple[Row, ...]
    # Where it is planned what is to become of them: of all of their queue, type and kind.
    redrive: str
    discard: str


class Plan(Struct, frozen=True, kw_only=True):
    """What would be done, with which letters; and what tells later that they are the same."""

    verb: Verb
    wanted: Wanted
    number: int
    # Of those that were chosen one by one: how many are no dead letters any more.
    gone: int
    # The first of them.
    rows: tuple[Row, ...]
    # Where it is done.
    link: str
    digest: str
    # What the rules would do with the first of them, and how many of those.
    tally: tuple[tuple[str, int], ...]
    looked_at: int


class Page(Struct, frozen=True, kw_only=True):
    wanted: Wanted
    number: int
    groups: tuple[Group, ...]
    # What can be chosen.
    queues: tuple[str, ...]
    kinds: tuple[str, ...]
    types: tuple[str, ...]


class One(Struct, frozen=True, kw_only=True):
    """A letter's own page."""

    row: Row
    redrive: str
    discard: str
    body: str
    # None where it is about no order, or that could not be looked at.
    preview: Preview | None
    # None where its header does not tell.
    trace: Trace | None


def page(letters: Sequence[DeadLetter], wanted: Wanted, queues: Iterable[str]) -> Page:
    found = [letter for letter in letters if wanted.fits(letter)]
    return Page(
        wanted=wanted,
        number=len(found),
        groups=tuple(_groups(found)),
        queues=tuple(queues),
        kinds=tuple(sorted({letter.kind for letter in letters})),
        types=tuple(sorted({letter.type for letter in letters})),
    )


def discards(letters: Sequence[Discarded], wanted: Wanted, queues: Iterable[str]) -> Discards:
    found: dict[str, list[Away]] = {}
    for each in letters:
        if wanted.fits(each.letter):
            by = f"{each.by.kind} {each.by.id}"
            found.setdefault(each.queue, []).append(Away(_row(each.letter), each.at, by, hidden(each.reason)))
    return Discards(
        wanted=wanted,
        number=sum(map(len, found.values())),
        shelves=tuple(
            Shelf(queue, tuple(some), link_to_plan(Verb.RESTORE, wanted._replace(queue=queue)))
            for queue, some in found.items()
        ),
        queues=tuple(queues),
        kinds=tuple(sorted({each.letter.kind for each in letters})),
        types=tuple(sorted({each.letter.type for each in letters})),
    )


def plan(verb: Verb, wanted: Wanted, found: Sequence[DeadLetter], previews: Sequence[Preview]) -> Plan:
    return Plan(
        verb=verb,
        wanted=wanted,
        number=len(found),
        gone=max(0, len(wanted.ids or ()) - len(found)),
        rows=tuple(map(_row, found[:SHOWN_AT_MOST])),
        link=link_to_plan(verb, wanted),
        digest=digest(found),
        tally=tuple(Counter(preview.says for preview in previews).most_common()),
        looked_at=len(previews),
    )


def digest(letters: Iterable[DeadLetter]) -> str:
    return words.digest(f"{letter.queue}/{letter.id}" for letter in letters)


def link_to_plan(verb: Verb, wanted: Wanted) -> str:
    named = {name: value for name, value in wanted._asdict().items() if value and name != "ids"}
    said = urlencode([*named.items(), *((ID, each) for each in _said(wanted.ids))])
    return f"/letters/{verb}?{said}"


def _said(ids: tuple[str, ...] | None) -> tuple[str, ...]:
    """In an address: that none was ticked is an empty id, since no id at all means any letter."""
    return () if ids is None else ids or ("",)


def chosen(ids: Sequence[str] | None) -> tuple[str, ...] | None:
    """Of the ids in an address, those that were ticked. The form always sends an empty one beside them."""
    return None if ids is None else tuple(dict.fromkeys(filter(None, ids)))


def one(letter: DeadLetter, preview: Preview | None, jaeger: str = "") -> One:
    """Without secrets, and without addresses of customers. `jaeger`: where its pages are, if it has any."""
    this = Wanted(queue=letter.queue, ids=(letter.id,))
    return One(
        row=_row(letter),
        body=hidden(masked(letter.body)),
        preview=preview,
        trace=of_header(letter.trace, jaeger),
        redrive=link_to_plan(Verb.REDRIVE, this),
        discard=link_to_plan(Verb.DISCARD, this),
    )


def _groups(letters: Iterable[DeadLetter]) -> Iterable[Group]:
    """The largest first."""
    for each in alike(letters):
        queue, type_, kind, _ = each.cause
        chosen = Wanted(queue=queue, type=type_, kind=kind)
        plans = (link_to_plan(verb, chosen) for verb in (Verb.REDRIVE, Verb.DISCARD))
        yield Group(*each.cause, *each.span, tuple(map(_row, each.letters)), *plans)


def _row(letter: DeadLetter) -> Row:
    return Row(
        letter=letter,
        link=link_to(letter.queue, letter.id),
        order=order_of(letter),
        reason=hidden(letter.reason),
        first_failed=letter.first_failed,
    )


def link_to(queue: str, id_: str) -> str:
    """Others' ids may be any text: they are no part of a path."""
    return f"/letter?{urlencode({'queue': queue, 'id': id_})}"


def order_of(letter: DeadLetter | Chosen) -> str:
    """The page of the order that it is about; empty where it is about none."""
    order = order_in(letter)
    return f"/orders/{quote(order, safe='')}" if order else ""
