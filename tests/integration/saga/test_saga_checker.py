"""The checker sees what is broken by hand, and its command line tells of dead letters and redrives them."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from sagactl import broker
from sagactl.access import Access
from sagactl.check import Expected, Report, check
from sagactl.invariants import Invariant
from sagactl.polling import until
from sagactl.shop import Json
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import REPOSITORY, Shop, new_id

# What to break (database, collection, change), and who finds it. All of an order that was paid; `order` and
# `product` stand for its id and its product's.
BREAKS: Final[dict[str, tuple[Invariant, str, str, str, Json | None]]] = {
    "a piece is lost": (Invariant.I1, "product", "inventory", "stock", {"$inc": {"available": -1}}),
    "a counter is negative": (
        Invariant.I1,
        "product",
        "inventory",
        "stock",
        {"$inc": {"available": -11, "sold": 11}},
    ),
    "stock is reserved for nobody": (
        Invariant.I2,
        "product",
        "inventory",
        "stock",
        {"$inc": {"available": -1, "reserved": 1}},
    ),
    "what was paid for is only held": (
        Invariant.I2,
        "order",
        "inventory",
        "reservations",
        {"$set": {"lines.0.state": "HELD"}},
    ),
    "the reservation is gone": (Invariant.I2, "order", "inventory", "reservations", None),
    "the gateway took another amount": (
        Invariant.I3,
        "order:capture",
        "payment",
        "gateway_ledger",
        {"$inc": {"amount": 1}},
    ),
    "the gateway knows nothing of it": (Invariant.I3, "order:capture", "payment", "gateway_ledger", None),
    "we know nothing of the capture": (Invariant.I3, "order", "payment", "payments", None),
    "the order is gone": (Invariant.I4, "order", "order", "orders", None),
    "the order is not settled": (
        Invariant.I4,
        "order",
        "order",
        "orders",
        {"$set": {"status": "CONFIRMED"}},
    ),
    "its history has a hole": (Invariant.I4, "order", "order", "orders", {"$pop": {"history": -1}}),
    "it is marked for attention": (
        Invariant.I5,
        "order",
        "inventory",
        "reservations",
        {"$push": {"attention": "odd"}},
    ),
}


def access(shop: Shop) -> Access:
    checker = shop.stack.checker
    return Access(checker["mongodbUrl"], checker["amqpUrl"], checker["managementUrl"])


async def report_on(shop: Shop, *accepted: str) -> Report:
    return await check(access(shop), Expected(accepted, shop.house.known), wait_seconds=30)


# One sound order for all tests: each puts right again what it broke.
PAID: Final[dict[Path, tuple[str, str]]] = {}


async def paid(shop: Shop) -> tuple[str, str]:
    """An order that is settled, and its product."""
    if shop.stack.directory not in PAID:
        product = await shop.product(stock=10)
        order = await shop.place({product: 2})
        await shop.settles(order, "PAID")
        PAID[shop.stack.directory] = order, product
    return PAID[shop.stack.directory]


@pytest.mark.parametrize(
    ("invariant", "whose", "service", "collection", "change"), BREAKS.values(), ids=BREAKS.keys()
)
async def test_what_is_broken_by_hand_is_found(
    shop: Shop, invariant: Invariant, whose: str, service: str, collection: str, change: Json | None
) -> None:
    order, product = await paid(shop)
    document_id = whose.replace("order", order).replace("product", product)
    documents = shop.database(service)[collection]
    before = await documents.find_one({"_id": document_id})
    assert before is not None
    if change is None:
        await documents.delete_one({"_id": document_id})
    else:
        await documents.update_one({"_id": document_id}, change)
    try:
        report = await report_on(shop, order)
    finally:
        await documents.replace_one({"_id": document_id}, before, upsert=True)
    named = {finding.subject for finding in report.of(invariant)}
    assert (product if whose == "product" else order) in named
    assert {finding.subject for finding in report.findings} <= {order, product}


async def test_an_order_that_nobody_was_told_of_is_found(shop: Shop) -> None:
    order, _ = await paid(shop)
    notifications = shop.database("notification")["notifications"]
    before = await notifications.find_one_and_delete({"orderId": order})
    assert before is not None
    try:
        report = await report_on(shop, order)
    finally:
        await notifications.insert_one(before)
    assert [(each.invariant, each.subject) for each in report.findings] == [(Invariant.I4, order)]


async def test_what_has_not_come_to_rest_is_found(shop: Shop) -> None:
    outbox = shop.database("order")["outbox"]
    # Of the future, for what is old is swept.
    at = datetime.now(UTC) + timedelta(hours=1)
    stuck: Json = {"_id": "stuck", "owner": "nobody", "at": at, "events": []}
    await outbox.insert_one(stuck)
    try:
        report = await check(access(shop), Expected(known=shop.house.known), wait_seconds=1)
    finally:
        await outbox.delete_one({"_id": "stuck"})
    assert [(each.invariant, each.subject) for each in report.findings] == [
        (Invariant.DRAINED, "outbox of order")
    ]


async def sagactl(shop: Shop, *arguments: str, exits: int = 0) -> str:
    """Its standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sagactl", *arguments, "--stack", str(shop.stack.directory)),
        cwd=REPOSITORY,
        env={"COLUMNS": "250", "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'operator'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == exits, f"{out.decode()}\n{error.decode()}"
    return out.decode()


async def test_a_dead_letter_is_explained_and_redriven_by_the_command_line(shop: Shop) -> None:
    order = new_id()
    secret = (
        b'{"orderId": "' + order.encode() + b'", "paymentToken": "tok \\" secret", "nonsense": "[/]\x1b[2J"}'
    )
    await shop.publish("STOCK_RESERVED", secret, message_id=order)

    async def dead() -> bool:
        letters = await broker.dead_letters(access(shop).amqp_url, ["STOCK_RESERVED"], 100)
        return [letter.id for letter in letters].count(order) == 1

    await until(dead, within=PATIENCE, what="dead")
    listed = await sagactl(shop, "dlq", "list")
    assert order in listed
    assert "invalid" in listed
    shown = await sagactl(shop, "dlq", "show", "STOCK_RESERVED", order)
    assert "secret" not in shown
    assert "\x1b" not in shown
    assert '"paymentToken": "***"' in shown
    broken = json.loads(await sagactl(shop, "check", "--json", *_known(shop), exits=1))
    assert [(each["invariant"], each["subject"]) for each in broken["findings"]] == [("I5", order)]
    assert (await check(access(shop), Expected(known={*shop.house.known, order}))).sound
    assert "1 redriven" in await sagactl(shop, "redrive", "STOCK_RESERVED", "--id", order)
    await until(dead, within=PATIENCE, what="dead")  # it is as bad as before, and came back once
    again = await shop.dead_letter("STOCK_RESERVED", order)
    assert again.message_id == order
    assert again.body == secret


def _known(shop: Shop) -> list[str]:
    return [argument for order in sorted(shop.house.known) for argument in ("--expect", order)]


@pytest.mark.parametrize("force", [False, True])
async def test_what_the_inbox_has_forgotten_is_redriven_by_force_alone(shop: Shop, *, force: bool) -> None:
    id_ = new_id()
    old: dict[str, Any] = {
        "x-first-failed-at": "2020-01-01T00:00:00+00:00",
        "x-error": "long ago",
        "x-error-kind": "failed",
        "x-attempts": 4,
    }
    await shop.publish("payment-events.dlq", b"nonsense", message_id=id_, headers=old)
    arguments = ["redrive", "payment-events", "--id", id_, *(["--force"] if force else [])]
    out = await sagactl(shop, *arguments, exits=0 if force else 1)
    assert ("1 redriven" in out) is force
    letter = await shop.dead_letter("payment-events", "nonsense")
    # Redriven, it failed anew, for a reason of its own.
    assert (letter.headers["x-error-kind"] == "invalid") is force
    assert (letter.headers["x-attempts"] == 1) is force
