"""Looking at a shop at work: what seems wrong is looked at again before it is said to be wrong."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from sagactl.oncall import broker, invariants
from sagactl.oncall.books import AllUnreadable, Books
from sagactl.oncall.invariants import Case, Finding, Held, Invariant
from sagactl.oncall.unrest import Unrest, standing

POLL_SECONDS: Final = 0.5
# Longer than a saga takes on a busy day.
STILL_SECONDS: Final = 10.0
Progress: TypeAlias = Callable[[Mapping[str, int]], None]


class Shop(NamedTuple):
    """What is looked at."""

    books: Books
    management_url: str
    amqp_url: str
    # Since when fulfilment hears of orders; None where it does not.
    ships_since: datetime | None = None

    def wrong(self, case: Case) -> Iterator[Finding]:
        return invariants.check_case(case, self.ships_since)

    async def unrest(self) -> tuple[broker.Queues, Unrest]:
        queues = await broker.queues(self.management_url, self.amqp_url)
        return queues, {**queues.waiting, **await self.books.unrest()}


class Looked(NamedTuple):
    """One look at everything: what was there, and what seems to be wrong."""

    counts: Counter[Invariant]
    orders: set[str]
    # Only ever more of them, whatever moves.
    contradictions: Sequence[Finding]
    # Cases with findings, by their order's id.
    cases: Mapping[str, Case]
    # Products with findings.
    products: Sequence[str]
    shipments: int


class Settled(NamedTuple):
    """What is wrong for certain."""

    queues: broker.Queues
    findings: Sequence[Finding]
    # Orders that seemed wrong, and moved on while they were looked at.
    moving: int
    # Whether messages or captures were still on their way at the end: nothing else can cure a finding.
    on_its_way: bool


async def examine(shop: Shop) -> Looked:
    """Look once at every order and every product."""
    books, shipments = shop.books, 0
    counts: Counter[Invariant] = Counter()
    seen: set[str] = set()
    contradictions: list[Finding] = []
    cases: dict[str, Case] = {}
    held = Held(Counter(), Counter())
    async for case in books.cases():
        contradictions += invariants.contradictions(case)
        if any(shop.wrong(case)):
            cases[case.id] = case
        shipments += case.shipment is not None
        invariants.tally([case.reservation] if case.reservation else [], held)
        counts[Invariant.STOCK_OWNED] += case.reservation is not None
        counts[Invariant.MONEY_AGREES] += case.payment is not None
        homes = (case.order, case.reservation, case.payment)
        counts[Invariant.REMEMBERED] += sum(home is not None for home in homes)
        if case.is_ordered:
            seen.add(case.id)
    stocked: set[str] = set()
    suspects: set[str] = set()
    unreadable: AllUnreadable = {}
    async for stock in books.stock(unreadable):
        stocked.add(stock.id)
        suspects.update(finding.subject for finding in invariants.check_stock(stock, held))
        counts[Invariant.STOCK_CONSERVED] += 1
    suspects |= unreadable.keys()
    suspects |= (held.held + held.sold).keys() - stocked
    suspects |= set(await books.catalogue()) - stocked
    return Looked(counts, seen, contradictions, cases, sorted(suspects), shipments)


class Suspects:
    """Orders that seem wrong, each with the time since which it has stood still."""

    def __init__(
        self, cases: Mapping[str, Case], wrong: Callable[[Case], Iterable[Finding]] = invariants.check_case
    ) -> None:
        self._cases, self._wrong = dict(cases), wrong
        self._since = dict.fromkeys(cases, time.monotonic())

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def ids(self) -> list[str]:
        return sorted(self._cases)

    def still(self, seconds: float) -> list[Case]:
        """Those that have stood still for this many seconds."""
        now = time.monotonic()
        return [case for id_, case in self._cases.items() if now - self._since[id_] >= seconds]

    def note(self, cases: Iterable[Case]) -> bool:
        """Forgets those that are sound by now. Returns whether all stand as they stood."""
        unchanged = True
        for case in cases:
            unchanged &= case == self._cases[case.id]
            if not any(self._wrong(case)):
                del self._cases[case.id]
            elif case != self._cases[case.id]:
                self._cases[case.id], self._since[case.id] = case, time.monotonic()
        return unchanged


async def look_again(
    shop: Shop, looked: Looked, before: Unrest, still_seconds: float, progress: Progress
) -> Settled:
    """Looks at what seems wrong until each is sound, has stood still for `still_seconds`, or has moved on.

    Once, and at once, where everything is at rest: nothing will move then.
    """
    began = time.monotonic()
    suspects = Suspects(looked.cases, shop.wrong)
    while True:
        queues, after = await shop.unrest()
        unchanged = suspects.note(await shop.books.cases_of(suspects.ids))
        if unchanged and not before and not after:
            wrong = suspects.still(0)
            break
        elapsed, wrong = time.monotonic() - began, suspects.still(still_seconds)
        if not before and not suspects:
            break
        if elapsed >= still_seconds and (len(wrong) == len(suspects) or elapsed >= 3 * still_seconds):
            break
        progress({"orders that are looked at again": len(suspects)})
        await asyncio.sleep(POLL_SECONDS)
    findings = [
        Finding(Invariant.DRAINED, place, f"{count} waiting", waiting=True)
        for place, count in standing(before, after).items()
    ]
    findings += await products(shop.books, looked.products)
    findings += [finding for case in wrong for finding in shop.wrong(case)]
    return Settled(queues, findings, len(suspects) - len(wrong), on_its_way=bool(after))


async def products(books: Books, suspects: Sequence[str]) -> list[Finding]:
    """What is wrong of these products, all of it at one instant."""
    if not suspects:
        return []
    unreadable: AllUnreadable = {}
    stock, held = await books.stock_and_reservations(suspects, unreadable)
    findings = [finding for each in stock for finding in invariants.check_stock(each, held)]
    findings += [each for known in unreadable.items() for each in invariants.cannot_be_read(*known)]
    stocked = {*unreadable, *(each.id for each in stock)}
    findings += invariants.unstocked(await books.catalogue(suspects), stocked)
    for counter in held:
        for product_id in stocked:
            counter.pop(product_id, None)
    return [*findings, *invariants.without_stock(held)]


async def rest(shop: Shop, wait_seconds: float, quiet_seconds: float, progress: Progress) -> Unrest:
    """Waits until nothing has moved for a while, and returns what still does when the time is up."""
    deadline = time.monotonic() + wait_seconds
    quiet_since = time.monotonic()
    while True:
        _, unrest = await shop.unrest()
        progress({place: waiting.number for place, waiting in unrest.items()})
        now = time.monotonic()
        if unrest:
            quiet_since = now
        if now - quiet_since >= quiet_seconds or (unrest and now > deadline):
            return unrest
        await asyncio.sleep(POLL_SECONDS)
