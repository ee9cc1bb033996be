"""The chain of an order's messages: each event that must exist, on each queue it is for, and where it is."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sagactl.oncall.explain import preview
from sagactl.oncall.explain.explanation import Hop, HopState, Outcome, Preview
from sagactl.oncall.explain.marks import CONSUMER, READ, Marks, Unsent
from sagactl.oncall.explain.sent import Sent, answers, asked_again, begun, expects_answer
from services.order.histories import QUEUE_OF
from services.shared.contract.events import CONSUMES, NOTIFICATIONS, PUBLISHES, Event
from services.shared.contract.identity import cause

# Event -> the queues on which something can be told of it.
QUEUES: Final[Mapping[str, list[str]]] = {
    event.type: [
        queue
        for service, queues in CONSUMES.items()
        if service in READ
        for queue, kinds in queues.items()
        if event in kinds
    ]
    for events in PUBLISHES.values()
    for event in events
}
# What those say whose books are not read: nothing else tells who said it.
UNREAD: Final = {
    event.type: service for service, events in PUBLISHES.items() if service not in READ for event in events
}
# Messages wait here before they are tried again.
DELAYS: Final = {"1": "1 s", "2": "10 s", "3": "60 s"}


class Link(NamedTuple):
    """An event that must exist, on one of its queues."""

    sent: Sent
    queue: str

    @property
    def name(self) -> str:
        return cause(self.queue, self.sent.id)


def links(marks: Marks) -> Iterator[Link]:
    """In the order in which they were caused, as far as that goes."""
    sent = list(begun(marks.case))
    while sent:
        each = sent.pop(0)
        for queue in _queues_of(marks, each):
            link = Link(each, queue)
            yield link
            sent[:0] = _answered(marks, link)


def _queues_of(marks: Marks, sent: Sent) -> Iterable[str]:
    for queue in QUEUES[sent.event.type]:
        # Whether some are told is a setting: where it is not known, a mark says that they were.
        letter = marks.letter(queue, sent.id) or marks.put_away(queue, sent.id)
        if (
            letter is not None
            or marks.handled(queue, sent.id)
            or marks.hears(queue, sent.event.type, sent.at)
        ):
            yield queue


def _answered(marks: Marks, link: Link) -> list[Sent]:
    """The answer that there is a mark of; else the likely one, once the message was handled."""
    possible = answers(marks, link.queue, link.sent.id, link.sent.event)
    later = [*asked_again(marks.case.payment, link.sent.event)]
    found = [each for each in possible if _is_anywhere(marks, each)]
    if found:
        return [*found, *later]
    must = marks.handled(link.queue, link.sent.id) and expects_answer(
        marks, link.queue, link.sent.id, link.sent.event
    )
    return [*possible[:1], *later] if must else later


def _is_anywhere(marks: Marks, sent: Sent) -> bool:
    return any(marks.is_anywhere(queue, sent.id) for queue in QUEUES[sent.event.type])


# --- where they are ---------------------------------------------------------------------------------------


def hops(marks: Marks) -> tuple[Hop, ...]:
    chain = list(links(marks))
    known = {link.name for link in chain}
    answered = {link.sent.cause for link in chain if link.sent.publisher != "order"}
    found = [_hop(marks, link, answered=link.name in answered) for link in chain]
    publishers = {link.sent.id: link.sent.publisher for link in chain}
    return (*_from_outside(marks, known), *found, *_strangers(marks, known, publishers))


def _hop(marks: Marks, link: Link, *, answered: bool) -> Hop:
    sent, queue = link
    state, reason = _place(marks, queue, sent.id, sent.event, answered=answered)
    return Hop(
        id=sent.id,
        type=sent.event.type,
        publisher=sent.publisher,
        queue=queue,
        consumer=CONSUMER[queue],
        state=state,
        cause=sent.cause,
        at=_at(marks, queue, sent.id),
        sent_at=sent.at,
        reason=reason,
        redrive=_redrive(marks, queue, sent.id),
    )


def _place(
    marks: Marks, queue: str, id_: str, event: Event, *, answered: bool
) -> tuple[HopState, str | None]:
    """Where it is, and what there is to say about that: by its own marks, or else by those of its queue."""
    letter = marks.letter(queue, id_)
    if marks.handled(queue, id_) or answered:
        return HopState.DONE, f"a copy of it is a dead letter: {letter.reason}" if letter else None
    if letter is not None:
        return HopState.DEAD_LETTER, letter.reason
    if (unsent := marks.in_outbox(id_)) is not None:
        return HopState.IN_OUTBOX, _in_outbox(unsent)
    if (discarded := marks.put_away(queue, id_)) is not None:
        return HopState.DISCARDED, discarded.reason
    return _unmarked(marks, queue, id_, event)


def _unmarked(marks: Marks, queue: str, id_: str, event: Event) -> tuple[HopState, str | None]:
    if not marks.remembers(queue):
        return HopState.CANNOT_BE_TOLD, f"{CONSUMER[queue]} does not remember so far back"
    would = preview.of_event(marks, queue, id_, event)
    if would.outcome is Outcome.NOTHING:
        return HopState.WITHOUT_EFFECT, None
    if waiting := list(marks.places(queue)):
        return HopState.ON_ITS_WAY, _waits(waiting)
    if unread := marks.unread(queue):
        return HopState.ON_ITS_WAY, f"may be one of {unread} dead letters of {queue} that could not be read"
    if marks.moving:
        return HopState.ON_ITS_WAY, "it moved while it was looked at"
    return HopState.MISSING, "in no outbox, no queue and no dead letter, and never handled"


def _waits(places: Sequence[tuple[str, int]]) -> str:
    """Who is in a queue cannot be told without taking it out: it may be any of those that are there."""
    said = []
    for name, number in places:
        delay = DELAYS.get(name.rpartition(".retry.")[2])
        again = f", tried again within {delay}" if delay else ""
        said.append(f"{'the one' if number == 1 else f'one of {number}'} in {name}{again}")
    return f"may be {' or '.join(said)}"


def _at(marks: Marks, queue: str, id_: str) -> datetime | None:
    """When it was handled, where a mark with a time says so; else when it came to where it is."""
    order = marks.case.order
    times = [entry.at for entry in (order.history if order else ()) if entry.event_id == id_]
    times += [each.at for each in marks.case.notifications if (queue, each.id) == (NOTIFICATIONS, id_)]
    unsent = marks.in_outbox(id_)
    return times[0] if times else unsent.since if unsent else None


def _redrive(marks: Marks, queue: str, id_: str) -> Preview | None:
    letter = marks.letter(queue, id_) or marks.put_away(queue, id_)
    return preview.of_letter(marks, letter) if letter is not None else None


# --- what no rule of today's made -------------------------------------------------------------------------


def _from_outside(marks: Marks, known: Collection[str]) -> Iterator[Hop]:
    """What the order took from a service whose books are not read, from other systems or an older release."""
    for entry in marks.case.order.history if marks.case.order else ():
        if entry.event not in QUEUE_OF or cause(QUEUE_OF[entry.event], entry.event_id) in known:
            continue
        yield Hop(
            id=entry.event_id,
            type=entry.event,
            publisher=UNREAD.get(entry.event, "unknown"),
            queue=QUEUE_OF[entry.event],
            consumer="order",
            state=HopState.DONE,
            at=entry.at,
        )


def _strangers(marks: Marks, known: Collection[str], publishers: Mapping[str, str]) -> Iterator[Hop]:
    """Letters, dead or discarded, and events in outboxes that are about the order, and that its history does
    not explain.

    `publishers`, by the id, of what it does explain, on other queues.
    """
    letters = {cause(each.queue, each.id): (HopState.DISCARDED, each) for each in reversed(marks.discarded)}
    letters |= {cause(each.queue, each.id): (HopState.DEAD_LETTER, each) for each in marks.letters}
    for name, (state, letter) in letters.items():
        if name not in known:
            yield Hop(
                id=letter.id,
                type=letter.type,
                publisher=publishers.get(letter.id) or UNREAD.get(letter.type, "unknown"),
                queue=letter.queue,
                consumer=CONSUMER[letter.queue],
                state=state,
                reason=letter.reason,
                redrive=preview.of_letter(marks, letter) if CONSUMER[letter.queue] in READ else None,
            )
    for unsent in marks.unsent:
        for queue in QUEUES.get(unsent.type, ()):
            if marks.hears(queue, unsent.type, unsent.since) and cause(queue, unsent.id) not in known:
                yield Hop(
                    id=unsent.id,
                    type=unsent.type,
                    publisher=unsent.service,
                    queue=queue,
                    consumer=CONSUMER[queue],
                    state=HopState.IN_OUTBOX,
                    at=unsent.since,
                    reason=_in_outbox(unsent),
                )


def _in_outbox(unsent: Unsent) -> str:
    return f"in the outbox of {unsent.service} since {unsent.since:%H:%M:%S} UTC"
