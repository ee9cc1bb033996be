"""One order as its page shows it: the verdict, the drawing, the four books side by side. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from console.commands import page_of
from console.lanes import Command, Drawing, draw
from console.letters import link_to
from console.mails import link_to_resend
from console.rights import Offer, offers
from console.traces import Trace, of_order
from console.verdicts import MOODS
from console.words import amount, elapsed, shortened
from sagactl.oncall.explain.explanation import OPEN, Action, Explanation, Hop, HopState
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.explain.screen import WORDS
from sagactl.oncall.explain.table import actions
from sagactl.oncall.invariants import Case
from services.fulfilment.shipment import Shipment
from services.notification.domain import NotificationState
from services.order.model import HistoryEntry, Order
from services.shared.emails import hidden
from services.shared.http.auth import User

# A shape beside each word, so that no state is told by its colour alone.
SHAPES: Final[Mapping[HopState, str]] = {
    HopState.DONE: "✓",
    HopState.ON_ITS_WAY: "→",
    HopState.IN_OUTBOX: "◔",
    HopState.DEAD_LETTER: "✖",
    HopState.DISCARDED: "⊘",
    HopState.MISSING: "‼",
    HopState.WITHOUT_EFFECT: "·",
    HopState.CANNOT_BE_TOLD: "?",
}
# Of which the reason is shown.
TOLD: Final = OPEN | {HopState.CANNOT_BE_TOLD, HopState.DONE}


class Step(NamedTuple):
    """A message, as the list below the drawing has it."""

    hop: Hop
    shape: str
    word: str
    reason: str
    # Where the letter can be looked at, of a dead one.
    letter: str


class Fact(NamedTuple):
    name: str
    value: str
    # Of a mail, where it is sent once more.
    resend: str = ""


class Book(NamedTuple):
    """What one service has of the order."""

    service: str
    facts: tuple[Fact, ...]


class Entry(NamedTuple):
    """A step of the order's history."""

    at: datetime
    after: str
    event: str
    status: str
    by: str
    reason: str


class Advice(NamedTuple):
    says: str
    # Where it is done, or seen; empty where that has no page here.
    link: str
    # At a terminal.
    command: str


class Page(Struct, frozen=True, kw_only=True):
    # None where the broker could not be asked: the books alone do not tell where messages are.
    told: Explanation | None
    mood: str
    # Why that is the verdict.
    because: str
    advice: tuple[Advice, ...]
    # None where the order service does not know it.
    status: str | None
    total: str
    customer: str
    since: datetime | None
    steps: tuple[Step, ...]
    drawing: Drawing | None
    books: tuple[Book, ...]
    timeline: tuple[Entry, ...]
    offers: tuple[Offer, ...]
    traces: tuple[Trace, ...]


def page(
    told: Explanation | None, case: Case, person: User, jaeger: str = "", now: datetime | None = None
) -> Page:
    """`jaeger`: where its pages are, if there are some. `now`: of what nothing is told."""
    order = case.order
    return Page(
        told=told,
        mood=MOODS[told.verdict] if told else "",
        because=hidden(told.because) if told else "",
        advice=tuple(_advice(each.says, each.command or "") for each in told.advice) if told else (),
        status=order.status if order else None,
        total=amount(order.total, order.currency) if order else "",
        customer=f"{order.customer_id}, {shortened(order.email)}" if order else "",
        since=order.state_since if order else None,
        steps=tuple(_step(hop) for hop in told.hops) if told else (),
        drawing=draw(told, commands(case)) if told and told.hops else None,
        books=tuple(_books(case)),
        timeline=tuple(_timeline(order)) if order else (),
        offers=tuple(offers(person, told.actions if told else allowed(case, now))),
        traces=of_order(order, jaeger) if order else (),
    )


def allowed(case: Case, now: datetime | None) -> Sequence[Action]:
    """What may be done by the table, which asks nothing but the books: wherever the order's messages are."""
    return tuple(actions(Marks(case=case, at=now))) if now else ()


def _advice(says: str, command: str) -> Advice:
    return Advice(says, page_of(command), command)


def commands(case: Case) -> dict[str, Command]:
    """By the ids: what no message caused. Of the order messages too: who looks knows which it was."""
    steps, said = case.order.history if case.order else (), case.shipment.commands if case.shipment else ()
    found = {each.event_id: Command("order", each.event, each.at) for each in steps}
    return found | {each.event_id: Command("fulfilment", each.event, each.at) for each in said}


def _step(hop: Hop) -> Step:
    dead = hop.state is HopState.DEAD_LETTER
    return Step(
        hop=hop,
        shape=SHAPES[hop.state],
        word=WORDS[hop.state].lower(),
        reason=hidden(hop.reason or "") if hop.state in TOLD else "",
        letter=link_to(hop.queue, hop.id) if dead else "",
    )


# --- books ------------------------------------------------------------------------------------------------


def _books(case: Case) -> Iterator[Book]:
    for service, facts in (
        ("order", _of_order(case)),
        ("inventory", _of_inventory(case)),
        ("payment", _of_payment(case)),
        ("notification", _of_notification(case)),
    ):
        yield Book(service, tuple(facts) or (Fact("knows", "nothing of it"),))
    # Of a shop that has the service, and only of what it knows.
    if case.shipment is not None:
        yield Book("fulfilment", tuple(_of_fulfilment(case.shipment)))


def _of_order(case: Case) -> Iterator[Fact]:
    order = case.order
    if order is None:
        return
    yield Fact("state", order.status if order.settled else f"{order.status}, in progress")
    if order.cancellation_reason:
        yield Fact("why", order.cancellation_detail or order.cancellation_reason)
    for line in order.lines:
        name = f"{line.name} ({line.product_id})" if line.name else line.product_id
        yield Fact("line", f"{line.quantity} of {name} at {amount(line.price, order.currency)}: {line.state}")
    for refund in order.given_back:
        why = f": {refund.refusal}" if refund.refusal else ""
        yield Fact("refund", f"{amount(refund.amount, order.currency)} {refund.state}{why}")
    for odd in order.attention:
        yield Fact("attention", f"{odd.event}: {odd.reason}")


def _of_inventory(case: Case) -> Iterator[Fact]:
    reservation = case.reservation
    if reservation is None:
        return
    for line in reservation.lines:
        back = f", {line.returned} came back" if line.returned else ""
        yield Fact("line", f"{line.quantity} of {line.product_id}: {line.state}{back}")
    if reservation.tombstone:
        yield Fact("released", reservation.tombstone)
    for odd in reservation.attention:
        yield Fact("attention", f"{odd.event}: {odd.reason}")


def _of_payment(case: Case) -> Iterator[Fact]:
    payment = case.payment
    if payment is not None:
        yield Fact("state", f"{payment.state} {amount(payment.amount, payment.currency)}".strip())
        if payment.reason:
            yield Fact("why", payment.reason)
        for odd in payment.attention:
            yield Fact("attention", f"{odd.event}: {odd.reason}")
    for entry in case.ledger:
        yield Fact("gateway", f"{entry.kind} {entry.status} {amount(entry.amount, entry.currency)}")


def _of_notification(case: Case) -> Iterator[Fact]:
    for each in sorted(case.notifications, key=lambda each: each.at):
        mail = "" if each.state is NotificationState.RECORDED else f", mail {each.state}"
        why = f": {each.reason}" if each.reason else ""
        yield Fact("told", f"{each.kind}{mail}{why}", link_to_resend(each))


def _of_fulfilment(shipment: Shipment) -> Iterator[Fact]:
    yield Fact("state", shipment.state)
    for each in shipment.products:
        name = f"{each.name} ({each.product_id})" if each.name else each.product_id
        yield Fact("goods", f"{each.quantity} of {name}")
    if shipment.carrier or shipment.tracking:
        yield Fact("by", f"{shipment.carrier or ''} {shipment.tracking or ''}".strip())
    if shipment.refusal:
        yield Fact("why", shipment.refusal)
    for odd in shipment.attention:
        yield Fact("attention", f"{odd.event}: {odd.reason}")


def as_json(told: Explanation) -> bytes:
    """As `sagactl explain -o json` prints it, but that addresses are hidden, as on the page."""
    return msgspec.json.format(msgspec.json.encode(_without_mail(msgspec.to_builtins(told))), indent=2)


def _without_mail(value: object) -> object:
    match value:
        case str():
            return hidden(value)
        case Mapping():
            return {name: _without_mail(each) for name, each in value.items()}
        case list() | tuple():
            return [*map(_without_mail, value)]
        case _:
            return value


# --- history ----------------------------------------------------------------------------------------------


def _timeline(order: Order) -> Iterator[Entry]:
    first = order.history[0].at if order.history else order.created_at
    for each in order.history:
        moved = each.from_ not in {None, each.to}
        yield Entry(
            at=each.at,
            after=elapsed(each.at - first),
            event=each.event,
            status=f"{each.from_} → {each.to}" if moved else each.to,
            by=_by(each),
            reason=each.reason or "",
        )


def _by(entry: HistoryEntry) -> str:
    if entry.actor is None:
        return ""
    roles = f" ({', '.join(entry.actor.roles)})" if entry.actor.roles else ""
    return f"{entry.actor.kind} {entry.actor.id}{roles}"
