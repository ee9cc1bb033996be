"""`sagactl check`: holds every order against stock, payments and the gateway's ledger. Reads only.

Also a library: tests, the demo and the benchmark call `check`, or `check_stack` with a stack's directory.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Self

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.books import Books, reading
from sagactl.oncall.causes import order_in
from sagactl.oncall.depths import bound
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.look import STILL_SECONDS, Shop, examine, look_again, rest
from sagactl.oncall.notes import notes
from sagactl.oncall.report import Note, Report
from sagactl.oncall.shipping import ships_since
from sagactl.wording import plural
from services.shared.contract.events import PUBLISHES

# The broker's statistics of unacknowledged messages lag behind: empty is what was so for longer than the
# second between two of them (`collect_statistics_interval`, in our stacks and charts; five seconds where
# nobody set it) and the other second after which quorum queues report to them.
QUIET_SECONDS: Final = 2.5
LETTERS_AT_MOST: Final = 1000


class Known(NamedTuple):
    """A finding that is expected: what the invariant says of the subject, and nothing else."""

    subject: str
    invariant: Invariant = Invariant.EXPLAINED

    @classmethod
    def parse(cls, text: str) -> Self:
        """`ORDER`, for its contradictions and dead letters, or `MONEY_AGREES:ORDER`. Raises ValueError."""
        name, colon, subject = text.partition(":")
        return cls(subject, Invariant.named(name)) if colon else cls(text)


class Expected(NamedTuple):
    """What the checker is told beforehand."""

    # Orders that were answered 201: they have to exist.
    accepted: Collection[str] = ()
    known: Collection[Known] = ()


async def check(
    access: Access,
    expected: Expected | None = None,
    *,
    wait_seconds: float = 30,
    quiet_seconds: float = QUIET_SECONDS,
    still_seconds: float = STILL_SECONDS,
    progress: Callable[[Mapping[str, int]], None] = lambda _: None,
) -> Report:
    """Waits up to `wait_seconds` for everything to come to rest, then checks all of it.

    Under traffic nothing comes to rest. What looks wrong then is looked at again, and reported if it has
    stood still for `still_seconds` and is as wrong as before. `progress` is told what still moves.
    """
    expected = expected or Expected()
    async with reading(access.mongodb_url) as books:
        keys = await bound(access.management_url, access.amqp_url)
        since = await ships_since(books, keys)
        shop = Shop(books, access.management_url, access.amqp_url, since)
        before = await rest(shop, wait_seconds, quiet_seconds, progress)
        looked = await examine(shop)
        settled = await look_again(shop, looked, before, still_seconds, progress)
        lost = await rows_of_nobody(books)
        beside = await notes(books)
    dead = await letters(access)
    findings = [*_unseen(settled.queues), *settled.findings, *looked.contradictions]
    findings += map(never_made, sorted(set(expected.accepted) - looked.orders))
    findings += [*dead, *lost]
    if not settled.on_its_way:
        findings = [each._replace(waiting=False) for each in findings]
    seen, counts = settled.queues.seen, looked.counts
    counted = {
        Invariant.DRAINED: f"{len(seen)} of {len(broker.LIVE)} queues in vhost {settled.queues.vhost}, "
        f"{len(PUBLISHES)} outboxes",
        Invariant.STOCK_CONSERVED: plural(counts[Invariant.STOCK_CONSERVED], "product"),
        Invariant.STOCK_OWNED: counted_goods(counts[Invariant.STOCK_OWNED], looked.shipments),
        Invariant.MONEY_AGREES: plural(counts[Invariant.MONEY_AGREES], "payment"),
        Invariant.SAGA_ENDED: counted_orders(len(looked.orders), settled.moving, expected.accepted),
        Invariant.EXPLAINED: plural(len(dead), "dead letter"),
        Invariant.REMEMBERED: f"{counts[Invariant.REMEMBERED]} orders, reservations and payments",
    }
    return reported(counted, findings, expected, len(looked.orders), beside)


def counted_goods(reservations: int, shipments: int) -> str:
    """Most shops have no fulfilment service."""
    parts = [plural(reservations, "reservation")]
    return ", ".join([*parts, plural(shipments, "shipment")] if shipments else parts)


def counted_orders(there: int, moving: int, accepted: Collection[str]) -> str:
    parts = [plural(there, "order")]
    if moving:
        parts.append(f"{moving} under way")
    if accepted:
        parts.append(f"{len(accepted)} known to be answered 201")
    return ", ".join(parts)


def _unseen(queues: broker.Queues) -> list[Finding]:
    """Without any queue nothing can be said of them: another vhost, or a user who may not see them."""
    if queues.seen:
        return []
    return [Finding(Invariant.DRAINED, f"vhost {queues.vhost}", "no queue of ours is to be seen in it")]


def never_made(order_id: str) -> Finding:
    return Finding(Invariant.SAGA_ENDED, order_id, "was answered 201 and does not exist")


def reported(
    counted: Mapping[Invariant, str],
    findings: Sequence[Finding],
    expected: Expected,
    orders: int,
    beside: Sequence[Note],
) -> Report:
    """What was known beforehand is told apart. `orders`: how many were looked at."""
    known = {(each.subject, each.invariant) for each in expected.known}
    return Report(
        counted,
        [each for each in findings if (each.subject, each.invariant) not in known],
        [each for each in findings if (each.subject, each.invariant) in known],
        orders,
        beside,
    )


async def rows_of_nobody(books: Books) -> list[Finding]:
    """Rows of outboxes that no sweep finds."""
    return [
        Finding(Invariant.REMEMBERED, f"outbox of {service}", f"{count} rows without `due`")
        for service, count in (await books.rows_of_nobody()).items()
    ]


async def letters(access: Access) -> list[Finding]:
    """Every dead letter is a finding."""
    found = await broker.dead_letters(access.amqp_url, broker.QUEUES, LETTERS_AT_MOST)
    return [Finding(Invariant.EXPLAINED, letter.subject or letter.id, letter.summary) for letter in found]


async def letters_about(access: Access, orders: Collection[str]) -> list[Finding]:
    """Those that are about one of the orders."""
    found = await broker.dead_letters(access.amqp_url, broker.QUEUES, LETTERS_AT_MOST)
    about = [(order_in(letter), letter.summary) for letter in found]
    return [Finding(Invariant.EXPLAINED, order, says) for order, says in about if order in orders]
