"""Whether the shop survived, from what was seen of it from outside: pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from dev.survive.attempts import Attempt, Outcome, end_of
from sagactl.oncall.invariants import Finding, Invariant

# From the fault's end. The retry ladder's last rung is a minute.
SETTLED_WITHIN_SECONDS: Final = 120.0
# A verdict over fewer orders says nothing.
ENOUGH_ORDERS: Final = 20


class Seen(NamedTuple):
    """An order as the shop shows it when everything has come to rest, or the time is up."""

    id: str
    # The attempt that it was made by.
    number: int
    status: str
    settled: bool
    # When it last changed.
    changed_at: datetime


class Failure(NamedTuple):
    what: str
    ids: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "ids": list(self.ids)}


def broke_off(error: Exception) -> Failure:
    """There is no more to be seen than that."""
    return Failure(f"broke off: {type(error).__name__}: {error}")


class Evidence(NamedTuple):
    attempts: Sequence[Attempt]
    orders: Sequence[Seen]
    fault_ended_at: datetime
    # What the checker found, what is known of thrown rubbish left out.
    findings: Sequence[Finding] = ()
    # Processes that ended by themselves, and their last words.
    ended: Mapping[str, str] = {}
    # What the scenario itself saw go wrong while its fault lasted.
    remarks: Sequence[Failure] = ()
    # How many of the attempts are of earlier rounds: what was taken then shows nothing of this one.
    before: int = 0

    @property
    def new(self) -> Sequence[Attempt]:
        return self.attempts[self.before :]


class Verdict(NamedTuple):
    failures: Sequence[Failure]
    # Of the new attempts.
    outcomes: Mapping[Outcome, int]
    # From the fault's end until the last order accepted before it was settled; None when one never was.
    recovery_seconds: float | None


def judge(evidence: Evidence) -> Verdict:
    failures = [*evidence.remarks, *_failures(evidence)]
    outcomes = Counter(attempt.outcome for attempt in evidence.new)
    return Verdict(failures, outcomes, _recovery(evidence))


def _failures(evidence: Evidence) -> Iterator[Failure]:
    accepted = {attempt.order_id for attempt in evidence.attempts if attempt.outcome is Outcome.ACCEPTED}
    taken = sum(attempt.outcome is Outcome.ACCEPTED for attempt in evidence.new)
    if taken < ENOUGH_ORDERS:
        yield Failure(f"only {taken} orders were accepted: too few to show anything")
    yield from _of_orders(accepted, evidence)
    yield from _of_attempts(evidence)
    for name, last_words in evidence.ended.items():
        yield Failure(f"{name} ended by itself: {last_words}")
    yield from _of_checker(evidence.findings)


def _of_orders(accepted: Collection[str], evidence: Evidence) -> Iterator[Failure]:
    seen = {order.id: order for order in evidence.orders}
    ours = [seen[id_] for id_ in accepted if id_ in seen]
    late = [order for order in ours if order.settled and _after(evidence, order) > SETTLED_WITHIN_SECONDS]
    otherwise = [order for order in ours if order.settled and order.status != end_of(order.number)]
    yield from _named("accepted, and does not exist", accepted - seen.keys())
    yield from _named("not settled", (f"{each.id} {each.status}" for each in ours if not each.settled))
    yield from _named("settled too late", (f"{each.id} {each.status}" for each in late))
    yield from _named("did not end as it should", (f"{each.id} {each.status}" for each in otherwise))


def _of_attempts(evidence: Evidence) -> Iterator[Failure]:
    made: dict[int, list[str]] = {}
    for order in evidence.orders:
        made.setdefault(order.number, []).append(order.id)
    attempts = {attempt.number: attempt for attempt in evidence.attempts}
    refused = [number for number in made if number in attempts and _is_refused(attempts[number])]
    wrong = [attempt.answer for attempt in evidence.attempts if attempt.outcome is Outcome.WRONG]
    yield from _named("answered 503, and carried out", (" ".join(made[number]) for number in refused))
    yield from _named("carried out twice", (" ".join(ids) for ids in made.values() if len(ids) > 1))
    yield from _named("an order that nobody placed", (made[each][0] for each in made.keys() - attempts))
    yield from _named("an answer that the fault does not explain", wrong)


def _is_refused(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.REFUSED


def _of_checker(findings: Sequence[Finding]) -> Iterator[Failure]:
    for invariant in Invariant:
        found = [f"{each.subject}: {each.what}" for each in findings if each.invariant is invariant]
        yield from _named(f"the checker's {invariant}", found)


def _named(what: str, ids: Iterable[str]) -> Iterator[Failure]:
    """One failure for all of a kind, and none where there is none."""
    found = sorted(ids)
    if found:
        yield Failure(f"{what}: {len(found)}", found)


def _after(evidence: Evidence, order: Seen) -> float:
    return (order.changed_at - evidence.fault_ended_at).total_seconds()


def _recovery(evidence: Evidence) -> float | None:
    """0 when all had settled before the fault's end."""
    meant = {
        attempt.order_id
        for attempt in evidence.attempts
        if attempt.outcome is Outcome.ACCEPTED and attempt.answered_at <= evidence.fault_ended_at
    }
    orders = [order for order in evidence.orders if order.id in meant]
    if len(orders) < len(meant) or not all(order.settled for order in orders):
        return None
    return max(0.0, *(_after(evidence, order) for order in orders)) if orders else 0.0


def without_rubbish(findings: Sequence[Finding], ours: Collection[str]) -> list[Finding]:
    """Leaves out what is about nothing of ours: rubbish makes dead letters, orders and stock of its own."""
    return [each for each in findings if each.subject in ours or each.invariant is Invariant.DRAINED]
