"""Carries out a job, letter by letter, and follows what it sent until each has come to something."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

from msgspec import structs

from sagactl.access import Access
from sagactl.oncall import broker, discarded
from sagactl.oncall.books import CHUNK, Books, reading
from sagactl.oncall.broker import AT_ONCE, DeadLetter
from sagactl.oncall.depths import depths
from sagactl.oncall.discarded import Discarded, keeping, put_back
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.jobs.job import Change, Chosen, Job, Outcome, Selector, Step, Verb, followed
from sagactl.oncall.redrive import discard, redrive
from services.shared.contract import topology, wire
from services.shared.contract.audit import Action, Actor
from services.shared.contract.identity import digest
from services.shared.waiting import end

ACTIONS: Final = {
    Verb.REDRIVE: Action.LETTERS_REDRIVEN,
    Verb.DISCARD: Action.LETTER_DELETED,
    Verb.RESTORE: Action.LETTER_RESTORED,
}
# What becomes of a letter in its turn.
DONE: Final = {
    Verb.REDRIVE: Outcome.SENT,
    Verb.DISCARD: Outcome.DISCARDED,
    Verb.RESTORE: Outcome.RESTORED,
}
LOOK_SECONDS: Final = 1.0
STOPPED_WITHIN_SECONDS: Final = 0.3
# So long after something was sent the broker's statistics count it: five seconds where nobody set it.
STATISTICS_LATE_SECONDS: Final = 6.0
Progress: TypeAlias = Callable[[Job], None]
# Puts on the audit trail what is about to be done, such as `orders: 3`. Raises PyMongoError.
Ask: TypeAlias = Callable[[str], Awaitable[None]]


class Record(Protocol):
    """A job, of which every change is written down before anything is built on it."""

    @property
    def job(self) -> Job: ...

    async def add(self, *changes: Change) -> None: ...


async def chosen(where: Access, verb: Verb, selector: Selector) -> Sequence[Chosen]:
    """Those letters that it selects, dead or discarded; they stay where they are."""
    queues = selector.queues or tuple(broker.QUEUES)
    if verb is Verb.RESTORE:
        found = await _kept(where, queues)
    else:
        found = [*map(as_chosen, await broker.dead_letters(where.amqp_url, queues, AT_ONCE))]
    return [each for each in found if selector.matches(each)]


async def _kept(where: Access, queues: Sequence[str]) -> Sequence[Chosen]:
    """The latest of each queue first. Of letters that were given one id, which are taken back together, the
    latest.
    """
    async with discarded.opened(where.mongodb_url) as kept:
        letters = [each for queue in queues for each in await kept.latest(queue, AT_ONCE)]
    found: dict[tuple[str, str], Chosen] = {}
    for letter in letters:
        found.setdefault((letter.queue, letter.message), of_discarded(letter))
    return [*found.values()]


def of_discarded(letter: Discarded) -> Chosen:
    return structs.replace(as_chosen(letter.letter), discarded_at=letter.at, discarded_for=letter.reason)


def as_chosen(letter: DeadLetter) -> Chosen:
    at = letter.first_failed
    return Chosen(letter.queue, letter.id, _about(letter), letter.type, letter.kind, letter.reason, at)


def _about(letter: DeadLetter) -> str:
    """Older publishers say it in the body alone; what cannot be read is about nothing."""
    if letter.subject:
        return letter.subject
    try:
        return wire.decode(letter.queue, letter.body).subject
    except wire.InvalidMessage:
        return ""


async def carry_out(
    where: Access,
    record: Record,
    ask: Ask,
    by: Actor,
    *,
    rate: float,
    within: float,
    progress: Progress = lambda _: None,
) -> None:
    """All that is left to be done, for whom `by` names. `rate`: letters a second; `within`: seconds to wait
    for what was sent.
    """
    await _act(where, record, ask, by, rate, progress)
    if record.job.verb is Verb.REDRIVE:
        await _follow(where, record, within, progress)


async def carry_on(work: Coroutine[Any, Any, None], is_to_stop: Callable[[], bool]) -> bool:
    """Whether the work came to its end; not where somebody stopped it meanwhile. It is broken off then as by
    a kill: what it has sent and not written down is found when it is resumed.
    """
    task = asyncio.create_task(work)
    while not task.done():
        if is_to_stop():
            await end([task])
            if not task.cancelled():
                task.result()
            return False
        await asyncio.wait({task}, timeout=STOPPED_WITHIN_SECONDS)
    await task
    return True


async def _act(where: Access, record: Record, ask: Ask, by: Actor, rate: float, progress: Progress) -> None:
    job = record.job
    by_queue: dict[str, dict[str, int]] = {}
    for number, step in job.of(Outcome.PLANNED).items():
        by_queue.setdefault(step.letter.queue, {})[step.letter.id] = number
    done = DONE[job.verb]
    for queue, numbers in by_queue.items():
        # What cannot be recorded is not done.
        await ask(f"{queue}: {len(numbers)}")

        async def told(id_: str, numbers: dict[str, int] = numbers) -> None:
            if id_ in numbers:
                await record.add(Change(numbers[id_], done, datetime.now(UTC)))
                progress(record.job)
                await asyncio.sleep(1 / rate)

        match job.verb:
            case Verb.REDRIVE:
                await redrive(where.amqp_url, queue, numbers, told)
            case Verb.DISCARD:
                async with keeping(where.mongodb_url, by, job.reason) as keep:
                    await discard(where.amqp_url, queue, numbers, keep, told)
            case Verb.RESTORE:
                await put_back(where, queue, numbers, told)
        await _note_absent(where, record, queue, numbers)


async def _note_absent(where: Access, record: Record, queue: str, numbers: Mapping[str, int]) -> None:
    """What was not where it had been when its turn came: it was moved just before this was killed, or by
    somebody else. A dead letter that somebody was looking at is still there, and is left for another time.
    """
    there = {each.id for each in await broker.dead_letters(where.amqp_url, [queue], AT_ONCE)}
    planned, verb = record.job.of(Outcome.PLANNED), record.job.verb
    left = {id_: number for id_, number in numbers.items() if number in planned}
    if verb is Verb.RESTORE:
        became = {number: DONE[verb] if id_ in there else Outcome.GONE for id_, number in left.items()}
    else:
        became = {number: DONE[verb] for id_, number in left.items() if id_ not in there}
    if became:
        await record.add(*(Change(number, outcome, datetime.now(UTC)) for number, outcome in became.items()))


async def _follow(where: Access, record: Record, within: float, progress: Progress) -> None:
    began = time.monotonic()
    end = began + within
    async with reading(where.mongodb_url) as books:
        while sent := record.job.of(Outcome.SENT):
            steps = [*sent.values()]
            queues = {step.letter.queue for step in steps}
            # In this order: what has left a queue has a mark by then, or is dead, or nothing came of it.
            is_counted = time.monotonic() - began > STATISTICS_LATE_SECONDS
            empty = await _empty(where, queues) if is_counted else ()
            handled = await _handled(books, steps)
            letters = await broker.dead_letters(where.amqp_url, queues, AT_ONCE)
            dead = {(each.queue, each.id): f"{each.kind}: {each.reason}" for each in letters}
            changes = [*followed(record.job, dead, handled, empty, datetime.now(UTC))]
            if changes:
                await record.add(*changes)
                progress(record.job)
            if time.monotonic() >= end:
                return
            if not record.job.is_over:
                await asyncio.sleep(LOOK_SECONDS)


async def _empty(where: Access, queues: Collection[str]) -> Collection[str]:
    """Those in which, and in whose retry queues, there is nothing."""
    found = await depths(where.management_url, where.amqp_url)
    places = {queue: {*topology.all_queues(queue)} - {topology.dead_letter_queue(queue)} for queue in queues}
    return {queue for queue, names in places.items() if not any(found[name].number for name in names)}


async def _handled(books: Books, steps: Sequence[Step]) -> Collection[tuple[str, str]]:
    """Letters (queue, id) that have left a mark on the order, or the product, that they are about."""
    found: set[tuple[str, str]] = set()
    at = datetime.now(UTC)
    subjects = sorted({step.letter.subject for step in steps if step.letter.subject})
    for start in range(0, len(subjects), CHUNK):
        some = subjects[start : start + CHUNK]
        marks = {case.id: Marks(case=case, at=at) for case in await books.cases_of(some)}
        stock = await books.stock_of(some, {})
        for letter in (step.letter for step in steps):
            of_order, of_product = marks.get(letter.subject), stock.get(letter.subject)
            by_product = of_product is not None and digest(letter.queue, letter.id) in of_product.seen
            if by_product or (of_order is not None and of_order.handled(letter.queue, letter.id)):
                found.add((letter.queue, letter.id))
    return found
