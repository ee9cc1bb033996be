"""Queues and outboxes, as their page shows them: how much waits where, and since when. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from console.rates import Rates, rates
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.status.standing import Backlog, Depth, Part, Status, Unbound, gaps, of_node, waited
from sagactl.oncall.waits import Notes
from services.shared.contract.events import EXCHANGE

SHOWN: Final = frozenset({Part.QUEUES, Part.BINDINGS, Part.NODES, Part.OUTBOXES})


class Row(NamedTuple):
    depth: Depth
    # To what it is not bound, or one of its retry queues or dead letters, in words.
    not_bound: tuple[str, ...]
    # For how long at least its oldest message waits; empty where none does that the broker would notice.
    waits: str
    # The page of its dead letters; empty where it has none.
    link: str
    # When the one that has been dead for longest failed first; None where nobody can tell.
    dead_since: datetime | None
    # None where the broker has noted nothing of it.
    rates: Rates | None


class Page(Struct, frozen=True, kw_only=True):
    # None while they are unseen; the same below.
    queues: tuple[Row, ...] | None
    outboxes: tuple[Backlog, ...] | None
    # What could not be seen, a sentence for each reason.
    gaps: tuple[str, ...]
    # What is wrong of the broker, a sentence each.
    troubles: tuple[str, ...]


def page(status: Status, letters: Iterable[DeadLetter], notes: Mapping[str, Notes]) -> Page:
    """`notes`: by queue, what the broker has noted of the last ten minutes."""
    unseen = [each for each in status.unseen if each.part in SHOWN]
    no_outbox = any(each.part is Part.OUTBOXES for each in unseen)
    since = _oldest(letters)
    not_bound = _not_bound(status.unbound)
    rows = tuple(_row(each, not_bound, since, notes) for each in status.queues or ())
    return Page(
        queues=None if status.queues is None else rows,
        outboxes=None if no_outbox and not status.outboxes else status.outboxes,
        gaps=tuple(gaps(unseen)),
        troubles=tuple(sentence for node in status.nodes for sentence in of_node(node)),
    )


def _not_bound(unbound: Iterable[Unbound]) -> dict[str, list[str]]:
    """By the queue whose row it is."""
    found: dict[str, list[str]] = {}
    for each in unbound:
        said = [f"not bound to {key}" for key in each.keys]
        if each.exchange != EXCHANGE:
            said = [f"{each.queue} not bound to {each.exchange}"]
        found.setdefault(each.of, []).extend(said)
    return found


def _oldest(letters: Iterable[DeadLetter]) -> dict[str, datetime]:
    """By queue."""
    times: dict[str, list[datetime]] = {}
    for letter in letters:
        if letter.first_failed is not None:
            times.setdefault(letter.queue, []).append(letter.first_failed)
    return {queue: min(some) for queue, some in times.items()}


def _row(
    depth: Depth,
    not_bound: Mapping[str, Sequence[str]],
    since: Mapping[str, datetime],
    notes: Mapping[str, Notes],
) -> Row:
    link = f"/letters?{urlencode({'queue': depth.queue})}" if depth.dead else ""
    noted = notes.get(depth.queue)
    fast = None if noted is None else rates(noted)
    return Row(
        depth, tuple(not_bound.get(depth.queue, ())), waited(depth), link, since.get(depth.queue), fast
    )
