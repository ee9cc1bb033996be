"""What the Online Marketplace benchmark asks of data in microservices, counted: pure.

After Laigner and others, Online Marketplace: A Benchmark for Data Management in Microservices, SIGMOD 2025
(https://dl.acm.org/doi/10.1145/3709653), whose driver is https://github.com/diku-dk/EventBenchmark. Written
anew, for a shop without carts: what a customer orders is sent as one request, and what is replicated are the
prices that the order service remembers.

All moments of who drives are seconds of one clock: when it asked, and when it had the answer. What was asked
took effect at some moment between the two, and nothing more is assumed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from services.order.catalogue import REMEMBERED_SECONDS
from services.product.queries import FRESH_SECONDS

# How old a price may be: in Redis, then in the order service's memory, which may have it from there.
STALE_SECONDS: Final = FRESH_SECONDS + REMEMBERED_SECONDS
PAID, CANCELLED = "PAID", "CANCELLED"
# How far an order is: none goes back.
RANK: Final[Mapping[str, int]] = {"PENDING": 0, "CONFIRMED": 1, PAID: 2, CANCELLED: 2}
# In this order, those of them that happened.
EVENTS: Final = ("ORDER_CREATED", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED", "SHIPMENT_REQUEST")
TOLD: Final = ("ORDER_PAID", "ORDER_SHIPPED", "ORDER_DELIVERED")


class Span(NamedTuple):
    asked_at: float
    answered_at: float


class Change(NamedTuple):
    """What a product costs from then on, in minor units; None: it was taken out."""

    product: str
    price: int | None
    span: Span


class Line(NamedTuple):
    product: str
    quantity: int
    # Of one, in minor units.
    price: int


class Bought(NamedTuple):
    """An order that was answered 201."""

    order: str
    span: Span


class Seen(NamedTuple):
    """An order as it was listed for the shop's staff."""

    order: str
    status: str
    total: int
    lines: Sequence[Line]
    span: Span


class Step(NamedTuple):
    """Of an order's history. `before` is None where it begins."""

    event: str
    before: str | None
    after: str


class Ended(NamedTuple):
    """An order as it is kept, once all is at rest."""

    order: str
    status: str
    total: int
    lines: Sequence[Line]
    history: Sequence[Step]
    # Captured and not refunded, by the payment gateway's own ledger, in minor units.
    paid: int
    # Pieces that inventory says were sold to it, by product.
    sold: Mapping[str, int]
    # Pieces that were sent, by product.
    sent: Mapping[str, int]
    # What its customer was told, in that order.
    told: Sequence[str]


class Shelf(NamedTuple):
    """The stock of a product at rest."""

    initial: int
    available: int
    reserved: int
    sold: int
    on_offer: bool = True


class Run(NamedTuple):
    """All that is judged."""

    changes: Sequence[Change]
    bought: Sequence[Bought]
    seen: Sequence[Seen]
    ended: Mapping[str, Ended]
    # Of every product that there ever was, by the inventory service.
    shelves: Mapping[str, Shelf]
    # What the product service offers.
    offered: frozenset[str]


class Verdict(NamedTuple):
    criterion: str
    # What was looked at.
    counted: str
    violations: Sequence[str]
    # What is allowed and worth to be known.
    remark: str = ""


def judge(run: Run) -> Sequence[Verdict]:
    return [
        atomicity(run),
        replication(run),
        integrity(run),
        constraints(run),
        order_of_events(run),
        queries(run),
        audit(run),
    ]


def atomicity(run: Run) -> Verdict:
    """A checkout is done in all services, or in none."""
    return Verdict(
        "a checkout takes effect in all services, or in none",
        f"{len(run.bought)} orders",
        [f"{each.order}: {wrong}" for each in run.bought for wrong in _halves(run.ended.get(each.order))],
    )


def _halves(order: Ended | None) -> Iterator[str]:
    if order is None:
        yield "was accepted, and does not exist"
        return
    if order.status not in {PAID, CANCELLED}:
        yield f"is {order.status} at rest"
    is_paid = order.status == PAID
    owed = order.total if is_paid else 0
    if order.paid != owed:
        yield f"is {order.status}, and {order.paid} of {owed} were paid"
    wanted = {line.product: line.quantity for line in order.lines} if is_paid else {}
    if dict(order.sold) != wanted:
        yield f"is {order.status}, and {dict(order.sold)} of {wanted} were sold"


def replication(run: Run) -> Verdict:
    """Prices in orders are the product's own, no older than the replicas may be."""
    prices = _by_product(run.changes)
    violations: list[str] = []
    stalest, stale, mixed = 0.0, 0, 0
    for bought in run.bought:
        lines = run.ended[bought.order].lines if bought.order in run.ended else ()
        found = [(line, _which(prices[line.product], line.price)) for line in lines]
        violations += [
            f"{bought.order}: {line.product} never cost {line.price}" for line, at in found if at is None
        ]
        known = [(prices[line.product], at) for line, at in found if at is not None]
        ages = [_age(changes, at, bought.span) for changes, at in known]
        stale += any(ages)
        stalest = max(stalest, *ages, 0.0)
        violations += [f"{bought.order}: a price {age:.1f} s old" for age in ages if age > STALE_SECONDS]
        violations += [
            f"{bought.order}: a price of the future"
            for changes, at in known
            if changes[at].span.asked_at > bought.span.answered_at
        ]
        mixed += _mixes(known)
    return Verdict(
        f"prices in orders are those of the product, at most {STALE_SECONDS:.0f} s old",
        f"{sum(map(len, prices.values()))} prices in {len(run.bought)} orders",
        violations,
        f"{stale} orders at a price that had changed, the oldest {stalest:.1f} s ago; "
        f"{mixed} saw a change and not one before it",
    )


def _by_product(changes: Iterable[Change]) -> Mapping[str, Sequence[Change]]:
    """In the order in which they were asked for: those of a product never overlap."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in sorted(changes, key=lambda each: each.span.asked_at):
        found[change.product].append(change)
    return found


def _which(changes: Sequence[Change], price: int) -> int | None:
    """Which change made it cost that. No product has the same price twice."""
    return next((number for number, each in enumerate(changes) if each.price == price), None)


def _age(changes: Sequence[Change], at: int, span: Span) -> float:
    """For how long at least it had been out of date when the order was asked for, in seconds."""
    return max(0.0, span.asked_at - changes[at + 1].span.answered_at) if at + 1 < len(changes) else 0.0


def _mixes(known: Sequence[tuple[Sequence[Change], int]]) -> bool:
    """Whether an order has one product's newer price, and not another's that was changed before."""
    overlooked = [changes[at + 1].span for changes, at in known if at + 1 < len(changes)]
    return any(late.answered_at < changes[at].span.asked_at for changes, at in known for late in overlooked)


def integrity(run: Run) -> Verdict:
    """Nothing is sold of what was taken out; inventory and the catalogue know the same products."""
    taken_out = {each.product: each.span for each in run.changes if each.price is None}
    violations: list[str] = []
    after = cancelled = 0
    for bought in run.bought:
        ended = run.ended.get(bought.order)
        gone = [
            taken_out[line.product] for line in (ended.lines if ended else ()) if line.product in taken_out
        ]
        ages = [bought.span.asked_at - span.answered_at for span in gone]
        if ended is None or max(ages, default=0.0) <= 0:
            continue
        after += 1
        cancelled += ended.status == CANCELLED
        if max(ages) > STALE_SECONDS:
            violations.append(f"{bought.order}: was accepted {max(ages):.1f} s after a product was taken out")
    on_offer = {product for product, shelf in run.shelves.items() if shelf.on_offer}
    violations += [f"{product}: is offered, and has no stock" for product in sorted(run.offered - on_offer)]
    violations += [f"{product}: has stock, and is not offered" for product in sorted(on_offer - run.offered)]
    return Verdict(
        "no removed product is sold, and no stock is without its product",
        f"{len(taken_out)} products taken out, {len(run.offered)} offered",
        violations,
        f"{after} orders named a product that had just been taken out; {cancelled} of them were cancelled",
    )


def constraints(run: Run) -> Verdict:
    """Stock is never negative, and no piece is made or lost."""
    sold: dict[str, int] = defaultdict(int)
    for order in run.ended.values():
        for line in order.lines if order.status == PAID else ():
            sold[line.product] += line.quantity
    violations = [
        f"{product}: {shelf}, and {sold[product]} were sold by orders"
        for product, shelf in sorted(run.shelves.items())
        if min(shelf.available, shelf.reserved, shelf.sold) < 0
        or shelf.available + shelf.reserved + shelf.sold != shelf.initial
        or (shelf.reserved, shelf.sold) != (0, sold[product])
    ]
    return Verdict(
        "no stock is negative, and no piece is created or lost", f"{len(run.shelves)} products", violations
    )


def order_of_events(run: Run) -> Verdict:
    """Payment after stock, shipment after payment. What customers are told may overtake itself: of two events
    of a service that died, the first may be published again after the second.
    """
    violations: list[str] = []
    overtaken = 0
    for each in run.ended.values():
        happened = [step.event for step in each.history if step.event in EVENTS]
        if happened != list(EVENTS[: len(happened)]):
            violations.append(f"{each.order}: {' then '.join(happened)}")
        if each.sent and each.status != PAID:
            violations.append(f"{each.order}: is {each.status}, and was sent")
        told = [kind for kind in each.told if kind in TOLD]
        overtaken += told != list(TOLD[: len(told)])
    sent = sum(bool(each.sent) for each in run.ended.values())
    return Verdict(
        "orders are paid after the reservation, and sent after the payment",
        f"{sent} orders sent",
        violations,
        f"{overtaken} customers were told of a later step before an earlier one",
    )


def queries(run: Run) -> Verdict:
    """What staff are shown of an order is whole, and never older than what they were shown before."""
    violations: list[str] = []
    seen: dict[str, list[Seen]] = defaultdict(list)
    for each in run.seen:
        seen[each.order].append(each)
        due = sum(line.quantity * line.price for line in each.lines)
        if each.total != due:
            violations.append(f"{each.order}: its total was {each.total}, its lines are {due}")
    for order, shown in seen.items():
        violations += [
            f"{order}: was {before.status}, then {after.status}"
            for before, after in _with_what_was_shown_before(shown)
            if _goes_back(before.status, after.status)
        ]
    return Verdict(
        "an order is shown complete, and never in an older state", f"{len(run.seen)} orders shown", violations
    )


def _with_what_was_shown_before(shown: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Each, and of those that had been answered when it was asked for the furthest."""
    answered = iter(sorted(shown, key=lambda each: each.span.answered_at))
    coming, furthest = next(answered, None), None
    for each in sorted(shown, key=lambda one: one.span.asked_at):
        while coming is not None and coming.span.answered_at < each.span.asked_at:
            if furthest is None or RANK[coming.status] > RANK[furthest.status]:
                furthest = coming
            coming = next(answered, None)
        if furthest is not None:
            yield furthest, each


def _goes_back(before: str, after: str) -> bool:
    return RANK[after] < RANK[before] or (RANK[after] == RANK[before] and after != before)


def audit(run: Run) -> Verdict:
    """The history tells all of an order, from its creation to what it is."""
    violations: list[str] = []
    for each in run.ended.values():
        states = [step.after for step in each.history]
        if not each.history or each.history[0].before is not None:
            violations.append(f"{each.order}: its history has no beginning")
        elif [step.before for step in each.history[1:]] != states[:-1] or states[-1] != each.status:
            violations.append(f"{each.order}: is {each.status}, its history says {' then '.join(states)}")
    steps = sum(len(each.history) for each in run.ended.values())
    return Verdict("histories are complete", f"{steps} steps of {len(run.ended)} orders", violations)
