"""The live check: one walk through everything, and then a second and a third look at what seems wrong."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from sagactl.access import Access
from sagactl.faults import AbsentError
from sagactl.oncall import look
from sagactl.oncall.books import AllUnreadable, Books, reading
from sagactl.oncall.check import (
    Expected,
    Known,
    counted_goods,
    counted_orders,
    letters,
    letters_about,
    never_made,
    reported,
    rows_of_nobody,
)
from sagactl.oncall.depths import bound
from sagactl.oncall.invariants import Finding, Invariant, check_case
from sagactl.oncall.live.judging import (
    OVERDUE,
    STILL,
    Terms,
    check_transaction,
    is_suspect,
    judge,
    touched_at,
)
from sagactl.oncall.live.looking import WATCH, Watch, look_again, seen_empty
from sagactl.oncall.live.walking import Walk, walk
from sagactl.oncall.notes import notes, notes_of
from sagactl.oncall.report import Report
from sagactl.oncall.shipping import ships_since
from sagactl.wording import plural
from services.shared.contract.events import INVENTORY_EVENTS
from services.shared.database.new_id import least_id

# What can be said of an order without all the others.
OF_ORDERS: Final = frozenset(Invariant) - {Invariant.DRAINED, Invariant.STOCK_CONSERVED}
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Live(NamedTuple):
    """How a shop at work is checked."""

    still: timedelta = STILL
    overdue: timedelta = OVERDUE
    # Only orders that were placed, and transactions that were made since.
    since: datetime | None = None
    # Where it is noted how far the check has come. What is there already is gone on with.
    note: Path | None = None
    watch: Watch = WATCH


async def check_live(
    access: Access,
    expected: Expected | None = None,
    live: Live | None = None,
    *,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> Report:
    """What is wrong of a shop at work. Only reads, and waits for no rest.

    Raises PyMongoError, AMQPError, OSError, BrokerError or GatewayUnavailable where a server does not answer.
    """
    expected, live = expected or Expected(), live or Live()
    async with reading(access.mongodb_url) as books:
        walked = await _begun(books, access, live)
        await walk(books, books.gateway, walked, lambda so_far: _keep(so_far, live.note, progress))
        # Both may watch queues for a while: the same one.
        of_orders, of_products = await asyncio.gather(
            judged(books, access, walked.terms, sorted(walked.suspects), live.watch, progress),
            _products(books, access, sorted(walked.products), live.watch),
        )
        found = [
            *of_orders.certain,
            *await _transactions(books, walked),
            *of_products,
            *await _accepted(books, expected.accepted),
        ]
        lost = await rows_of_nobody(books)
        beside = await notes(books, walked.cut)
    dead = await letters(access)
    found += [*dead, *lost]
    if live.note is not None:
        live.note.unlink(missing_ok=True)
    orders = walked.counts.get(Invariant.SAGA_ENDED, 0)
    counted = _counted(walked, len(dead), expected.accepted)
    report = reported(counted, list(dict.fromkeys(found)), expected, orders, beside)
    return report._replace(in_doubt=of_orders.in_doubt)


async def check_these(
    access: Access,
    ids: Sequence[str],
    live: Live | None = None,
    known: Collection[Known] = (),
    *,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> Report:
    """What is wrong of these orders, whether the shop works or not. Only reads, and waits for no rest.

    What is wrong of an order, and may be cured yet, waits. Raises AbsentError for an order that nobody knows,
    and what `check_live` does.
    """
    live = live or Live()
    async with reading(access.mongodb_url) as books:
        terms = await _terms(books, access, live)
        cases = await books.cases_of(ids)
        absent = [case.id for case in cases if touched_at(case) is None and not case.unreadable]
        if absent:
            raise AbsentError(f"no service knows an order {', '.join(absent)}")
        certain = (await judged(books, access, terms, ids, live.watch, progress)).certain
        cases = await books.cases_of(ids)
    said = {(each.subject, each.invariant) for each in certain}
    open_ = [
        each._replace(waiting=True)
        for case in cases
        for each in check_case(case, terms.ships_since)
        if not case.unreadable and (each.subject, each.invariant) not in said
    ]
    dead = await letters_about(access, ids)
    homes = [(case.order, case.reservation, case.payment) for case in cases]
    counted = {
        Invariant.STOCK_OWNED: counted_goods(
            sum(case.reservation is not None for case in cases),
            sum(case.shipment is not None for case in cases),
        ),
        Invariant.MONEY_AGREES: plural(sum(case.payment is not None for case in cases), "payment"),
        Invariant.SAGA_ENDED: plural(sum(case.is_ordered for case in cases), "order"),
        Invariant.EXPLAINED: plural(len(dead), "dead letter"),
        Invariant.REMEMBERED: f"{sum(home is not None for some in homes for home in some)} orders, "
        "reservations and payments",
    }
    found = list(dict.fromkeys([*certain, *open_, *dead]))
    return reported(counted, found, Expected(known=known), len(cases), list(notes_of(cases)))


# --- the walk ---------------------------------------------------------------------------------------------


async def _terms(books: Books, access: Access, live: Live) -> Terms:
    since = await ships_since(books, await bound(access.management_url, access.amqp_url))
    return Terms.at(await books.now(), live.still, live.overdue, since)


async def _begun(books: Books, access: Access, live: Live) -> Walk:
    """A new one, or the one that was noted."""
    if live.note is not None and live.note.exists():
        return msgspec.json.decode(live.note.read_bytes(), type=Walk)
    terms = await _terms(books, access, live)
    return Walk(
        cut=terms.cut,
        due=terms.due,
        ships_since=terms.ships_since,
        orders_after=least_id(live.since) if live.since else "",
        transactions_since=live.since or LONG_AGO,
    )


def _keep(so_far: Walk, note: Path | None, progress: Callable[[Mapping[str, int]], None]) -> None:
    if note is not None:
        written = note.with_name(f"{note.name}.new")
        written.write_bytes(msgspec.json.encode(so_far))
        written.replace(note)
    progress({"orders so far": so_far.counts.get(Invariant.SAGA_ENDED, 0)})


def _counted(walked: Walk, dead: int, accepted: Collection[str]) -> Mapping[Invariant, str]:
    counts = Counter(walked.counts)
    return {
        Invariant.DRAINED: "not asked for: the shop works",
        Invariant.STOCK_CONSERVED: plural(counts[Invariant.STOCK_CONSERVED], "product"),
        Invariant.STOCK_OWNED: counted_goods(counts[Invariant.STOCK_OWNED], walked.shipments),
        Invariant.MONEY_AGREES: f"{plural(counts[Invariant.MONEY_AGREES], 'transaction')} of the gateway",
        Invariant.SAGA_ENDED: counted_orders(counts[Invariant.SAGA_ENDED], walked.under_way, accepted),
        Invariant.EXPLAINED: plural(dead, "dead letter"),
        Invariant.REMEMBERED: f"{counts[Invariant.REMEMBERED]} orders, reservations and payments",
    }


# --- orders, looked at again ------------------------------------------------------------------------------


class Judged(NamedTuple):
    certain: Sequence[Finding]
    # Orders that seem wrong as before, of which that cannot be said.
    in_doubt: Sequence[str]


async def judged(
    books: Books,
    access: Access,
    terms: Terms,
    suspects: Sequence[str],
    watch: Watch,
    progress: Callable[[Mapping[str, int]], None],
) -> Judged:
    """What is wrong of those that seemed so, seem so still, and have not changed meanwhile."""
    before = [case for case in await books.cases_of(suspects) if is_suspect(case, terms)]
    progress({"orders that are looked at again": len(before)})
    marks = await look_again(books, access, before, watch)
    found = {each.case.id: list(judge(each, terms)) for each in marks}
    certain = [finding for findings in found.values() for finding in findings]
    doubted = [each for each in marks if not found[each.case.id] and is_suspect(each.case, terms)]
    return Judged(certain, [each.case.id for each in doubted])


# --- everything else --------------------------------------------------------------------------------------


async def _transactions(books: Books, walked: Walk) -> list[Finding]:
    unreadable: AllUnreadable = {}
    payments = await books.payments_of(sorted({each.order_id for each in walked.unmatched}), unreadable)
    return [
        finding
        for each in walked.unmatched
        if each.order_id not in unreadable
        for finding in check_transaction(each, payments.get(each.order_id))
        if not finding.waiting or each.at < walked.due
    ]


async def _products(books: Books, access: Access, suspects: Sequence[str], watch: Watch) -> list[Finding]:
    """Of a product without stock the event that makes it may be on its way."""
    found = await look.products(books, suspects)
    if not any(finding.waiting for finding in found):
        return found
    # Before: what is sent meanwhile may come to the queue once it was seen empty.
    unsent = await books.unsent(suspects)
    comes = INVENTORY_EVENTS not in await seen_empty(access, watch, {INVENTORY_EVENTS})
    again = {finding.subject for finding in await look.products(books, suspects) if finding.waiting}
    return [
        finding._replace(waiting=False)
        for finding in found
        if not finding.waiting or (finding.subject in again and not comes and not unsent[finding.subject])
    ]


async def _accepted(books: Books, ids: Collection[str]) -> list[Finding]:
    return [never_made(case.id) for case in await books.cases_of(sorted(ids)) if not case.is_ordered]
