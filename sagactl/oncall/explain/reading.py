"""Reads what an order's messages left behind: in databases, outboxes, queues and dead letters. Only reads."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import structs

from sagactl.access import Access
from sagactl.oncall import broker
from sagactl.oncall.books import Books, reading
from sagactl.oncall.causes import order_in
from sagactl.oncall.depths import Depth, bound
from sagactl.oncall.depths import depths as deep
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.explain import preview
from sagactl.oncall.explain.explaining import explain, glance
from sagactl.oncall.explain.explanation import Explanation, Glance, Preview
from sagactl.oncall.explain.marks import STALE_AFTER, Letter, Marks, Unsent
from sagactl.oncall.invariants import Case
from sagactl.oncall.shipping import ships_since
from services.shared.contract.events import AUTO_COMPENSATION, INVENTORY_EVENTS

# An order that moves while it is looked at is looked at so often.
LOOKS: Final = 3
LETTERS_AT_MOST: Final = 10_000
# What is missing is so for longer than the broker's statistics are old: five seconds where nobody set it.
LOOKS_AGAIN_SECONDS: Final = 6.0


class _OnTheWay(NamedTuple):
    """Where messages are, from the outboxes to the dead letters."""

    unsent: Mapping[str, Sequence[Unsent]]
    depths: Mapping[str, Depth]
    discarded: Sequence[Discarded]
    letters: Sequence[broker.DeadLetter]


class Seen(NamedTuple):
    """What there is to say of an order, and the books that it is said of."""

    told: Explanation
    case: Case


async def every_letter(amqp_url: str) -> Sequence[broker.DeadLetter]:
    return await broker.dead_letters(amqp_url, broker.QUEUES, LETTERS_AT_MOST)


@dataclass(frozen=True)
class Reader:
    access: Access
    stale_after: timedelta = STALE_AFTER
    again_seconds: float = LOOKS_AGAIN_SECONDS
    # Two who look at dead letters at once take them from each other: readers of one process share a look.
    letters: Callable[[str], Awaitable[Sequence[broker.DeadLetter]]] = every_letter

    async def told(self, order_id: str, progress: Callable[[str], None] = lambda _: None) -> Explanation:
        """As `explained` tells it, by books that are opened for it."""
        async with reading(self.access.mongodb_url) as books:
            return (await self.explained(books, order_id, progress)).told

    async def explained(
        self, books: Books, order_id: str, progress: Callable[[str], None] = lambda _: None
    ) -> Seen:
        """What there is to say of the order. A message is called missing once it was so at two looks.

        Raises PyMongoError, AMQPError, OSError or BrokerError where a server does not answer.
        """
        seen = await self._read(books, order_id)
        while seen.told.missing:
            progress("a message is missing: looking again")
            await asyncio.sleep(self.again_seconds)
            again = await self._read(books, order_id)
            if set(again.told.missing) <= set(seen.told.missing):
                return again
            seen = again
        return seen

    async def _read(self, books: Books, order_id: str) -> Seen:
        for _ in range(LOOKS):
            (marks,) = await self.look(books, [order_id])
            if not marks.moving:
                break
        return Seen(explain(marks), marks.case)

    async def look(self, books: Books, ids: Sequence[str]) -> Sequence[Marks]:
        """One look at some orders, in the order of `ids`. Documents before and after everything else: what
        they say is where messages come from, and where they end. If they are the same, a message in between
        was where it was looked for, or further.
        """
        before = await books.cases_of(ids)
        marks = await self._around(books, before)
        after = await books.cases_of(ids)
        return [
            structs.replace(each, case=now, moving=now != was)
            for each, was, now in zip(marks, before, after, strict=True)
        ]

    async def at_first_sight(self, books: Books, ids: Sequence[str]) -> Sequence[Glance]:
        """What one look says of each order, in the order of `ids`. A message that it calls missing may have
        been on its way: only `explained` looks twice. Raises as that does.
        """
        return [glance(marks) for marks in await self.look(books, ids)] if ids else []

    async def previews(self, books: Books, letters: Sequence[broker.DeadLetter]) -> Sequence[Preview]:
        """What redriving each would do; all of them are about orders."""
        if not letters:
            return []
        orders = [order_in(letter) for letter in letters]
        ids = list(dict.fromkeys(orders))
        marks = dict(zip(ids, await self.look(books, ids), strict=True))
        return [
            preview.of_letter(marks[id_], _letter(each)) for id_, each in zip(orders, letters, strict=True)
        ]

    async def _around(self, books: Books, cases: Sequence[Case]) -> Sequence[Marks]:
        (unsent, depths, discarded, letters), (keys, since), at, stock = await asyncio.gather(
            self._on_the_way(books, [case.id for case in cases]),
            self._by_settings(books),
            books.now(),
            # What of it cannot be read is not gone by: the check names it.
            books.stock_of(sorted({id_ for case in cases for id_ in products_of(case)}), {}),
        )
        return [
            Marks(
                case=case,
                at=at,
                stock={id_: stock[id_] for id_ in products_of(case) if id_ in stock},
                unsent=tuple(unsent[case.id]),
                letters=tuple(_letter(each) for each in letters if _is_about(each, case.id)),
                discarded=tuple(_put_away(each) for each in discarded if _is_about(each.letter, case.id)),
                waiting={name: depth.number for name, depth in depths.items()},
                letters_read=Counter(each.queue for each in letters),
                auto_compensation=AUTO_COMPENSATION.type in keys.get(INVENTORY_EVENTS, ()),
                ships_since=since,
                stale_after=self.stale_after,
                is_local=self.access.is_local,
            )
            for case in cases
        ]

    async def _on_the_way(self, books: Books, ids: Sequence[str]) -> _OnTheWay:
        """Each after the other, in the direction in which messages go: one that moves meanwhile is found
        where it was, or where it came to, and is not nowhere.
        """
        unsent = await books.unsent(ids)
        depths = await deep(self.access.management_url, self.access.amqp_url)
        # Before the dead letters: what is restored between the two is found twice.
        discarded = await books.discarded.about(ids)
        letters = await self.letters(self.access.amqp_url)
        return _OnTheWay(unsent, depths, discarded, letters)

    async def _by_settings(self, books: Books) -> tuple[Mapping[str, AbstractSet[str]], datetime | None]:
        """Which messages come to which queue; and since when fulfilment hears of orders."""
        keys = await bound(self.access.management_url, self.access.amqp_url)
        return keys, await ships_since(books, keys)


def products_of(case: Case) -> list[str]:
    ordered = [line.product_id for line in case.order.lines] if case.order else []
    reserved = [line.product_id for line in case.reservation.lines] if case.reservation else []
    return sorted({*ordered, *reserved})


def _is_about(letter: broker.DeadLetter, order_id: str) -> bool:
    """Older publishers do not say what a message is about but in its body."""
    return letter.subject == order_id or f'"{order_id}"'.encode() in letter.body


def _put_away(letter: Discarded) -> Letter:
    return _letter(letter.letter)._replace(reason=letter.says)


def _letter(letter: broker.DeadLetter) -> Letter:
    return Letter(letter.queue, letter.id, letter.type, f"{letter.kind}: {letter.reason}", letter.body)
