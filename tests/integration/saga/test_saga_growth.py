"""Nothing reads what grows: the whole shop at work on databases that hold years of orders."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from sagactl.access import Access
from sagactl.exits import Exit
from sagactl.oncall.books import reading
from sagactl.oncall.notes import notes
from sagactl.polling import until
from sagactl.shop import Client, Json
from services.order.model import Status
from services.shared.contract.events import CORE
from services.shared.database.counting import COUNT_EVERY_SECONDS
from services.shared.engine.leases import OUTBOX
from tests.integration.room import PATIENCE
from tests.integration.saga.commands import sagactl
from tests.integration.saga.customers import PASSWORD
from tests.integration.saga.growth import (
    GROWS,
    grown,
    profiled,
    shard_keys_missing,
    used,
    wasteful,
)
from tests.integration.saga.shop import Shop
from tests.unit.indexes import Index, declared

WHO: Final = "growth"
# The page after these begins so far from the list's start that reading up to it shows.
PAGE: Final = 20
PAGES: Final = 4
# The page whose reading is measured against what it holds.
SMALL: Final = 2
# More orders than this are in a state that many are in.
FEW: Final = 8
# By MongoDB itself, by the checker, and by the console, at which nobody is here.
UNUSED: Final = {
    *(
        Index(service, "idempotency", "{ at: 1 }")
        for service in ("order", "product", "inventory", "notification", "fulfilment")
    ),
    # By `sagactl status`, too.
    Index("order", "shed", "{ at: 1 }"),
    # This shop does without.
    Index("fulfilment", "outbox", "{ due: 1 }"),
    Index("notification", "webhookDeliveries", "{ expiresAt: 1 }"),
    Index("auth", "refreshFamilies", "{ expiresAt: 1 }"),
    Index("payment", "gateway_ledger", "{ at: 1 }"),
    Index("inventory", "reservations", "{ lines.productId: 1 }"),
    Index("auth", "guesses", "{ expiresAt: 1 }"),
    Index("auth", "letters", "{ expiresAt: 1 }"),
    Index("console", "jobs", "{ job.begunAt: 1 }"),
    Index("notification", "notifications", "{ at: -1 }"),
}


async def test_no_operation_reads_more_than_it_needs_however_much_was_sold(shop: Shop) -> None:
    # One of everything there is, to be copied.
    sold = await everyday(shop)
    await accounts(shop)
    async with grown(shop, sold):
        begun = time.monotonic()
        async with profiled(shop) as operations:
            await asyncio.gather(everyday(shop), accounts(shop), lists(shop))
            async with shop.frozen("payment"):
                await compensations(shop)
            # What recurs has recurred: orders were counted, outboxes swept.
            await asyncio.sleep(begun + COUNT_EVERY_SECONDS + 1 - time.monotonic())
            # Rows that rest are due, once there is a broker again, and are swept.
            await shop.lose_broker()
            await shop.drained()
    found = wasteful(operations)
    assert not found, "\n".join(found)
    touched = {operation["ns"] for operation in operations}
    assert touched >= {f"{service}.{name}" for service, name in GROWS}
    assert touched >= {f"{service}.{OUTBOX}" for service in CORE}
    assert declared() - used(operations) == UNUSED
    unsharded = shard_keys_missing(operations)
    assert not unsharded, "\n".join(unsharded)


# What reads by its purpose all that there is: `find` and `replay` are not among them.
OF_SAGACTL: Final = (
    ("status",),
    ("orders", "list"),
    ("orders", "list", "--open"),
    ("orders", "show", "ORDER"),
    ("payments", "list"),
    ("payments", "show", "ORDER"),
    ("stock", "show", "PRODUCT"),
    ("stock", "history", "PRODUCT"),
    ("outbox", "list"),
    ("mails", "list"),
    ("mails", "list", "--state", "waiting"),
    ("mails", "list", "--state", "failed"),
    ("stuck", "list"),
    ("explain", "ORDER"),
)


async def test_no_operation_of_sagactl_reads_more_than_it_needs_either(shop: Shop) -> None:
    """But for outboxes, which are read to their end: they are short, unless there is an outage to look at."""
    sold = await everyday(shop)
    await accounts(shop)
    order = await shop.database("order")["orders"].find_one({"_id": sold})
    assert order is not None
    names = {"ORDER": sold, "PRODUCT": order["lines"][0]["productId"]}
    async with (
        grown(shop, sold),
        reading(Access.of_stack(shop.stack.directory).mongodb_url) as books,
        profiled(shop, "sagactl") as operations,
    ):
        # Again and again, while a check waits for the shop to come to rest.
        await books.unrest()
        await books.rows_of_nobody()
        await notes(books)
        for command in OF_SAGACTL:
            result = await sagactl(shop, *(names.get(each, each) for each in command))
            assert result.exit_code in {Exit.FINE, Exit.NOT_YET}, (command, result.output)
    found = wasteful(each for each in operations if not each["ns"].endswith(f".{OUTBOX}"))
    assert not found, "\n".join(found)
    assert {
        Index("payment", "payments", "{ state: 1, intendedAt: 1 }"),
        Index("order", "orders", "{ status: 1, reservedUntil: 1, stateSince: 1 }"),
    } <= used(operations)


async def everyday(shop: Shop) -> str:
    """Something is offered, sold, looked at and refunded; something else is sold, and its order returned."""
    admin = await shop.client("admin")
    buyer = await shop.client(WHO)
    lamp = await shop.product(stock=20)
    # Nobody is there: what it is told waits.
    nowhere = await admin.call("POST", "/api/webhooks", {"url": "https://127.0.0.1:1/"}, key=uuid4().hex)
    keyed = {"Idempotency-Key": uuid4().hex}
    product = {"name": "Cup", "description": "Cup", "price": "5.00", "currency": "USD", "initialStock": 1}
    for _ in range(2):
        await admin.call("POST", "/api/products", product, key=keyed["Idempotency-Key"])
        await admin.call("POST", f"/api/inventory/{lamp}/restock", {"quantity": 5}, key=lamp)
    await admin.call("PATCH", f"/api/products/{lamp}", {"price": "11.00"})
    await buyer.call("GET", f"/api/products/{lamp}")
    await buyer.call("GET", f"/api/products?ids={lamp},none")
    key = uuid4().hex
    order_id, again = [await shop.place({lamp: 1}, who=WHO, key=key) for _ in range(2)]
    assert order_id == again
    refunded, declined = await asyncio.gather(
        shop.place({lamp: 2}, who=WHO), shop.place({lamp: 1}, who=WHO, card="tok_declined")
    )
    await asyncio.gather(
        shop.settles(order_id, "PAID"), shop.settles(refunded, "PAID"), shop.settles(declined, "CANCELLED")
    )
    await buyer.refund(refunded, "too small")
    await shop.settles(refunded, "REFUNDED")
    for client in (buyer, admin):
        await client.order(order_id)
        await client.timeline(order_id)
        assert await client.payment(order_id) is not None
    assert (await internal(shop, "notification", f"/internal/notifications?orderId={order_id}"))["items"]
    await shop.stock(lamp)
    await admin.call("POST", f"/api/inventory/{lamp}/adjust", {"delta": -1, "reason": "LOST"}, key=f"{lamp}-")
    assert (await admin.call("GET", f"/api/inventory/{lamp}/moves"))["items"]
    await webhooks(admin, f"/api/webhooks/{nowhere['endpointId']}")
    return order_id


async def webhooks(admin: Client, endpoint: str) -> None:
    """What an endpoint missed is looked at, and asked for again."""

    async def deliveries() -> list[Json]:
        found: list[Json] = (await admin.call("GET", f"{endpoint}/deliveries"))["items"]
        return found

    async def replayed() -> bool:
        return bool((await admin.call("GET", endpoint))["replay"]["done"])

    await until(deliveries, within=PATIENCE, what="deliveries")
    await admin.call("GET", f"{endpoint}/deliveries?state=WAITING&limit=1")
    await admin.call("POST", f"{endpoint}/replay", {"since": datetime.now(UTC).isoformat()})
    await until(replayed, within=PATIENCE, what="the replay")
    await admin.call("DELETE", endpoint)


async def accounts(shop: Shop) -> None:
    email = f"{uuid4().hex}@shop.example"
    person = {"name": "Ada", "email": email, "password": PASSWORD}
    assert [(await shop.http.post("/auth/register", json=person)).status_code for _ in range(2)] == [201, 409]
    session = await _posted(shop, "/auth/login", email=email, password=PASSWORD)
    session = await _posted(shop, "/auth/refresh", refreshToken=session["refreshToken"])
    headers = {"Authorization": f"Bearer {session['accessToken']}"}
    assert (await shop.http.get("/auth/me", headers=headers)).json()["email"] == email
    await (await shop.client("admin")).call("GET", "/auth/accounts")
    gone = await shop.http.post("/auth/logout", json={"refreshToken": session["refreshToken"]})
    assert gone.status_code == 204


async def _posted(shop: Shop, path: str, **body: str) -> Json:
    answer = await shop.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content: Json = answer.json()
    return content


async def lists(shop: Shop) -> None:
    """All, those of each status, and the products: the first pages, and a small one further on."""
    for who in (WHO, "admin"):
        everything = await pages(shop, who, "/api/orders")
        assert len(everything) > PAGE * PAGES
        for status in Status:
            found = await pages(shop, who, "/api/orders", status=status)
            assert {order["status"] for order in found} <= {status}
            assert len(found) > FEW or status not in {Status.PAID, Status.CANCELLED}, status
    assert len(await pages(shop, WHO, "/api/products")) > PAGE * PAGES


async def pages(shop: Shop, who: str, path: str, **parameters: Any) -> list[Json]:
    """The entries of some pages of a list."""
    found: list[Json] = []
    asked: dict[str, Any] = dict(parameters)
    for limit in (*[PAGE] * PAGES, SMALL):
        answer = await shop.http.get(path, params=asked | {"limit": limit}, headers=await shop.headers(who))
        page = answer.json()
        found += page["items"]
        if not page["nextCursor"]:
            break
        asked["cursor"] = page["nextCursor"]
    return found


async def compensations(shop: Shop) -> None:
    """What operators ask, and orders that end before they are paid: payment stands still."""
    lamp = await shop.product(stock=5)
    stuck, unwanted = [await shop.place({lamp: 1}, who=WHO) for _ in range(2)]
    await asyncio.gather(shop.is_at(stuck, "CONFIRMED"), shop.is_at(unwanted, "CONFIRMED"))
    for status in ("PENDING", "CONFIRMED"):
        await internal(shop, "order", f"/internal/orders/stale?status={status}&olderThan=0")
    await internal(shop, "order", "/internal/orders/attention")
    assert await shop.compensate(stuck) == "compensated"
    assert (await shop.cancel(unwanted, who=WHO)).status_code == 202
    await asyncio.gather(shop.settles(stuck, "CANCELLED"), shop.settles(unwanted, "CANCELLED"))
    await (await shop.client("admin")).remove_product(lamp)


async def internal(shop: Shop, service: str, path: str) -> Json:
    url = next(replica.url for replica in shop.stack.replicas if replica.service == service)
    answer = await shop.http.get(f"{url}{path}", headers=await shop.headers("admin"))
    assert answer.status_code == 200, answer.text
    content: Json = answer.json()
    return content
