"""Whether this release would have decided an order's history as it was: the same states, the same events.

States are in the history, and events leave marks: by their ids, which are made of their causes, their answers
in the history and the notifications of the order tell which step published what. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Final, NamedTuple

from sagactl.oncall.explain.hops import QUEUES
from sagactl.oncall.explain.table import ANSWERS
from services.order.histories import COMMANDS, Difference, Published, again, caused_by, is_known, written
from services.order.model import Order
from services.shared.contract.events import (
    CONSUMES,
    INVENTORY_EVENTS,
    NOTIFICATIONS,
    PUBLISHES,
    PaymentFailed,
    StockReleased,
)
from services.shared.contract.identity import cause, event_id

# What is told to customers leaves a mark that can be counted on, once it has had the time to arrive.
ARRIVES_WITHIN: Final = timedelta(minutes=10)
TOLD: Final = frozenset(event.type for event in CONSUMES["notification"][NOTIFICATIONS])
_OURS: Final = tuple(event.type for event in PUBLISHES["order"])
# More than any step publishes.
_PLACES: Final = 5


class Evidence(NamedTuple):
    """What is known of an order's past. `told` are the ids of its notifications, each that of its event."""

    order: Order
    told: frozenset[str]
    # By the database's clock.
    at: datetime


def judge(evidence: Evidence) -> Difference | None:
    """The first step that would be decided otherwise."""
    order = evidence.order
    told = again(order)
    if told.difference is not None:
        return told.difference
    found = [*_published_otherwise(evidence, told.published), *_never_told(evidence, told.published)]
    return min(found, key=lambda each: each.step, default=None)


def _published_otherwise(evidence: Evidence, published: Sequence[Published]) -> Iterator[Difference]:
    """Events that a step must have published, because they were told or answered, and would not publish."""
    order, expected = evidence.order, {each.id for each in published}
    answered = {id_ for each in published for id_ in _answers(each.id, each.event.type)}
    came = {entry.event_id for entry in order.history if entry.event not in COMMANDS}
    unexplained = (evidence.told - expected) | (came - answered)
    # Of what came from other systems no step is the cause.
    causes = _causes(order) if unexplained else {}
    for id_ in sorted(unexplained & causes.keys()):
        number, type_, event = causes[id_]
        entry = order.history[number - 1]
        now = ", ".join(each.event.type for each in published if each.step == number) or "nothing"
        recorded = f"{written(entry)}, publishes {type_} as {event}"
        yield Difference(number, entry.event, entry.event_id, recorded, f"publishes {now}, not that id")


class _Cause(NamedTuple):
    """The step that published an event, whatever the table."""

    step: int
    type: str
    id: str


def _causes(order: Order) -> Mapping[str, _Cause]:
    """By the ids of all that any step may have published, and of the answers."""
    found = dict[str, _Cause]()
    for number, entry in enumerate(order.history, start=1):
        for type_, place in product(_OURS, range(_PLACES)) if is_known(entry.event) else ():
            id_ = event_id(caused_by(entry), type_, place)
            found |= dict.fromkeys((id_, *_answers(id_, type_)), _Cause(number, type_, id_))
    return found


def _answers(id_: str, type_: str) -> Iterator[str]:
    """The ids that answers to the order's event have, and answers to those: inventory may give stock back by
    itself, when it hears of a payment that failed.
    """
    for queue, answer in product(QUEUES[type_], ANSWERS.get(type_, ())):
        answered = event_id(cause(queue, id_), answer.type, 0)
        yield answered
        if answer is PaymentFailed:
            yield event_id(cause(INVENTORY_EVENTS, answered), StockReleased.type, 0)


def _never_told(evidence: Evidence, published: Sequence[Published]) -> Iterator[Difference]:
    """What would be told to the customer, and never was."""
    order = evidence.order
    if not order.settled or evidence.at - order.updated_at < ARRIVES_WITHIN:
        return
    for each in published:
        if each.event.type in TOLD and each.id not in evidence.told:
            entry = order.history[each.step - 1]
            yield Difference(
                each.step,
                entry.event,
                entry.event_id,
                f"{written(entry)}; the customer was told of no {each.event.type} {each.id}",
                f"publishes {each.event.type}",
            )
