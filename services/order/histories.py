"""Histories: where their events came from, and what today's table makes of them.

Bodies of what came are not kept, so whatever may have come is tried: of it one has to lead, step by step, to
what is written, and to the order as it stands. Where nothing does, the history was written by another table.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from services.order import saga
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import HistoryEntry, Order
from services.order.recalling import as_placed, odd_capture, succeeded, triggers
from services.order.steps import Trigger
from services.shared.contract import events
from services.shared.contract.decisions import Decision, Message, Premature, Refused, Verdict
from services.shared.contract.events import CONSUMES, Event
from services.shared.contract.identity import HTTP, cause, event_id
from services.shared.contract.table import NEW, Contradiction

COMMANDS: Final = {each.type for each in (CreateOrder, CancelOrder, RequestRefund, SettleOutside, TimeOut)}
# Event -> the order's queue that it comes by.
QUEUE_OF: Final = {event.type: queue for queue, kinds in CONSUMES["order"].items() for event in kinds}


def is_known(event: str) -> bool:
    """Whether this release has it."""
    return event in COMMANDS or event in QUEUE_OF


def source_of(event: str) -> str:
    return HTTP if event in COMMANDS else QUEUE_OF[event]


def caused_by(entry: HistoryEntry) -> str:
    return cause(source_of(entry.event), entry.event_id)


# --- decided anew -----------------------------------------------------------------------------------------


class Difference(Struct, frozen=True, rename="camel"):
    """A step that today's table does not take as it was taken."""

    # Of the history, from 1; of what left no entry, the step before it.
    step: int
    event: str
    event_id: str
    recorded: str
    decided: str


class Published(NamedTuple):
    """What a step of the history publishes by today's table."""

    step: int
    id: str
    event: Event


class Again(NamedTuple):
    """Either a difference, or all that was published."""

    published: tuple[Published, ...] = ()
    difference: Difference | None = None


def again(order: Order) -> Again:
    """The order's history, decided anew from its first step on: up to the first difference."""
    return _Search(order).found()


class _Search:
    """Through everything that may have come. Nearly always that is one thing a step."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._deepest: Difference | None = None

    def found(self) -> Again:
        found = self._after(0, as_placed(self._order), odd_capture(self._order))
        return Again(difference=self._deepest) if found is None else Again(found)

    def _after(self, number: int, before: Order, odd: Contradiction | None) -> tuple[Published, ...] | None:
        """What is published from here on, by a way that leads to what is written; None where none does."""
        if number == len(self._order.history):
            return self._at_the_end(number, before, odd)
        entry = self._order.history[number]
        if not is_known(entry.event):
            nothing = "nothing: this release does not know it"
            self._note(number + 1, entry.event, entry.event_id, written(entry), nothing)
            return None
        # In the same instant either may have been first.
        if odd is not None and odd.at <= entry.at:
            found = self._with(odd, number, before)
            if found is not None or odd.at < entry.at:
                return found
        for trigger in triggers(self._order, before, entry):
            decided = _decided(number, before, _message(entry.event_id, entry.at, trigger))
            if (words := _unlike(self._order, before, decided, entry)) is not None:
                self._note(number + 1, entry.event, entry.event_id, *words)
                continue
            rest = self._after(number + 1, decided.after, odd)
            if rest is not None:
                return (*_published(number + 1, entry, decided.events), *rest)
        return None

    def _with(self, odd: Contradiction, number: int, before: Order) -> tuple[Published, ...] | None:
        """It left no entry, but what was captured is remembered."""
        decided = _decided(number, before, _message(odd.event_id, odd.at, succeeded(self._order)))
        if decided.verdict is not Verdict.ATTENTION:
            self._note(number, odd.event, odd.event_id, f"attention: {odd.reason}", decided.says)
            return None
        return self._after(number, decided.after, None)

    def _at_the_end(
        self, number: int, state: Order, odd: Contradiction | None
    ) -> tuple[Published, ...] | None:
        if odd is not None:
            return self._with(odd, number, state)
        stands, comes_to = _outcome(self._order), _outcome(state)
        if stands == comes_to:
            return ()
        last = self._order.history[-1] if self._order.history else None
        self._note(number, last.event if last else "", last.event_id if last else "", stands, comes_to)
        return None

    def _note(self, step: int, event: str, id_: str, recorded: str, decided: str) -> None:
        """The way that came furthest is the likeliest, and its first attempt."""
        if self._deepest is None or step > self._deepest.step:
            self._deepest = Difference(step, event, id_, recorded, decided)


class _Decided(NamedTuple):
    """What the table does, and how to say it."""

    after: Order
    verdict: Verdict | None
    events: tuple[Event, ...]
    says: str


def _decided(number: int, before: Order, message: Message) -> _Decided:
    state = NEW if number == 0 else before.status
    if (state, type(message.body)) not in saga.SAGA.cells:
        return _Decided(before, None, (), f"nothing: {state} has no such row")
    try:
        decision = saga.create(before, message) if state is NEW else saga.advance(before, message)
    except Premature as error:
        return _Decided(before, None, (), f"too early: {error}")
    except Refused as error:
        return _Decided(before, None, (), f"refused: {error}")
    after = next((each for each in decision.changed if isinstance(each, Order)), before)
    return _Decided(after, decision.verdict, decision.events, _says(after, decision))


def _says(after: Order, decision: Decision) -> str:
    if decision.verdict is Verdict.ATTENTION:
        return f"attention: {after.attention[-1].reason}"
    if decision.verdict is Verdict.DUPLICATE:
        return "nothing"
    emits = ", ".join(event.type for event in decision.events)
    way = written(after.history[-1])
    return f"{way}, publishes {emits}" if emits else way


def written(entry: HistoryEntry) -> str:
    """A step, as it is in the history."""
    lines = ", ".join(f"{change.product_id} {change.to}" for change in entry.lines)
    return f"{entry.from_ or NEW} -> {entry.to}" + (f", lines {lines}" if lines else "")


def _unlike(order: Order, before: Order, decided: _Decided, entry: HistoryEntry) -> tuple[str, str] | None:
    """What is written and what is decided, unless that is the same."""
    after = decided.after
    there = len(after.history) > len(before.history)
    asked, asks = _asks(order, entry), _asks(after, entry)
    made = after.history[-1] if there else None
    if made and (made.from_, made.to, made.lines, asks) == (entry.from_, entry.to, entry.lines, asked):
        return None
    way = written(entry)
    return f"{way}, publishes {events.ReleaseStock.type}" if asked else way, decided.says


def _asks(order: Order, entry: HistoryEntry) -> bool:
    """Whether the step asked for stock to be given back: the order knows which steps did."""
    return any(release.asked_by == entry.event_id for release in order.releases)


def _published(step: int, entry: HistoryEntry, emitted: Sequence[Event]) -> Iterator[Published]:
    of = caused_by(entry)
    for index, event in enumerate(emitted):
        yield Published(step, event_id(of, event.type, index), event)


def _outcome(order: Order) -> str:
    """What an order has come to, as far as its steps decide on it."""
    taken = f"{order.capture.amount} {order.capture.currency}" if order.capture else "nothing"
    answered = sum(each.answered_by is not None for each in order.releases)
    said = [
        str(order.status),
        *(f"{line.product_id} {line.state}" for line in order.lines),
        f"total {order.total}",
        f"{taken} captured",
        f"refund {order.refund}",
        f"{len(order.releases)} releases, {answered} answered",
    ]
    if order.cancellation_reason:
        said.append(order.cancellation_reason)
    return ", ".join(said)


def _message(id_: str, at: datetime, trigger: Trigger) -> Message:
    return Message(id=id_, source=source_of(trigger.type), body=trigger, at=at)
