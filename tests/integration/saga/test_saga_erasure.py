"""A customer leaves: all that is kept of them is told, and then found nowhere; the books still add up."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis.asyncio import Redis

from sagactl.oncall import erasure
from sagactl.oncall.books import Books
from sagactl.oncall.invariants import check_case
from sagactl.oncall.pseudonyms import ADDRESS, TEXT
from sagactl.polling import until
from sagactl.provision.erasing import ACTIONS
from sagactl.shop import Json
from tests.integration.saga.commands import sagactl
from tests.integration.saga.customers import PASSWORD, email_of
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import body
from tests.integration.saga.shop import Shop

# What MongoDB keeps for itself: its users; and the log of writes for its replicas, which runs over in time.
INTERNAL = {"admin", "config", "local"}


@pytest.fixture(autouse=True)
def _told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nothing is under way that the broker would tell of late."""
    monkeypatch.setattr(erasure, "QUIET_SECONDS", 0.1)


async def places_with(shop: Shop, text: str) -> set[str]:
    """Where a text is found: databases, queues, Redis, and the logs of the services."""
    return {place async for place, content in contents(shop) if text in content}


async def contents(shop: Shop) -> AsyncIterator[tuple[str, str]]:
    for database in set(await shop.mongodb.list_database_names()) - INTERNAL:
        for name in await shop.mongodb[database].list_collection_names():
            async for document in shop.mongodb[database][name].find():
                yield f"{database}.{name}", str(document)
    for queue in await shop.management("GET", "queues"):
        look = {"count": 10_000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        for message in await shop.management("POST", f"queues/%2F/{queue['name']}/get", look):
            yield queue["name"], json.dumps(message, ensure_ascii=False)
    async with Redis.from_url(shop.stack.redis.url) as redis:
        async for key in redis.scan_iter():
            yield "redis", f"{key!r} {await redis.dump(key)!r}"
    for service in shop.stack.services:
        for file in (shop.stack.directory / "logs").glob(f"{service}*.log*"):
            yield file.name, file.read_text(errors="replace")


class Customer:
    """Somebody with an order of every kind, and a dead letter."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.name = f"leaving{uuid.uuid4().hex[:12]}"
        self.email = email_of(self.name)
        self.orders: dict[str, str] = {}

    async def buys(self) -> None:
        shop, who = self.shop, self.name
        lamp = await shop.product(stock=20)
        self.orders["paid"] = await shop.place({lamp: 1}, who=who, key=f"key-of-{who}")
        self.orders["declined"] = await shop.place({lamp: 1}, who=who, card="tok_declined")
        self.orders["refunded"] = await shop.place({lamp: 1}, who=who)
        self.orders["by staff"] = await shop.place({lamp: 1}, who=who)
        await shop.settles(self.orders["paid"], "PAID")
        await shop.settles(self.orders["declined"], "CANCELLED")
        await shop.settles(self.orders["refunded"], "PAID")
        client = await shop.client(who)
        await client.call("POST", f"/api/orders/{self.orders['declined']}/cancel", key=f"no-more-of-{who}")
        await client.refund(self.orders["refunded"], f"I am {who}, call me")
        await shop.settles(self.orders["by staff"], "PAID")
        admin = await shop.client("admin")
        await admin.refund(self.orders["by staff"], f"{who} called")
        await shop.settles(self.orders["refunded"], "REFUNDED")
        await shop.settles(self.orders["by staff"], "REFUNDED")
        await self.is_at_rest()

    async def is_at_rest(self) -> None:
        """Nothing about their orders is under way; an outbox has it for a moment after it was published."""
        for order_id in self.orders.values():
            over = partial(is_over, self.shop.mongodb, order_id)
            await until(over, within=PATIENCE, what=f"the end of {order_id}")

    async def has_a_dead_letter(self, name: str = "dead") -> str:
        dead = body("ORDER_PAID", orderId=self.orders["paid"], email=self.email)
        id_ = f"{name}-{self.orders['paid']}"
        await self.shop.publish("notifications", dead, message_id=id_)

        async def is_dead() -> bool:
            return "notifications.dlq" in await places_with(self.shop, self.email)

        await until(is_dead, within=PATIENCE, what="a dead letter")
        return id_

    async def has_a_discarded_letter(self) -> str:
        id_ = await self.has_a_dead_letter("discarded")
        command = ("letters", "discard", "notifications", id_, "--reason", f"of {self.email}", "--yes")
        assert (await sagactl(self.shop, *command)).exit_code == 0
        return id_

    async def id(self) -> str:
        account = await self.shop.database("auth")["users"].find_one({"email": self.email})
        assert account is not None
        return str(account["_id"])

    async def tokens_expire(self) -> None:
        """As they do with time."""
        ago = datetime.now(UTC) - timedelta(hours=1)
        families = self.shop.database("auth")["refreshFamilies"]
        await families.update_many({"userId": await self.id()}, {"$set": {"createdAt": ago}})


async def is_over(client: AsyncMongoClient[Json], order_id: str) -> bool:
    """Whether an order has come to its end in all books, and nothing about it waits to be published."""
    (case,) = await Books(client).these([order_id])
    return not any(check_case(case)) and not await erasure.unpublished(client, [order_id])


async def test_a_customer_who_is_erased_is_found_nowhere_and_the_books_add_up(shop: Shop) -> None:
    customer = Customer(shop)
    await customer.buys()
    discarded = await customer.has_a_discarded_letter()
    await customer.has_a_dead_letter()
    customer_id = await customer.id()
    assert await places_with(shop, customer.name) >= {
        *("auth.users", "order.orders", "order.idempotency", "notification.notifications"),
        *("notifications.dlq", "sagactl.discarded"),
    }
    early = await sagactl(shop, "customers", "erase", customer.email, "--yes")
    assert (early.exit_code, "access tokens are good until" in early.output) == (3, True), early.output
    login = {"email": customer.email, "password": PASSWORD}
    assert (await shop.http.post("/auth/login", json=login)).status_code == 403
    assert "order.orders" in await places_with(shop, customer.email), "nothing is half done"
    await customer.tokens_expire()
    done = await sagactl(shop, "customers", "erase", customer.email, "--yes")
    assert done.exit_code == 0, done.output
    assert "4 orders stay" in done.output

    assert await places_with(shop, customer.email) == set()
    assert await places_with(shop, customer.name) == set()
    assert (await shop.http.post("/auth/login", json=login)).status_code == 401
    paid = await shop.order(customer.orders["paid"])
    assert (paid["status"], paid["totalPrice"], paid["customer"]) == (
        "PAID",
        "10.00",
        {"customerId": customer_id, "email": ADDRESS},
    )
    refunded = await shop.order(customer.orders["refunded"])
    assert (refunded["status"], refunded["refundReason"]) == ("REFUNDED", TEXT)
    letter = await shop.dead_letter("notifications", customer.orders["paid"])
    assert json.loads(letter.body)["data"] == {"orderId": customer.orders["paid"], "email": ADDRESS}
    assert letter.message_id == f"dead-{customer.orders['paid']}"
    assert letter.headers["x-error-kind"] == "invalid"
    assert (letter.headers["x-attempts"], letter.headers["x-queue"]) == (1, "notifications")
    trail = shop.mongodb["sagactl-audit"]["audit"].find({"subject": customer_id})
    assert {entry["action"] async for entry in trail} == {"customer.erased"}
    again = ("letters", "restore", "notifications", discarded, "--reason", "to look at it", "--yes")
    assert (await sagactl(shop, *again)).exit_code == 0, "it is a letter as before"
    letter = await shop.dead_letter("notifications", customer.orders["paid"])
    assert (letter.message_id, json.loads(letter.body)["data"]["email"]) == (discarded, ADDRESS)


async def test_another_customer_is_not_touched(shop: Shop) -> None:
    """Not even one whose address ends with the other's."""
    one, other = Customer(shop), Customer(shop)
    other.name = f"not-{one.name}"
    other.email = email_of(other.name)
    await one.buys()
    await other.buys()
    await other.has_a_dead_letter()
    before = await places_with(shop, other.email)
    await sagactl(shop, "customers", "erase", one.email, "--yes")
    await one.tokens_expire()
    done = await sagactl(shop, "customers", "erase", await one.id(), "--yes")
    assert done.exit_code == 0, done.output
    assert await places_with(shop, other.email) == before
    assert (await shop.order(other.orders["refunded"]))["refundReason"] == f"I am {other.name}, call me"
    await shop.dead_letter("notifications", other.orders["paid"])


async def test_whoever_has_an_order_under_way_is_not_erased(shop: Shop) -> None:
    customer = Customer(shop)
    lamp = await shop.product()
    async with shop.frozen("payment"):
        order_id = await shop.place({lamp: 1}, who=customer.name)
        refused = await sagactl(shop, "customers", "erase", customer.email, "--yes")
    assert refused.exit_code == 1, refused.output
    assert f"order {order_id} is " in refused.output
    assert "not settled: cancel it, or wait for its end" in refused.output
    login = {"email": customer.email, "password": PASSWORD}
    assert (await shop.http.post("/auth/login", json=login)).status_code == 200, "nothing was begun"
    await shop.settles(order_id, "PAID")


@pytest.mark.parametrize("in_time", [True, False])
async def test_what_staff_does_while_a_customer_is_erased_is_seen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, *, in_time: bool
) -> None:
    """A refund between the books and the account, which ends before all is looked at again, or does not."""
    customer = Customer(shop)
    await customer.buys()
    await sagactl(shop, "customers", "erase", customer.email, "--yes")
    await customer.tokens_expire()
    paid = customer.orders["paid"]
    own = await shop.headers("admin")
    pseudonymise, found = erasure.pseudonymise, []

    async def then_refunded(client: AsyncMongoClient[Json], customer_id: str, orders: list[str]) -> int:
        """It runs in the tool's event loop, and asks the shop as an administrator does."""
        found.append(await pseudonymise(client, customer_id, orders))
        if len(found) == 1:
            async with httpx.AsyncClient(base_url=shop.stack.gateway, headers=own) as staff:
                reason = {"reason": f"{customer.name} called"}
                (await staff.post(f"/api/orders/{paid}/refund", json=reason)).raise_for_status()
            if in_time:
                await until(lambda: is_over(client, paid), within=PATIENCE, what="the end of the refund")
        return found[-1]

    monkeypatch.setattr(erasure, "pseudonymise", then_refunded)
    first = await sagactl(shop, "customers", "erase", customer.email, "--yes")
    if in_time:
        assert first.exit_code == 0, first.output
        assert found[1] > 0 == found[-1], "it ends when nothing is found any more"
    else:
        assert first.exit_code in {1, 3}, first.output
        assert await customer.id(), "the account is there to be found by"
        await shop.settles(paid, "REFUNDED")
        await customer.is_at_rest()
        assert (await sagactl(shop, "customers", "erase", customer.email, "--yes")).exit_code == 0
    assert (await shop.order(paid))["status"] == "REFUNDED"
    assert await places_with(shop, customer.name) == set()


async def test_where_not_all_dead_letters_can_be_looked_at_nobody_is_called_erased(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = Customer(shop)
    await customer.buys()
    await customer.has_a_dead_letter()
    await sagactl(shop, "customers", "erase", customer.email, "--yes")
    await customer.tokens_expire()
    with monkeypatch.context() as patched:
        patched.setattr(erasure, "AT_ONCE", 1)
        for command in (["export", customer.email], ["erase", customer.email, "--yes"]):
            result = await sagactl(shop, "customers", *command)
            assert result.exit_code == 3, result.output
            assert "notifications.dlq holds 1 dead letters or more" in " ".join(result.stderr.split())
    assert await customer.id(), "the account is there to be found by"
    done = await sagactl(shop, "customers", "erase", customer.email, "--yes")
    assert done.exit_code == 0, done.output
    await shop.dead_letter("notifications", customer.orders["paid"])


async def test_staff_and_whoever_is_not_there_are_refused_in_a_sentence(shop: Shop) -> None:
    admin = shop.stack.admin["email"]
    for command, code, said in (
        (["erase", admin, "--yes"], 1, "the account has a role"),
        (["erase", admin], 2, "give --yes"),
        (["erase", "nobody@shop.example", "--yes"], 1, "there is no account with the address"),
        (["export", str(uuid.uuid4())], 1, "there is no account with the id"),
    ):
        result = await sagactl(shop, "customers", *command)
        assert (result.exit_code, said in " ".join(result.output.split())) == (code, True), result.output


async def test_what_is_kept_of_a_customer_is_one_document(shop: Shop) -> None:
    customer = Customer(shop)
    await customer.buys()
    discarded = await customer.has_a_discarded_letter()
    await customer.has_a_dead_letter()
    result = await sagactl(shop, "customers", "export", customer.email)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    account = document["account"]
    assert (account["email"], account["name"]) == (customer.email, customer.name)
    assert len(account["logins"]) >= 1
    assert [letter["kind"] for letter in account["letters"]] == ["verify"]
    orders = {each["order"]["_id"]: each for each in document["orders"]}
    assert orders.keys() == set(customer.orders.values())
    paid = orders[customer.orders["paid"]]
    assert paid["order"]["email"] == customer.email
    assert paid["payment"]["state"] == "CAPTURED"
    assert [told["recipient"] for told in paid["notifications"]] == [customer.email]
    assert [each["id"] for each in document["deadLetters"]] == [f"dead-{customer.orders['paid']}"]
    assert [each["id"] for each in document["discardedLetters"]] == [discarded]
    keys = {key["_id"].rpartition("/")[2] for key in document["idempotencyKeys"]}
    assert len(keys) == 5
    assert {f"key-of-{customer.name}", f"no-more-of-{customer.name}"} < keys
    assert {"account.registered", "login"} <= {each["action"] for each in document["auditTrail"]}
    by_staff = [each["subject"] for each in document["auditTrail"] if each["action"] == "order.refunded"]
    assert by_staff == [customer.orders["by staff"]]
    for secret in ("passwordHash", "tok_success", "digest"):
        assert secret not in result.stdout
    await shop.dead_letter("notifications", customer.orders["paid"])


async def test_sagactl_may_change_what_names_a_customer_and_nothing_else(shop: Shop) -> None:
    nobody = {"_id": "nobody"}
    async with AsyncMongoClient[Json](shop.stack.checker["mongodbUrl"]) as client:
        for database, collection in (
            *ACTIONS,
            ("payment", "payments"),
            ("inventory", "stock"),
            ("auth", "users"),
        ):
            stored = client[database][collection]
            allowed = ACTIONS.get((database, collection), "")
            for action, command in (
                ("update", stored.update_one(nobody, {"$set": {"x": 1}})),
                ("remove", stored.delete_one(nobody)),
                ("insert", stored.insert_one({"_id": "mine"})),
            ):
                if action == allowed:
                    await command
                else:
                    with pytest.raises(OperationFailure, match="not authorized"):
                        await command
