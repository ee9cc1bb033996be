"""The checker sees what is broken by hand, and its command line tells of dead letters and redrives them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from dev.services import REPOSITORY
from sagactl.access import URLS, Access
from sagactl.exits import Exit
from sagactl.oncall import broker
from sagactl.oncall.check import Expected, Known, check
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.live.checking import Live, check_live
from sagactl.oncall.live.looking import Watch
from sagactl.oncall.report import Report, Verdict
from sagactl.polling import until
from sagactl.shop import Json
from services.notification.endpoints import GONE, Endpoint, EndpointState
from services.shared.database.store import to_document
from tests.forms import document
from tests.integration.command_line import called
from tests.integration.saga.commands import sagactl, said
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop, new_id

# What to break (database, collection, change), and who finds it. All of an order that was paid; `order` and
# `product` stand for its id and its product's.
BREAKS: Final[dict[str, tuple[Invariant, str, str, str, Json | None]]] = {
    "a piece is lost": (
        Invariant.STOCK_CONSERVED,
        "product",
        "inventory",
        "stock",
        {"$inc": {"available": -1}},
    ),
    "a counter is negative": (
        Invariant.STOCK_CONSERVED,
        "product",
        "inventory",
        "stock",
        {"$inc": {"available": -11, "sold": 11}},
    ),
    "stock is reserved for nobody": (
        Invariant.STOCK_OWNED,
        "product",
        "inventory",
        "stock",
        {"$inc": {"available": -1, "reserved": 1}},
    ),
    "what was paid for is only held": (
        Invariant.STOCK_OWNED,
        "order",
        "inventory",
        "reservations",
        {"$set": {"lines.0.state": "HELD"}},
    ),
    "the reservation is gone": (Invariant.STOCK_OWNED, "order", "inventory", "reservations", None),
    "the gateway took another amount": (
        Invariant.MONEY_AGREES,
        "order:capture",
        "payment",
        "gateway_ledger",
        {"$inc": {"amount": 1}},
    ),
    "the gateway knows nothing of it": (
        Invariant.MONEY_AGREES,
        "order:capture",
        "payment",
        "gateway_ledger",
        None,
    ),
    "we know nothing of the capture": (Invariant.MONEY_AGREES, "order", "payment", "payments", None),
    "the order is gone": (Invariant.SAGA_ENDED, "order", "order", "orders", None),
    "the order is not settled": (
        Invariant.SAGA_ENDED,
        "order",
        "order",
        "orders",
        {"$set": {"status": "CONFIRMED"}},
    ),
    "its history has a hole": (Invariant.SAGA_ENDED, "order", "order", "orders", {"$pop": {"history": -1}}),
    "its total is not what its lines cost": (
        Invariant.MONEY_AGREES,
        "order",
        "order",
        "orders",
        {"$inc": {"total": 1}},
    ),
    "the stock row of a product is gone": (Invariant.STOCK_CONSERVED, "product", "inventory", "stock", None),
    "it is marked for attention": (
        Invariant.EXPLAINED,
        "order",
        "inventory",
        "reservations",
        {
            "$push": {
                "attention": {
                    "at": datetime.now(UTC),
                    "event": "ORDER_PAID",
                    "eventId": "event-1",
                    "reason": "odd",
                }
            }
        },
    ),
}


def access(shop: Shop) -> Access:
    checker = shop.stack.checker
    return Access(checker["mongodbUrl"], checker["amqpUrl"], checker["managementUrl"])


async def report_on(shop: Shop, *accepted: str) -> Report:
    """At once: nothing is under way that the broker would tell of late."""
    expected = Expected(accepted, shop.house.known)
    return await check(access(shop), expected, wait_seconds=PATIENCE, quiet_seconds=0.1)


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
    assert [(each.invariant, each.subject) for each in report.findings] == [(Invariant.SAGA_ENDED, order)]


# As a later release may write it, or somebody by hand: where, whose, and what.
LATER: Final[list[tuple[str, str, str, Json]]] = [
    ("order", "orders", "order", {"status": "SOON"}),
    ("inventory", "reservations", "order", {"lines.0.state": "SOON"}),
    ("payment", "payments", "order", {"state": "SOON"}),
    ("payment", "gateway_ledger", "order:capture", {"status": "SOON"}),
    ("notification", "notifications", "told", {"state": "SOON"}),
    ("inventory", "stock", "product", {"available": "many"}),
    ("product", "products", "product", {"price": "nothing"}),
]


@pytest.fixture
async def unreadable(shop: Shop) -> AsyncIterator[tuple[str, str]]:
    """An order and its product, of which no document can be read."""
    order, product = await paid(shop)
    told = await shop.database("notification")["notifications"].find_one({"orderId": order})
    assert told is not None
    before: list[tuple[str, str, Json]] = []
    try:
        for service, collection, whose, change in LATER:
            id_ = whose.replace("order", order).replace("product", product).replace("told", told["_id"])
            document = await shop.database(service)[collection].find_one_and_update(
                {"_id": id_}, {"$set": change}
            )
            assert document is not None
            before.append((service, collection, document))
        yield order, product
    finally:
        for service, collection, document in before:
            await shop.database(service)[collection].replace_one({"_id": document["_id"]}, document)


async def test_what_cannot_be_read_is_named_and_everything_else_is_looked_at(
    shop: Shop, unreadable: tuple[str, str]
) -> None:
    order, product = unreadable
    other = await shop.product(stock=10)
    broken = await shop.place({other: 1})
    await shop.settles(broken, "PAID")
    orders = shop.database("order")["orders"]
    await orders.update_one({"_id": broken}, {"$inc": {"total": 1}})
    still = timedelta(seconds=1)
    try:
        await asyncio.sleep(still.total_seconds())
        reports = {
            "at rest": await report_on(shop, order, broken),
            "live": await check_live(
                access(shop), Expected([order, broken], shop.house.known), Live(still, watch=Watch(seconds=0))
            ),
        }
    finally:
        await orders.update_one({"_id": broken}, {"$inc": {"total": -1}})
    for name, report in reports.items():
        of_money = report.of(Invariant.MONEY_AGREES)
        assert {each.subject for each in of_money} == {broken}, name
        unread = report.of(Invariant.EXPLAINED)
        assert len(unread) + len(of_money) == len(report.findings), (name, report.findings)
        places = sorted((each.subject, each.what.partition("/")[0]) for each in unread)
        at_order = ("gateway_ledger", "notifications", "orders", "payments", "reservations")
        assert places == sorted([(order, place) for place in at_order] + [(product, "stock")]), name
        assert report.verdict is Verdict.BROKEN


async def test_commands_about_what_cannot_be_read_say_what_that_is(
    shop: Shop, unreadable: tuple[str, str]
) -> None:
    order, product = unreadable
    told = document(await said(shop, "check", "--order", order, "--still", "1", "-o", "json", exits=1))
    assert {each["name"] for each in told["findings"]} == {"EXPLAINED"}
    explained = document(await said(shop, "explain", order, "-o", "json", exits=1))
    assert (explained["verdict"], explained["hops"]) == ("unknown", [])
    assert f"orders/{order} is not as this release writes it" in explained["because"]
    (plan,) = document(await said(shop, "repair", order, "-o", "json", exits=1))["plans"]
    assert (plan["ends"], plan["steps"]) == ("byHand", [])
    for *command, place in (
        ("orders", "show", order, f"gateway_ledger/{order}:capture"),
        ("payments", "show", order, f"payments/{order}"),
        ("stock", "show", product, f"/{product}"),
    ):
        result = await sagactl(shop, *command)
        assert result.exit_code == Exit.UNREACHED, result.output
        assert f"{place} is not as this release writes it" in result.stderr
        assert "A newer release wrote it" in result.stderr


async def test_endpoints_that_are_disabled_and_mails_that_wait_are_told_and_break_nothing(shop: Shop) -> None:
    order, _ = await paid(shop)
    at = datetime.now(UTC)
    endpoint = Endpoint(
        id=new_id(),
        url="https://partner.example/hook/secret",
        state=EndpointState.DISABLED,
        reason=GONE,
        created_at=at,
        updated_at=at,
    )
    database = shop.database("notification")
    await database[Endpoint.collection].insert_one(to_document(endpoint))
    mail = await database["notifications"].find_one_and_update(
        {"orderId": order}, {"$set": {"state": "WAITING"}}
    )
    assert mail is not None
    await asyncio.sleep(1.1)  # as long as `--still`
    by_hand = ("--still", "1", *_known(shop))
    try:
        reports = [
            document(await said(shop, "check", *way, *by_hand, "-o", "json")) for way in ((), ("--live",))
        ]
        of_order = document(await said(shop, "check", "--order", order, *by_hand, "-o", "json"))
        text = await said(shop, "check", "--live", *by_hand)
    finally:
        await database["notifications"].replace_one({"_id": mail["_id"]}, mail)
        await database[Endpoint.collection].delete_one({"_id": endpoint.id})
    for report in reports:
        assert (report["verdict"], report["findings"]) == ("holds", [])
        told = {each["subject"]: each["what"] for each in report["notes"]}
        assert told.keys() == {endpoint.id, mail["_id"]}
        assert f"at partner.example, disabled since {at:%Y-%m-%d %H:%M:%S} UTC: {GONE}" in told[endpoint.id]
        assert f"about order {order}, waits since" in told[mail["_id"]]
        assert "secret" not in str(told)
    assert [each["subject"] for each in of_order["notes"]] == [mail["_id"]]
    assert f"note {endpoint.id}: " in text
    assert f"note {mail['_id']}: " in text


async def test_what_has_not_come_to_rest_is_found(shop: Shop) -> None:
    outbox = shop.database("order")["outbox"]
    await shop.drained()
    # Nobody's, for what is due is swept.
    stuck: Json = {"_id": "stuck", "at": datetime.now(UTC), "events": []}
    await outbox.insert_one(stuck)
    try:
        report = await check(access(shop), Expected(known=shop.house.known), wait_seconds=1, still_seconds=1)
    finally:
        await outbox.delete_one({"_id": "stuck"})
    assert [(each.invariant, each.subject) for each in report.findings] == [
        (Invariant.DRAINED, "outbox of order"),
        (Invariant.REMEMBERED, "outbox of order"),
    ]


async def test_what_is_known_of_an_order_hides_nothing_else_about_it(shop: Shop) -> None:
    order, _ = await paid(shop)
    ledger = shop.database("payment")["gateway_ledger"]
    capture = await ledger.find_one({"_id": f"{order}:capture"})
    assert capture is not None
    again = capture | {"_id": f"{order}:capture-again"}
    await ledger.insert_one(again)
    try:
        report = await check(access(shop), Expected(known={*shop.house.known, Known(order)}))
    finally:
        await ledger.delete_one({"_id": again["_id"]})
    assert {(each.invariant, each.subject) for each in report.findings} == {(Invariant.MONEY_AGREES, order)}


async def test_under_traffic_only_what_stands_still_is_found(shop: Shop) -> None:
    """Orders on their way look unsettled, paid for and not yet sold, captured and not yet paid."""
    broken, _ = await paid(shop)
    documents = shop.database("order")["orders"]
    before = await documents.find_one({"_id": broken})
    assert before is not None
    bought = await shop.product(stock=10_000)
    over = asyncio.Event()

    async def buy() -> list[str]:
        placed = []
        while not over.is_set():
            placed.append(await shop.place({bought: 1}))
        return placed

    customers = [asyncio.create_task(buy()) for _ in range(4)]
    await asyncio.sleep(1)
    await documents.update_one({"_id": broken}, {"$set": {"status": "CONFIRMED"}})
    try:
        report = await check(access(shop), Expected(known=shop.house.known), wait_seconds=2, still_seconds=8)
    finally:
        over.set()
        placed = [order for orders in await asyncio.gather(*customers) for order in orders]
        await documents.replace_one({"_id": broken}, before)
    assert {each.subject for each in report.findings} == {broken}, report.findings
    for order in placed[-4:]:
        await shop.settles(order, "PAID")


def at_vhost(amqp_url: str, vhost: str) -> str:
    return urlsplit(amqp_url)._replace(path=f"/{vhost}").geturl()


async def test_another_vhost_is_not_taken_for_an_empty_one(shop: Shop) -> None:
    await shop.management("PUT", "vhosts/empty", {})
    tools = access(shop)
    user = urlsplit(tools.management_url).username
    await shop.management("PUT", f"permissions/empty/{user}", {"configure": "", "write": "", "read": ".*"})
    try:
        seen = await broker.queues(tools.management_url, at_vhost(tools.amqp_url, "empty"))
    finally:
        await shop.management("DELETE", "vhosts/empty")
    assert (seen.vhost, seen.seen) == ("empty", frozenset())
    ours = await broker.queues(tools.management_url, tools.amqp_url)
    assert ours.seen == broker.LIVE
    with pytest.raises(broker.BrokerError, match="no vhost nowhere"):
        await broker.queues(tools.management_url, at_vhost(tools.amqp_url, "nowhere"))


@pytest.mark.parametrize("lies", ["MONGODB_URL", "AMQP_URL", "MANAGEMENT_URL"])
async def test_a_server_that_refuses_a_password_ends_a_command_with_5(shop: Shop, lies: str) -> None:
    tools = access(shop)
    urls = dict(zip(URLS, (tools.mongodb_url, tools.amqp_url, tools.management_url), strict=True))
    password = urlsplit(urls[lies]).password or ""
    urls[lies] = urls[lies].replace(f":{password}@", ":wrong@")
    result = await called("status", environment=urls)
    assert result.exit_code == Exit.NOT_ALLOWED, result.output


async def as_a_process(shop: Shop, *arguments: str) -> str:
    """As it is called on a command line: what it says when it succeeds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sagactl", *arguments, "--stack", str(shop.stack.directory)),
        cwd=REPOSITORY,
        env={"COLUMNS": "250", "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'operator'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, f"{out.decode()}\n{error.decode()}"
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
    listed = await said(shop, "letters", "list")
    assert order in listed
    assert "invalid" in listed
    shown = await said(shop, "letters", "show", "STOCK_RESERVED", order)
    assert "secret" not in shown
    assert "\x1b" not in shown
    assert '"paymentToken": "***"' in shown
    broken = document(await said(shop, "check", "-o", "json", *_known(shop), exits=1))
    assert [(each["name"], each["subject"]) for each in broken["findings"]] == [("EXPLAINED", order)]
    assert (await check(access(shop), Expected(known={*shop.house.known, Known(order)}))).sound
    assert "1 dead letter redriven" in await said(shop, "letters", "redrive", "STOCK_RESERVED", "--id", order)
    await until(dead, within=PATIENCE, what="dead")  # it is as bad as before, and came back once
    again = await shop.dead_letter("STOCK_RESERVED", order)
    assert again.message_id == order
    assert again.body == secret


async def test_a_dead_letter_is_discarded_by_the_command_line(shop: Shop) -> None:
    id_, other = new_id(), new_id()
    for each in (id_, other):
        await shop.publish("payment-events.dlq", b"nonsense", message_id=each)
    agreed = ("--reason", "of another system", "--yes")
    assert "discarded" in await said(shop, "letters", "discard", "payment-events", id_, *agreed)
    left = document(await said(shop, "letters", "list", "--queue", "payment-events", "-o", "json"))
    assert [each["id"] for each in left["items"]] == [other]
    named = await said(shop, "letters", "list", "--queue", "payment-events", "-o", "name")
    assert named.split() == [other]
    (shown,) = document(await said(shop, "letters", "show", "payment-events", other, "-o", "json"))["items"]
    assert (shown["id"], shown["body"]) == (other, "nonsense")
    await said(shop, "letters", "discard", "payment-events", id_, *agreed, exits=1)
    assert "discarded" in await said(shop, "letters", "discard", "payment-events", other, *agreed)
    assert "No dead letters in payment-events" in await said(
        shop, "letters", "list", "--queue", "payment-events"
    )


async def test_while_a_service_is_down_its_orders_wait_and_nothing_is_broken(shop: Shop) -> None:
    product = await shop.product(stock=10)
    async with shop.away("inventory"):
        order = await shop.place({product: 2})
        waits = ("--wait", "3", "--still", "2", *_known(shop))
        told = document(await said(shop, "check", "-o", "json", *waits, exits=3))
        assert "PENDING" in await said(shop, "orders", "show", order)
    assert told["verdict"] == "waiting"
    assert (order, "SAGA_ENDED") in {(each["subject"], each["name"]) for each in told["findings"]}
    await shop.settles(order, "PAID")


async def test_an_order_is_shown_with_its_timeline_and_without_its_card(shop: Shop) -> None:
    order, product = await paid(shop)
    shown = await as_a_process(shop, "orders", "show", order)
    for seen in (order, "PAID", product, "INVENTORY_RESERVED", "CONFIRMED -> PAID", "CAPTURED", "ORDER_PAID"):
        assert seen in shown
    told = await said(shop, "orders", "show", order, "-o", "json")
    assert [step["event"] for step in document(told)["order"]["history"]][-1] == "PAYMENT_SUCCEEDED"
    assert "tok_success" not in told
    await said(shop, "orders", "show", "nowhere", exits=1)


def _known(shop: Shop) -> list[str]:
    known = [f"{each.invariant.name}:{each.subject}" for each in sorted(shop.house.known)]
    return [argument for each in known for argument in ("--expect", each)]


async def test_what_failed_long_ago_is_redriven_like_anything_else(shop: Shop) -> None:
    id_ = new_id()
    old: dict[str, Any] = {
        "x-first-failed-at": "2020-01-01T00:00:00+00:00",
        "x-error": "long ago",
        "x-error-kind": "failed",
        "x-attempts": 4,
    }
    await shop.publish("payment-events.dlq", b"nonsense", message_id=id_, headers=old)
    assert "1 dead letter redriven" in await said(shop, "letters", "redrive", "payment-events", "--id", id_)
    letter = await shop.dead_letter("payment-events", "nonsense")
    # It failed anew, for a reason of its own.
    assert letter.headers["x-error-kind"] == "invalid"
    assert letter.headers["x-attempts"] == 1
