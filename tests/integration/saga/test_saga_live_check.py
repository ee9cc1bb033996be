"""The live check names what is broken by hand, each by its id, while orders flow, and nothing else."""

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import pytest
from aio_pika.exceptions import AMQPError
from bson import ObjectId

from sagactl.access import Access
from sagactl.faults import UnavailableError
from sagactl.oncall.books import CHUNK, Books, reading
from sagactl.oncall.check import QUIET_SECONDS, Expected
from sagactl.oncall.explain.reading import every_letter
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.live import looking
from sagactl.oncall.live.checking import LONG_AGO, Live, check_live
from sagactl.oncall.live.judging import Terms
from sagactl.oncall.live.looking import Watch as Watching
from sagactl.oncall.live.looking import seen_empty
from sagactl.oncall.live.walking import Walk, walk
from sagactl.oncall.repair.applying import Mender, carry_out
from sagactl.oncall.repair.looking import plans
from sagactl.oncall.repair.plan import Ends, Plan
from sagactl.oncall.report import Report
from sagactl.polling import until
from sagactl.shop import Json
from services.shared.contract.events import OrderPaid
from services.shared.engine.rows import OutboxEvent, Row
from tests.integration.saga import sending
from tests.integration.saga.commands import said
from tests.integration.saga.growth import MANY, grown, profiled, used, wasteful
from tests.integration.saga.house import House
from tests.integration.saga.sending import Sending
from tests.integration.saga.shop import Shop
from tests.integration.saga.test_saga_checker import BREAKS
from tests.integration.saga.test_saga_growth import accounts, everyday
from tests.unit.indexes import Index

Found = TypeVar("Found")
# Shorter than on call, so that a test need not wait: what is on its way is known by its queues all the same.
LIVE: Final = Live(still=timedelta(seconds=2), watch=Watching(apart_seconds=QUIET_SECONDS))
CUSTOMERS: Final = 4
# Seconds between two orders of a customer's: queues at work are empty now and then.
PAUSE: Final = 0.3
# Longer than a service is away.
LONG: Final = 180.0
CARDS: Final = ("tok_success", "tok_success", "tok_declined", "tok_slow")
# What the checker at rest finds, and two more: who is to name it, and of whom.
GATEWAY_TWICE: Final = "the gateway took the money twice"
NOBODY_TOLD: Final = "nobody was told"
# By a live check alone: at rest it is the same as what was paid for and only held.
LOST: Final = "a message was lost"
# Of `make live-check`, whose shop sends goods; without, it is over once everything has been done once. Faults
# of shipments `make test` plants where it has such a shop for other reasons.
MINUTES: Final = float(os.environ.get("MINUTES", "0"))
# What is broken by hand: who is to name it and of whom, and where it is broken, and how.
BROKEN: Final = BREAKS | {
    name: (Invariant.STOCK_OWNED, "order", service, collection, change)
    for name, (service, collection, change, _) in sending.BREAKS.items()
    if MINUTES
}
PLANTED: Final = {
    **{name: (invariant, whose) for name, (invariant, whose, *_) in BROKEN.items()},
    GATEWAY_TWICE: (Invariant.MONEY_AGREES, "order"),
    NOBODY_TOLD: (Invariant.SAGA_ENDED, "order"),
}


async def check(shop: Shop, *accepted: str, live: Live = LIVE) -> Report:
    return await check_live(Access.of_stack(shop.stack.directory), Expected(accepted, shop.house.known), live)


@asynccontextmanager
async def flowing(shop: Shop, rate: float = 0) -> AsyncIterator[list[str]]:
    """Customers order: paid, declined, slow, refunded. `rate`: orders a second, where the shop bears it."""
    product = await shop.product(stock=1_000_000)
    placed: list[str] = []
    over = asyncio.Event()

    async def buy(card: str, every: float) -> None:
        await asyncio.sleep(random.uniform(0, every))  # not all at once
        while not over.is_set():
            began = time.monotonic()
            placed.append(await shop.place({product: 1}, card=card))
            await asyncio.sleep(every - (time.monotonic() - began) if rate else PAUSE)

    async def refund() -> None:
        while not over.is_set():
            order = await shop.place({product: 2})
            await shop.settles(order, "PAID", within=LONG)
            await (await shop.client("alice")).refund(order, "too many")
            placed.append(order)
            await asyncio.sleep(PAUSE)

    await shop.client("alice")
    customers = math.ceil(rate) or len(CARDS)
    every = customers / rate if rate else 0
    buying = [asyncio.create_task(buy(card, every)) for card in islice(cycle(CARDS), customers)]
    buying.append(asyncio.create_task(refund()))
    try:
        yield placed
    finally:
        over.set()
        await asyncio.gather(*buying)


async def plant(shop: Shop, name: str, order: str, product: str) -> tuple[Any, Json, str]:
    """Breaks something of an order that is paid. Returns what is to be put back, and what to delete."""
    if name in BROKEN:
        _, whose, service, collection, change = BROKEN[name]
        documents = shop.database(service)[collection]
        document_id = whose.replace("order", order).replace("product", product)
        before = await documents.find_one({"_id": document_id})
        assert before is not None
        if change is None:
            await documents.delete_one({"_id": document_id})
        else:
            await documents.update_one({"_id": document_id}, change)
        return documents, before, ""
    if name == GATEWAY_TWICE:
        documents = shop.database("payment")["gateway_ledger"]
        before = await documents.find_one({"_id": f"{order}:capture"})
        assert before is not None
        again = before | {"_id": f"{order}:again", "transactionId": "txn_again"}
        await documents.insert_one(again)
        return documents, before, str(again["_id"])
    documents = shop.database("notification")["notifications"]
    before = await documents.find_one_and_delete({"orderId": order})
    assert before is not None
    return documents, before, ""


class Fault(NamedTuple):
    """Of an order and a product of its own."""

    name: str
    order: str
    product: str

    @property
    def expected(self) -> tuple[Invariant, str]:
        """What is to be named."""
        invariant, whose = PLANTED.get(self.name, (Invariant.STOCK_OWNED, "order"))
        return invariant, self.product if whose == "product" else self.order


async def prepared(shop: Shop, names: Iterable[str]) -> list[Fault]:
    """Orders that are paid, and that nothing has touched for as long as the check asks for."""
    faults = []
    for name in names:
        product = await shop.product(stock=10)
        faults.append(Fault(name, await shop.place({product: 2}), product))
    for fault in faults:
        await shop.settles(fault.order, "PAID", within=LONG)
        await shop.stock_becomes(fault.product, (8, 0, 2), within=LONG)
        if MINUTES:
            await Sending(shop).becomes(fault.order, "READY")
    await asyncio.sleep(LIVE.still.total_seconds() + 1)
    return faults


@asynccontextmanager
async def planted(shop: Shop, faults: Sequence[Fault]) -> AsyncIterator[None]:
    """They are put right again at the end."""
    there = []
    try:
        for fault in faults:
            there += [await plant(shop, *fault)]
        yield
    finally:
        for documents, before, more in there:
            await documents.replace_one({"_id": before["_id"]}, before, upsert=True)
            await documents.delete_one({"_id": more})
        await redriven(shop, {fault.order for fault in faults})


async def redriven(shop: Shop, orders: Collection[str]) -> None:
    """What a publisher that died sends again is rejected while its order is gone."""
    amqp_url = Access.of_stack(shop.stack.directory).amqp_url
    for letter in await persistently(lambda: every_letter(amqp_url)):
        if letter.subject in orders:
            await said(shop, "letters", "redrive", letter.queue, "--id", letter.id)


# So that orders go on: what waits for a service is not cleared up by watching longer.
HASTY: Final = LIVE._replace(watch=Watching(seconds=15, apart_seconds=QUIET_SECONDS))


async def nothing_is_named_without(
    shop: Shop, service: str, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Neither while the service is away, nor right after."""
    async with shop.away(service):
        if meanwhile is not None:
            await meanwhile()
        during = await check(shop, live=HASTY)
    after = await check(shop, live=HASTY)
    assert not during.findings, during.findings
    assert not after.findings, after.findings


async def test_nothing_is_named_while_orders_flow_and_services_die(shop: Shop) -> None:
    """Paid for and not yet sold, cancelled and not yet given back: all of it is on its way."""
    async with flowing(shop) as placed:
        for service in ("inventory", "payment", "notification"):
            await nothing_is_named_without(shop, service)
        await shop.lose_broker()
        assert not (await check(shop, live=HASTY)).findings
    assert len(placed) > CUSTOMERS
    for order in placed[-CUSTOMERS:]:
        await shop.becomes(order, lambda order: bool(order["settled"]))


@asynccontextmanager
async def without_its_end(shop: Shop, order: str, product: str) -> AsyncIterator[None]:
    """As if ORDER_PAID had never reached inventory. It is put right in the end, unless somebody has."""
    inventory = shop.database("inventory")
    sold = await inventory["reservations"].find_one({"_id": order})
    assert sold is not None
    lost = {"$set": {"lines.0.state": "HELD"}, "$pop": {"seen": 1}}
    await inventory["reservations"].update_one({"_id": order}, lost)
    await inventory["stock"].update_one({"_id": product}, {"$inc": {"reserved": 2, "sold": -2}})
    try:
        yield
    finally:
        there = {"_id": order, "lines.0.state": "HELD"}
        if (await inventory["reservations"].replace_one(there, sold)).matched_count:
            await inventory["stock"].update_one({"_id": product}, {"$inc": {"reserved": -2, "sold": 2}})


@pytest.mark.parametrize("is_sent_meanwhile", [False, True])
async def test_what_is_sent_while_the_queues_are_watched_is_not_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, *, is_sent_meanwhile: bool
) -> None:
    """Once a broker is back, a queue may be seen empty, and then what waits in an outbox comes to it."""
    product = await shop.product(stock=10)
    order = await shop.place({product: 2})
    await shop.settles(order, "PAID")
    await shop.stock_becomes(product, (8, 0, 2))
    await asyncio.sleep(LIVE.still.total_seconds() + 1)
    outbox = shop.database("order")["outbox"]
    # Nobody else sends it. That it is in no queue in the end is as if a consumer had it in hand.
    at = datetime.now(UTC)
    event = OutboxEvent(f"{order}.paid", OrderPaid.type, order, "{}", None)
    row = Row(ObjectId(), (event,), at, at + timedelta(minutes=30)).to_document()

    async def sent_then_watched(access: Access, watch: Watching, queues: Collection[str]) -> Collection[str]:
        await outbox.delete_one({"_id": row["_id"]})
        return await seen_empty(access, watch, queues)

    async with without_its_end(shop, order, product):
        if is_sent_meanwhile:
            await outbox.insert_one(row)
            await is_unsent(shop, order)
            monkeypatch.setattr(looking, "seen_empty", sent_then_watched)
        found = (await check(shop, live=HASTY)).findings
        assert [each.subject for each in found] == ([] if is_sent_meanwhile else [order])
    assert not await outbox.find_one({"_id": row["_id"]})


async def is_unsent(shop: Shop, order: str) -> None:
    """Whether a few are asked about or more than a query has room for."""
    async with reading(Access.of_stack(shop.stack.directory).mongodb_url) as books:
        for others in (0, CHUNK):
            found = await books.unsent([order, *(f"none-{number}" for number in range(others))])
            assert [each.id for each in found[order]] == [f"{order}.paid"]
            assert not any(found[id_] for id_ in found if id_ != order)


# --- all of it at once, for as long as one likes ------------------------------------------------------------

# Orders a second.
RATE: Final = 40.0 if MINUTES else 5.0
# In `make test` others work beside it, and that they are named is enough.
NAMED_WITHIN_SECONDS: Final = 60.0 if MINUTES else LONG
NOWHERE: Final = "ORDER_PAID was never handled by inventory, and is nowhere"
TRIES: Final = 5
# Between one that is there again and the next that is killed.
REST_SECONDS: Final = 3.0
# Planted at a time.
SOME: Final = 6 if MINUTES else len(PLANTED) + 1


async def kill_for_ever(shop: Shop, killed: list[str]) -> None:
    """By `kill -9`, one process after the other; now and then all lose the broker."""
    services = ("inventory", "payment", "order", "notification", *(("fulfilment",) if MINUTES else ()))
    for number in count():
        replicas = shop.replicas(services[number % len(services)])
        name = replicas[number // len(services) % len(replicas)]
        await shop.stack.kill(name)
        await shop.stack.start(name)
        killed.append(name)
        if number % 10 == 9:
            await shop.lose_broker()
        await asyncio.sleep(REST_SECONDS)


async def persistently(ask: Callable[[], Awaitable[Found]]) -> Found:
    """Again where its own connection to the broker was among those that were lost."""
    for _ in range(TRIES):
        with suppress(AMQPError, OSError, UnavailableError):
            return await ask()
    return await ask()


class Watch:
    """One live check after the other, of all that there is."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.checks, self.orders, self.slowest = 0, 0, 0.0

    async def look(self, *accepted: str) -> Sequence[Finding]:
        began = time.monotonic()
        report = await persistently(lambda: check(self._shop, *accepted, live=HASTY))
        self.checks, self.orders = self.checks + 1, report.orders
        self.slowest = max(self.slowest, time.monotonic() - began)
        return report.findings

    async def named(self, faults: Collection[Fault]) -> Mapping[str, float]:
        """After how many seconds each was; nothing else may be."""
        began, seconds = time.monotonic(), dict[str, float]()
        subjects = {part for each in faults for part in each}
        while len(seconds) < len(faults) and time.monotonic() - began < 2 * NAMED_WITHIN_SECONDS:
            found = await self.look(*(each.order for each in faults))
            after = time.monotonic() - began
            assert {each.subject for each in found} <= subjects, found
            there = {(each.invariant, each.subject): each.what for each in found if not each.waiting}
            for each in faults:
                if each.expected in there:
                    assert each.name != LOST or NOWHERE in there[each.expected]
                    seconds.setdefault(each.name, after)
        return seconds


async def repaired(shop: Shop, order: str) -> None:
    """By a plan that is carried out twice."""
    access = Access.of_stack(shop.stack.directory)

    async def planned() -> Plan:
        (plan,) = await persistently(lambda: plans(access, [order], LIVE.still, HASTY.watch))
        return plan

    plan = await until(planned, lambda plan: plan.ends is Ends.MENDED, within=LONG, what="a plan for it")
    for _ in range(2):
        await persistently(lambda: carry_out(plan, Mender(access, None, "the message was lost")))


@pytest.fixture
def whole_house(house: House, request: pytest.FixtureRequest) -> None:
    """With fulfilment, where there is time to start it."""
    if MINUTES:
        assert request.getfixturevalue("open_house") is house


@pytest.mark.usefixtures("whole_house")
async def test_all_that_is_planted_is_named_in_time_and_nothing_else_while_processes_die(shop: Shop) -> None:
    """Orders flow, processes are killed; what is wrong is named within a minute; a plan twice is as once."""
    shop.patience = LONG
    began, killed, watch = time.monotonic(), list[str](), Watch(shop)
    names, seconds = cycle([*PLANTED, LOST]), dict[str, float]()

    def say() -> None:
        took = time.monotonic() - began
        print(  # noqa: T201  # how it goes, for `make live-check`
            f"{took:4.0f} s: {len(placed)} orders, {len(placed) / took:.1f}/s; {len(killed)} kills;"
            f" {watch.checks} checks, the slowest {watch.slowest:.0f} s, the last of {watch.orders} orders;"
            f" {len(seconds)} kinds of faults named, the last after {max(seconds.values(), default=0):.0f} s",
            flush=True,
        )

    async with flowing(shop, RATE) as placed:
        killing = asyncio.create_task(kill_for_ever(shop, killed))
        try:
            while len(seconds) < len(PLANTED) + 1 or time.monotonic() - began < 60 * MINUTES:
                assert not killing.done() or killing.result()
                assert not (found := await watch.look()), found
                faults = await prepared(shop, islice(names, SOME))
                lost = [each for each in faults if each.name == LOST]
                async with AsyncExitStack() as wrong:
                    for each in lost:
                        await wrong.enter_async_context(without_its_end(shop, each.order, each.product))
                    await wrong.enter_async_context(planted(shop, [e for e in faults if e.name != LOST]))
                    for name, after in (await watch.named(faults)).items():
                        seconds[name] = max(after, seconds.get(name, 0))
                    missing = {each.name for each in faults} - seconds.keys()
                    assert not missing
                    for each in lost:
                        await repaired(shop, each.order)
                        await shop.stock_becomes(each.product, (8, 0, 2))
                        assert await shop.ledger(each.order) == {"captured": 1}
                say()
        finally:
            killing.cancel()
            await asyncio.wait({killing})
            await shop.heal()
    assert killing.cancelled(), killing.exception()
    for name, after in sorted(seconds.items(), key=lambda each: each[1]):
        print(f"{after:6.1f} s  {name}")  # noqa: T201  # see above
    assert max(seconds.values()) <= NAMED_WITHIN_SECONDS
    await shop.drained()


# --- the walk ---------------------------------------------------------------------------------------------


def begun(terms: Terms) -> Walk:
    return Walk(cut=terms.cut, due=terms.due, transactions_since=LONG_AGO)


def ignore(_: Walk) -> None:
    pass


async def test_the_walk_goes_by_indexes_and_reads_no_more_than_there_is(shop: Shop) -> None:
    """And interrupted, it goes on where it was. On a shop with thousands of everything."""
    sold = await everyday(shop)
    await accounts(shop)
    access = Access.of_stack(shop.stack.directory)
    async with grown(shop, sold), reading(access.mongodb_url) as books:
        terms = Terms.at(await books.now())
        whole = begun(terms)
        async with profiled(shop, "sagactl") as operations:
            await walk(books, books.gateway, whole, ignore)
        for pages in range(1, 4):
            assert await interrupted_after(pages, books, terms) == (whole.counts, whole.suspects)
    assert whole.counts[Invariant.SAGA_ENDED] > MANY
    sums = [each for each in operations if "aggregate" in (each.get("originatingCommand") or each["command"])]
    assert sums
    assert wasteful(each for each in operations if each not in sums) == []
    assert {each["planSummary"] for each in sums} == {"IXSCAN { lines.productId: 1 }"}
    assert Index("payment", "gateway_ledger", "{ at: 1 }") in used(operations)
    # A handful of documents an order, however many there are: none is read again for the next page.
    assert sum(each.get("docsExamined", 0) for each in operations) < 12 * whole.counts[Invariant.SAGA_ENDED]


async def interrupted_after(pages: int, books: Books, terms: Terms) -> tuple[dict[Invariant, int], set[str]]:
    """What a walk has counted, and whom it suspects, that was interrupted and then gone on with."""
    walked, left = begun(terms), pages

    def keep(_: Walk) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await walk(books, books.gateway, walked, keep)
    assert walked.counts.get(Invariant.STOCK_CONSERVED) is None
    await walk(books, books.gateway, walked, ignore)
    return walked.counts, walked.suspects


async def test_a_check_that_is_interrupted_notes_how_far_it_got(shop: Shop, tmp_path: Path) -> None:
    order = await shop.place({await shop.product(): 1})
    await shop.settles(order, "PAID")
    await shop.drained()
    noted = LIVE._replace(note=tmp_path / "check.json")
    access, expected = Access.of_stack(shop.stack.directory), Expected(known=shop.house.known)

    def interrupt(_: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await check_live(access, expected, noted, progress=interrupt)
    so_far = msgspec.json.decode((tmp_path / "check.json").read_bytes(), type=Walk)
    assert so_far.orders_after
    report = await check_live(access, expected, noted)
    assert report.sound, report.findings
    assert report.counted == (await check_live(access, expected, LIVE)).counted
    assert not (tmp_path / "check.json").exists()
