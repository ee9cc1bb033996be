"""What of a shop at work can be judged, and what of that is wrong for certain. Pure.

An order that nothing has touched for a while is judged like one at rest: what moves on elsewhere does not
change it. What seems wrong of it, and a message could cure, is wrong once no such message is on its way.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import UNDER_WAY
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.invariants import Case, Finding, Invariant, check_case, contradictions
from services.order.model import Order, Status
from services.payment.gateway import Kind, Transaction
from services.payment.gateway import Status as Done
from services.payment.payment import PAID, UNDECIDED, Payment, PaymentState, RefundState

# Longer than the slowest call of the payment gateway, and than the broker's statistics are old.
STILL: Final = timedelta(seconds=30)
# Longer than the operator leaves an order alone, with its sweep, and than the retry ladder.
OVERDUE: Final = timedelta(minutes=20)
ASKING: Final = frozenset({*UNDECIDED, PaymentState.REFUNDING})
# No money has moved.
NOTHING_DONE: Final = frozenset({Done.PENDING, Done.AUTHORIZED, Done.DECLINED, Done.VOIDED, Done.REFUSED})


class Terms(NamedTuple):
    """What has not changed since `cut` is judged; what was still to come at `due` is late."""

    cut: datetime
    due: datetime
    # Since when fulfilment hears of orders; None where it does not.
    ships_since: datetime | None = None

    @classmethod
    def at(
        cls,
        now: datetime,
        still: timedelta = STILL,
        overdue: timedelta = OVERDUE,
        ships_since: datetime | None = None,
    ) -> "Terms":
        return cls(now - still, now - max(still, overdue), ships_since)


def touched_at(case: Case) -> datetime | None:
    """When any service last did anything about it; None for what nobody knows."""
    homes = (case.order, case.reservation, case.payment, case.shipment)
    times = [home.updated_at for home in homes if home is not None]
    times += [entry.at for entry in case.ledger]
    times += [told.at for told in case.notifications]
    return max(filter(None, times), default=None)


def is_still(case: Case, terms: Terms) -> bool:
    at = touched_at(case)
    return at is None or at < terms.cut


def is_suspect(case: Case, terms: Terms) -> bool:
    """Whether it is worth a second look."""
    if any(contradictions(case)):
        return True
    return is_still(case, terms) and any(
        not finding.waiting or _is_due(case, terms) for finding in check_case(case, terms.ships_since)
    )


def _is_due(case: Case, terms: Terms) -> bool:
    """What is settled owes nothing any more; what is open may still come to its end."""
    order = case.order
    return order is None or order.settled or _since(order) < terms.due


def _since(order: Order) -> datetime:
    """Since when it waits for what is open: a paid order stays PAID while something of it is refunded."""
    steps = order.history if order.status is Status.PAID else ()
    return steps[-1].at if steps else order.waits_since


def judge(marks: Marks, terms: Terms) -> Iterator[Finding]:
    """What is wrong of it for certain, and what has waited for too long."""
    case = marks.case
    yield from contradictions(case)
    if marks.moving or not is_still(case, terms):
        return
    wrong = list(marks.wrong)
    yield from (finding for finding in wrong if not finding.waiting)
    if case.unreadable or not _is_due(case, terms):
        return
    told = explain(marks)
    asking = case.payment is not None and case.payment.state in ASKING
    comes = asking or any(hop.state in UNDER_WAY for hop in told.hops)
    at = touched_at(case)
    late = at is None or at < terms.due
    for finding in wrong:
        if finding.waiting and (late or not comes):
            yield finding._replace(what=f"{finding.what} ({told.because})", waiting=comes)


def check_transaction(transaction: Transaction, payment: Payment | None) -> Iterator[Finding]:
    """MONEY_AGREES, as the payment gateway tells of it: what it has done is what our payment says it did."""
    what = f"the payment gateway made a {transaction.kind} of {transaction.amount} {transaction.currency}"
    what = f"{what} (minor units), {transaction.id} under the key {transaction.key}"
    if transaction.status in NOTHING_DONE:
        return
    if payment is None:
        yield Finding(Invariant.MONEY_AGREES, transaction.order_id, f"{what}, and we know of no payment")
        return
    if transaction.kind is Kind.REFUND:
        ids = [refund.refund_id for refund in payment.given_back]
        waiting = any(refund.state is not RefundState.REFUNDED for refund in payment.given_back)
    else:
        ids, waiting = [payment.transaction_id], payment.stage in UNDECIDED
    known = [*filter(None, ids)]
    # Of a charge it may be known, and not, or not yet, that it was made.
    unpaid = transaction.kind is Kind.CAPTURE and payment.state not in PAID
    if transaction.id not in known or unpaid:
        said = f"our payment, {payment.stage}, says {', '.join(known) or 'nothing of it'}"
        yield Finding(Invariant.MONEY_AGREES, transaction.order_id, f"{what}; {said}", waiting=waiting)
