"""The one function: from what was read about an order to what there is to say about it. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from sagactl.oncall import invariants
from sagactl.oncall.explain import advice
from sagactl.oncall.explain.explanation import (
    OPEN,
    UNDER_WAY,
    Book,
    Deadline,
    Explanation,
    Glance,
    Hop,
    HopState,
    Verdict,
)
from sagactl.oncall.explain.hops import hops
from sagactl.oncall.explain.marks import Marks, asked_again_at
from sagactl.oncall.explain.table import actions, what_comes
from services.order.model import Order, RefundState, Status
from services.payment.payment import UNDECIDED, PaymentState
from services.shared.contract import money
from services.shared.contract.decisions import RIGHT_AWAY, Aggregate
from services.shared.contract.events import FULFILMENT, NOTIFICATIONS

# While everything runs, a hop takes milliseconds, and a retry a second.
MOVES_WITHIN: Final = timedelta(seconds=10)
# What customers are to be told, and whether goods may go: missed, though all books agree.
ALWAYS_MISSED: Final = frozenset({NOTIFICATIONS, FULFILMENT})
OPEN_AT_THE_GATEWAY: Final = {
    PaymentState.CAPTURING: "the payment gateway has not answered",
    PaymentState.PENDING: "the payment gateway decides later",
    PaymentState.AUTHORIZED: "the payment gateway holds the money, and is to take it",
    PaymentState.VOIDING: "the payment gateway is to call the charge off",
}


def explain(marks: Marks) -> Explanation:
    found = _judged(marks)
    order, verdict, because, missing = found.glance
    return Explanation(
        order=order,
        at=marks.at,
        verdict=verdict,
        because=because,
        books=tuple(_books(marks)),
        missing=missing,
        hops=found.chain,
        next=() if marks.case.unreadable else tuple(what_comes(marks, found.missed)),
        deadline=_deadline(marks),
        actions=() if marks.case.unreadable else tuple(actions(marks)),
        advice=tuple(advice.advice(marks, verdict, found.missed)),
        findings=found.findings,
    )


def glance(marks: Marks) -> Glance:
    """Without what comes next and what may be done, which takes as long as all of this."""
    return _judged(marks).glance


class _Found(NamedTuple):
    glance: Glance
    chain: tuple[Hop, ...]
    # Of the chain, what is not put up with.
    missed: Sequence[Hop]
    findings: tuple[str, ...]


def _judged(marks: Marks) -> _Found:
    if marks.case.unreadable:
        return _untold(marks)
    chain = hops(marks)
    missed = _missed(marks, chain)
    at_rest = not any(hop.state in OPEN for hop in missed) and asked_again_at(marks) is None
    findings = tuple(_findings(marks, at_rest=at_rest))
    verdict, because = _judge(marks, missed, findings)
    put_away = any(hop.state is HopState.DISCARDED and not hop.changes_nothing for hop in chain)
    if put_away and verdict is Verdict.SETTLED:
        because = f"{because} but what somebody discarded"
    missing = tuple(hop.name for hop in chain if hop.state is HopState.MISSING)
    return _Found(Glance(marks.case.id, verdict, because, missing), chain, missed, findings)


def _untold(marks: Marks) -> _Found:
    """What its messages did is not told without the document that they did it to."""
    case = marks.case
    because = "; ".join(map(str, case.unreadable))
    findings = tuple(_findings(marks, at_rest=True))
    return _Found(Glance(case.id, Verdict.UNKNOWN, because, ()), (), (), findings)


def _missed(marks: Marks, chain: Sequence[Hop]) -> Sequence[Hop]:
    """Without what is missing, and has no consequence any more: the order is at its end, its books agree.

    Then nobody misses what somebody discarded either, and never what changes nothing, or is no message of
    ours.
    """
    chain = [hop for hop in chain if not _is_put_away_for_good(hop)]
    order, unfinished = marks.case.order, [hop for hop in chain if hop.state in OPEN]
    nothing_else = all(
        hop.state is HopState.DISCARDED or (hop.state is HopState.MISSING and hop.queue not in ALWAYS_MISSED)
        for hop in unfinished
    )
    if order is None or not order.settled or not nothing_else or any(marks.wrong):
        return chain
    return [hop for hop in chain if hop.state not in {HopState.MISSING, HopState.DISCARDED}]


def _is_put_away_for_good(hop: Hop) -> bool:
    return hop.state is HopState.DISCARDED and (hop.changes_nothing or hop.cause is None)


class _Judged(NamedTuple):
    verdict: Verdict
    because: str


def _judge(marks: Marks, chain: Sequence[Hop], findings: Sequence[str]) -> _Judged:
    order = marks.case.order
    if order is None:
        if not list(_books(marks)) and not chain:
            return _Judged(Verdict.UNKNOWN, "no service knows it")
        return _Judged(Verdict.CONTRADICTED, "the order service does not know it; others do")
    if stuck := [hop for hop in chain if _holds_up(hop)]:
        return _Judged(Verdict.STUCK, _all_of(stuck))
    if moving := [hop for hop in chain if hop.state in UNDER_WAY]:
        return _Judged(_pace(marks, moving), _all_of(moving))
    if at := asked_again_at(marks):
        when = "right away" if at == RIGHT_AWAY else f"at {at:%Y-%m-%d %H:%M:%S} UTC"
        return _Judged(Verdict.WAITING, f"{_what_is_open(marks, order)}: it is asked again {when}")
    return _with_nothing_open(marks, order, chain, findings)


def _what_is_open(marks: Marks, order: Order) -> str:
    """At the gateway."""
    payment = marks.case.payment
    if payment is not None and payment.state in UNDECIDED:
        return OPEN_AT_THE_GATEWAY[payment.stage]
    return _refusal(order)


def _refusal(order: Order) -> str:
    refused = [refund for refund in order.given_back if refund.state is RefundState.REFUSED]
    said = [f"the payment gateway refuses refund {refund.id}: {refund.refusal}" for refund in refused]
    return "; ".join(said) or "the payment gateway refuses a refund"


def _with_nothing_open(marks: Marks, order: Order, chain: Sequence[Hop], findings: Sequence[str]) -> _Judged:
    if findings:
        return _Judged(Verdict.CONTRADICTED, findings[0])
    if order.settled:
        return _Judged(Verdict.SETTLED, f"the order is {order.status}, and no message is missed")
    untold = [hop for hop in chain if hop.state is HopState.CANNOT_BE_TOLD]
    if untold:
        return _Judged(Verdict.UNKNOWN, _all_of(untold))
    if marks.moving:
        return _Judged(Verdict.MOVING, "it moved while it was looked at")
    return _Judged(Verdict.STUCK, f"the order is {order.status}, and nothing is on its way")


def _holds_up(hop: Hop) -> bool:
    """Nothing comes of a dead letter that would have no effect."""
    is_letter = hop.state in {HopState.DEAD_LETTER, HopState.DISCARDED}
    return hop.state is HopState.MISSING or (is_letter and not hop.changes_nothing)


def _all_of(chain: Sequence[Hop]) -> str:
    """What is said of each, once where it is the same."""
    return "; ".join(dict.fromkeys(map(_where, chain)))


def _where(hop: Hop) -> str:
    said = {
        HopState.MISSING: f"was never handled by {hop.consumer}, and is nowhere",
        HopState.DEAD_LETTER: f"is a dead letter of {hop.queue}: {hop.reason}",
        HopState.DISCARDED: f"was {hop.reason}",
        HopState.IN_OUTBOX: f"is {hop.reason}",
        HopState.ON_ITS_WAY: f"is on its way to {hop.consumer}: {hop.reason}",
        HopState.CANNOT_BE_TOLD: f"may or may not have been handled: {hop.reason}",
    }
    return f"{hop.type} {said[hop.state]}"


def _pace(marks: Marks, moving: Sequence[Hop]) -> Verdict:
    case = marks.case
    homes = (case.order, case.reservation, case.payment, case.shipment)
    times = [home.updated_at for home in homes if home is not None]
    times += [hop.at for hop in moving]
    return (
        Verdict.MOVING
        if marks.moving or marks.at - max(filter(None, times)) < MOVES_WITHIN
        else Verdict.WAITING
    )


def _findings(marks: Marks, *, at_rest: bool) -> Iterator[str]:
    """Contradictions are one at any time; invariants hold once everything has arrived."""
    for finding in invariants.contradictions(marks.case):
        yield finding.what
    if at_rest and not marks.moving:
        for finding in marks.wrong:
            yield f"{finding.invariant.label}: {finding.what}"


def _books(marks: Marks) -> Iterator[Book]:
    case = marks.case
    homes: list[tuple[str, Aggregate | None]] = [
        ("order", case.order),
        ("inventory", case.reservation),
        ("payment", case.payment),
        ("fulfilment", case.shipment),
    ]
    for service, home in homes:
        if home is not None and (standing := home.standing) is not None:
            yield Book(service, standing.state, tuple(dict.fromkeys(standing.notes)))
        if isinstance(home, Order):
            yield from _refunds(home)
    for entry in case.ledger:
        yield Book("gateway", f"{entry.kind} {entry.status}", (_amount(entry.amount, entry.currency),))
    if case.notifications:
        yield Book("notification", ", ".join(each.kind for each in case.notifications))


def _refunds(order: Order) -> Iterator[Book]:
    """Each by itself: there may be many, side by side."""
    for refund in order.given_back:
        outside = (f"settled by {refund.outside}",) if refund.outside else ()
        notes = (_amount(refund.amount, order.refund_currency), refund.id, *outside)
        yield Book("refund", refund.state, notes)


def _amount(minor: int, currency: str) -> str:
    return f"{money.to_decimal(minor, currency)} {currency}"


def _deadline(marks: Marks) -> Deadline | None:
    """When a sweep compensates the order, if one runs. It leaves PENDING alone unless it is told to."""
    order = marks.case.order
    if order is None or order.status is not Status.CONFIRMED:
        return None
    return Deadline(
        order.waits_since + marks.stale_after,
        "the next sweep after that compensates the order, where one runs",
    )
