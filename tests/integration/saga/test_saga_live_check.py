"""The live check names what is broken by hand, each by its id, while orders flow, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sagactl.access import Access
from sagactl.oncall.books import Books, reading
from sagactl.oncall.check import Expected
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.live.checking import LONG_AGO, Live, check_live
from sagactl.oncall.live.judging import Terms
from sagactl.oncall.live.walking import Walk, walk
from sagactl.oncall.report import Report
from sagactl.shop import Json
from tests.integration.saga.growth import MANY, grown, profiled, used, wasteful
from tests.integration.saga.shop import Shop
from tests.integration.saga.test_saga_checker import BREAKS
from tests.integration.saga.test_saga_growth import accounts, everyday
from tests.unit.indexes import Index

# Shorter than on call, so that a test need not wait: what is on its way is known by its queues all the same.
LIVE: Final = Live(still=timedelta(seconds=2))
CUSTOMERS: Final = 4
# Seconds between two orders of a customer's: queues at work are empty now and then.
PAUSE: Final = 0.3
# Longer than a service is away.
LONG: Final = 180.0
# On a machine that is busy with other things queues may be full for as long as one check looks.
CHECKS: Final = 5
CARDS: Final = ("tok_success", "tok_success", "tok_declined", "tok_slow")
# What the checker at rest finds, and two more: who is to name it, and of whom.
GATEWAY_TWICE: Final = "the gateway took the money twice"
NOBODY_TOLD: Final = "nobody was told"
PLANTED: Final = {
    **{name: (invariant, whose) for name, (invariant, whose, *_) in BREAKS.items()},
    GATEWAY_TWICE: (Invariant.MONEY_AGREES, "order"),
    NOBODY_TOLD: (Invariant.SAGA_ENDED, "order"),
}


async def check(shop: Shop, *accepted: str, live: Live = LIVE) -> Report:
    return await check_live(Access.of_stack(shop.stack.directory), Expected(accepted, shop.house.known), live)


@asynccontextmanager
async def flowing(shop: Shop) -> AsyncIterator[list[str]]:
    """Customers order: paid, declined, slow, refunded."""
    product = await shop.product(stock=100_000)
    placed: list[str] = []
    over = asyncio.Event()

    async def buy(card: str) -> None:
        while not over.is_set():
            placed.append(await shop.place({product: 1}, card=card))
            await asyncio.sleep(PAUSE)

    async def refund() -> None:
        while not over.is_set():
            order = await shop.place({product: 2})
            await shop.settles(order, "PAID", within=LONG)
            await (await shop.client("alice")).refund(order, "too many")
            placed.append(order)
            await asyncio.sleep(PAUSE)

    buying = [asyncio.create_task(buy(card)) for card in CARDS]
    buying.append(asyncio.create_task(refund()))
    try:
        yield placed
    finally:
        over.set()
        await asyncio.gather(*buying)


async def plant(shop: Shop, name: str, order: str, product: str) -> tuple[Any, Json, str]:
    """Breaks something of an order that is paid. Returns what is to be put back, and what to delete."""
    if name in BREAKS:
        _, whose, service, collection, change = BREAKS[name]
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


async def test_what_is_broken_by_hand_is_named_by_its_id_while_orders_flow(shop: Shop) -> None:
    """All at once, each of an order and a product of its own."""
    products = [await shop.product(stock=10) for _ in PLANTED]
    orders = [await shop.place({product: 2}) for product in products]
    for order, product in zip(orders, products, strict=True):
        await shop.settles(order, "PAID")
        await shop.stock_becomes(product, (8, 0, 2))
    await shop.drained()
    await asyncio.sleep(LIVE.still.total_seconds() + 1)
    planted = []
    async with flowing(shop):
        try:
            for name, order, product in zip(PLANTED, orders, products, strict=True):
                planted.append(await plant(shop, name, order, product))
            expected = {
                (invariant, product if whose == "product" else order)
                for (invariant, whose), order, product in zip(PLANTED.values(), orders, products, strict=True)
            }
            found = await found_in_the_end(shop, expected, *orders)
        finally:
            for documents, before, more in planted:
                await documents.replace_one({"_id": before["_id"]}, before, upsert=True)
                await documents.delete_one({"_id": more})
    assert {each.subject for each in found} <= {*orders, *products}
    assert all(not each.waiting for each in found), found


async def found_in_the_end(
    shop: Shop, expected: Collection[tuple[Invariant, str]], *accepted: str
) -> Sequence[Finding]:
    """All that was named, once everything was that is expected."""
    found: dict[Finding, None] = {}
    for _ in range(CHECKS):
        found |= dict.fromkeys((await check(shop, *accepted)).findings)
        if {(each.invariant, each.subject) for each in found} >= set(expected):
            break
    assert {(each.invariant, each.subject) for each in found} >= set(expected), found
    return list(found)


async def test_nothing_is_named_while_orders_flow_and_services_die(shop: Shop) -> None:
    """Paid for and not yet sold, cancelled and not yet given back: all of it is on its way."""
    # So that orders go on: what waits for a service is not cleared up by watching longer.
    hasty = LIVE._replace(watch_seconds=5)
    async with flowing(shop) as placed:
        for service in ("inventory", "payment", "notification"):
            async with shop.away(service):
                during = await check(shop, live=hasty)
            after = await check(shop, live=hasty)
            assert not during.findings, during.findings
            assert not after.findings, after.findings
        await shop.lose_broker()
        assert not (await check(shop, live=hasty)).findings
    assert len(placed) > CUSTOMERS
    for order in placed[-CUSTOMERS:]:
        await shop.becomes(order, lambda order: bool(order["settled"]))


async def test_a_lost_message_is_named_though_its_queue_is_never_at_rest(shop: Shop) -> None:
    product = await shop.product(stock=10)
    order = await shop.place({product: 2})
    await shop.settles(order, "PAID")
    await shop.stock_becomes(product, (8, 0, 2))
    # As if ORDER_PAID had never reached inventory.
    inventory = shop.database("inventory")
    sold = await inventory["reservations"].find_one({"_id": order})
    assert sold is not None
    await inventory["reservations"].update_one(
        {"_id": order}, {"$set": {"lines.0.state": "HELD"}, "$pop": {"seen": 1}}
    )
    await inventory["stock"].update_one({"_id": product}, {"$inc": {"reserved": 2, "sold": -2}})
    try:
        await asyncio.sleep(LIVE.still.total_seconds() + 1)
        async with flowing(shop):
            (finding,) = await found_in_the_end(shop, {(Invariant.STOCK_OWNED, order)})
    finally:
        await inventory["reservations"].replace_one({"_id": order}, sold)
        await inventory["stock"].update_one({"_id": product}, {"$inc": {"reserved": -2, "sold": 2}})
    assert not finding.waiting
    assert "ORDER_PAID was never handled by inventory, and is nowhere" in finding.what


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
