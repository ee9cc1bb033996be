"""The fewest steps that make an order's books sound, found by rehearsing them. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Final, NamedTuple

from msgspec import structs

from sagactl.oncall import invariants
from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import UNDER_WAY, Explanation, Hop, HopState, Verdict
from sagactl.oncall.explain.hops import links
from sagactl.oncall.explain.marks import Letter, Marks, asked_again_at
from sagactl.oncall.invariants import Case, Held
from sagactl.oncall.live.judging import STILL, Terms, is_still
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain, Step
from sagactl.oncall.repair.rehearsal import Delivery, FailsError, Rehearsal
from sagactl.wording import command_line
from services.order.domain import COMPENSABLE
from services.shared.contract import wire
from services.shared.contract.events import Event, OrderConfirmed

# An order's chain has some ten messages; losing more than three of them that matter is no accident.
STEPS_AT_MOST: Final = 3


class Wanted(NamedTuple):
    """A step that may be taken, and what it delivers; None for a command."""

    step: Step
    delivery: Delivery | None


def plan(marks: Marks, held: Held, still: timedelta = STILL) -> Plan:
    """`held`: what all reservations say of the order's products, when `marks.stock` was read. What anybody
    has touched less than `still` ago is left alone: the broker's counts are older, and a charge takes long.
    """
    told = explain(marks)
    found = _plan(marks, told, held, still)
    return structs.replace(found, left=tuple(_left(told)))


def _plan(marks: Marks, told: Explanation, held: Held, still: timedelta) -> Plan:
    case = marks.case
    wrong = tuple(dict.fromkeys(f"{each.invariant.label}: {each.what}" for each in _wrong(marks)))
    if case.unreadable:
        says = "what cannot be read is not rehearsed: see docs/check.md"
        return Plan(order=case.id, ends=Ends.BY_HAND, findings=wrong, says=says)
    asked_again = asked_again_at(marks) is not None and told.verdict is Verdict.WAITING
    if marks.moving or asked_again or any(hop.state in UNDER_WAY for hop in told.hops):
        return Plan(order=case.id, ends=Ends.MOVING, findings=wrong, says=told.because)
    wanted = list(_wanted(marks, told))
    now = Rehearsal(marks, held)
    if now.sound and not any(each.delivery for each in wanted):
        ends = Ends.BY_HAND if wrong else Ends.SOUND
        return Plan(order=case.id, ends=ends, findings=wrong, says=_advice(told, wrong))
    found = _fewest(marks, held, wanted)
    if found is None:
        return Plan(order=case.id, ends=Ends.BY_HAND, findings=wrong, says=_advice(told, wrong))
    if not is_still(case, Terms.at(marks.at, still)):
        seconds = f"{still.total_seconds():g}"
        says = f"somebody has touched it less than {seconds} s ago: look again"
        return Plan(order=case.id, ends=Ends.MOVING, findings=wrong, says=says)
    steps, after = found
    return Plan(
        order=case.id, ends=Ends.MENDED, findings=wrong, steps=tuple(steps), says=_leads_to(case, after)
    )


def _wrong(marks: Marks) -> Iterator[invariants.Finding]:
    yield from marks.wrong
    yield from invariants.contradictions(marks.case)


def _fewest(marks: Marks, held: Held, wanted: Sequence[Wanted]) -> tuple[Sequence[Step], Case] | None:
    """Messages before commands, and as few as do: those that come first in the chain bring the others."""
    for number in range(1, min(STEPS_AT_MOST, len(wanted)) + 1):
        for some in combinations(wanted, number):
            after = _rehearsed(marks, held, some)
            if after is not None:
                return [each.step for each in some], after
    return None


def _rehearsed(marks: Marks, held: Held, some: Sequence[Wanted]) -> Case | None:
    """The case afterwards; None where these steps do not make it sound."""
    rehearsal = Rehearsal(marks, held)
    try:
        for each in some:
            if each.delivery is None:
                rehearsal.compensate()
            else:
                rehearsal.deliver(each.delivery)
    except FailsError:
        return None
    return rehearsal.case if rehearsal.sound and _nothing_lost(marks, rehearsal.case) else None


def _nothing_lost(marks: Marks, after: Case) -> bool:
    """No message is missing any more that somebody misses, were this all that there is."""
    told = explain(_as_after(marks, after))
    return not told.missing or told.verdict is Verdict.SETTLED


def _as_after(marks: Marks, after: Case) -> Marks:
    return Marks(
        case=after,
        at=marks.at,
        stock=marks.stock,
        discarded=marks.discarded,
        auto_compensation=marks.auto_compensation,
        ships_since=marks.ships_since,
        stale_after=marks.stale_after,
    )


# --- what may be done -------------------------------------------------------------------------------------


def _wanted(marks: Marks, told: Explanation) -> Iterator[Wanted]:
    """Only what the tables allow: messages that must exist, under their ids, and the sweep's command.

    Not what somebody discarded: whether that was right is for people to say.
    """
    events = {link.name: link.sent.event for link in links(marks)}
    for hop in told.hops:
        if hop.state is HopState.DEAD_LETTER:
            yield from _redriven(hop, marks.letter(hop.queue, hop.id))
        elif hop.state is HopState.MISSING and _may_be_sent_again(marks, events[hop.name]):
            event = events[hop.name]
            step = SendAgain(hop.queue, hop.id, hop.type, wire.encode(event).decode())
            yield Wanted(step, Delivery(hop.queue, hop.id, event))
    order = marks.case.order
    if order is not None and order.status in COMPENSABLE:
        seconds = int((marks.at - order.state_since).total_seconds())
        yield Wanted(Compensate(order.status, max(0, seconds)), None)


def _redriven(hop: Hop, letter: Letter | None) -> Iterator[Wanted]:
    try:
        event = wire.decode(hop.queue, letter.body) if letter else None
    except wire.InvalidMessage:
        return  # it would be as dead as before
    if event is not None:
        yield Wanted(Redrive(hop.queue, hop.id, hop.type), Delivery(hop.queue, hop.id, event))


def _may_be_sent_again(marks: Marks, event: Event) -> bool:
    """Of an order that was confirmed nobody knows the card any more: the charge is asked for again only where
    the gateway knows its key, and answers what it did.
    """
    if not isinstance(event, OrderConfirmed):
        return True
    return any(entry.id == f"{marks.case.id}:capture" for entry in marks.case.ledger)


# --- in words ---------------------------------------------------------------------------------------------


def _leads_to(before: Case, after: Case) -> str:
    was = before.order.status if before.order else "unknown"
    now = after.order.status if after.order else "unknown"
    return (
        f"the order stays {now}, and all books agree"
        if was == now
        else f"{was} -> {now}, and all books agree"
    )


def _left(told: Explanation) -> Iterator[str]:
    for hop in told.hops:
        if hop.state is HopState.DISCARDED and not hop.changes_nothing:
            restored = command_line("letters restore", hop.queue, hop.id)
            yield f"{hop.type} {hop.name} was {hop.reason}; {restored} takes it back"


def _advice(told: Explanation, wrong: Sequence[str]) -> str:
    if not wrong and told.verdict is Verdict.SETTLED:
        return "there is nothing to do"
    commands = [each.command for each in told.advice if each.command]
    look = f"; see {commands[0]}" if commands else ""
    return f"no message and no command that the tables allow makes its books sound{look}"
