"""A shop with its console, some orders, and something wrong; and the Chromium of this machine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiohttp
import msgspec
import pytest
from msgspec import structs
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pymongo import AsyncMongoClient

from console import checks
from console.work import Kept
from dev.mailbox import Mailbox
from dev.seed import seed
from dev.services import ALL
from dev.stack import Stack
from sagactl.oncall import discarded
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.oncall.jobs.job import Chosen, Job, Outcome, Selector, Step, Verb
from sagactl.oncall.report import Report
from sagactl.shop import Client
from services.shared.contract.audit import Actor, By, Kind

JOB: Final = "01a218bf-7f4d-77c0-98de-9be3a58847cd"
# Nobody is there: no page asks it.
JAEGER: Final = "https://jaeger.example"
SETTINGS: Final = {"JAEGER_URL": JAEGER, "TRUSTED_PROXIES": "127.0.0.1"}
PLACES: Final = ip_network("198.18.0.0/15").hosts()
# Debian's, and what GitHub's machines have.
CHROMIUM: Final = ("chromium", "google-chrome")
# Where whoever changes a page finds pictures of all of them.
PICTURES: Final = Path(__file__).parents[2] / ".run" / "console"


@dataclass(frozen=True)
class Site:
    url: str
    admin: Mapping[str, str]
    # Name -> path, of every page.
    pages: Mapping[str, str]
    # An order that waits for payment, which is down.
    waiting: str
    mailbox: Mailbox

    @staticmethod
    def context(browser: Browser, **more: Any) -> BrowserContext:
        """At a place of its own: who signs in again and again from one is one who guesses passwords."""
        return browser.new_context(extra_http_headers={"X-Forwarded-For": str(next(PLACES))}, **more)

    def sign_in(self, page: Page) -> None:
        page.goto(f"{self.url}/login")
        page.get_by_label("E-mail address").fill(self.admin["email"])
        page.get_by_label("Password").fill(self.admin["password"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("shop")
    stack = Stack(directory, services=ALL, mailbox=True, settings=SETTINGS)
    try:
        yield _run(_opened(stack))
    finally:
        _run(stack.down())


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: Playwright has an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _opened(stack: Stack) -> Site:
    await stack.up()
    seeded = await seed(stack.gateway, stack.admin, stack.customer, lambda _: None)
    async with aiohttp.ClientSession() as http:
        customer = await Client(http, stack.gateway).log_in(**stack.customer)
        product = (await customer.call("GET", "/api/products"))["items"][0]["productId"]
        await stack.stop("payment")
        waiting = str((await customer.place({product: 1}))["orderId"])
        await customer.at(waiting, "CONFIRMED")
        stuck = str((await customer.place({product: 1}))["orderId"])
        await customer.at(stuck, "CONFIRMED")
    await _age(stack, stuck)
    await _place_earlier(stack, seeded.orders["paid"])
    await _lose_some(stack, waiting)
    await _keep(stack, waiting, product)
    assert stack.mailbox is not None
    mail = await _sent(stack, seeded.orders["paid"])
    paths = {f"order {name}": f"/orders/{id_}" for name, id_ in seeded.orders.items()}
    return Site(
        stack.services["console"],
        stack.admin,
        {
            "now": "/",
            "orders": "/orders",
            "orders paid": "/orders?status=PAID&since=24h",
            "refund all": "/orders/all/refund?since=24h",
            "refund every": "/orders/all/refund",
            "stuck": "/stuck",
            "sweep": "/stuck/sweep",
            "order waiting": f"/orders/{waiting}",
            **paths,
            "cancel": f"/orders/{waiting}/cancel",
            "refund": f"/orders/{seeded.orders['paid']}/refund",
            "letters": "/letters",
            "letter": "/letter?queue=orders&id=poison",
            "redrive": "/letters/redrive?queue=orders&id=poison",
            "discard": "/letters/discard?queue=orders&kind=invalid",
            "discard chosen": "/letters/discard?queue=orders&id=poison&id=odd-1&id=gone",
            "nothing chosen": "/letters/redrive?queue=orders&id=",
            "discarded": "/letters/discarded",
            "restore": "/letters/restore?queue=orders&id=other",
            "queues": "/queues",
            "jobs": "/jobs",
            "job": f"/jobs/{JOB}",
            "checks": "/checks",
            "repair": f"/orders/{waiting}/repair",
            "mails": "/mails",
            "mails never sent": "/mails?show=never+sent",
            "resend": f"/mails/{mail}/resend",
            "mail": "/mails/preview?kind=paid&language=de",
            "product": f"/products/{product}",
            "restock": f"/products/{product}/restock?pieces=12",
            "trail": "/trail",
            "found": f"/find?q={stack.customer['email']}",
            "nothing": "/nothing",
        },
        waiting,
        stack.mailbox,
    )


async def _age(stack: Stack, order_id: str) -> None:
    """As if it waited since hours ago."""
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo:
        since = datetime.now(UTC) - timedelta(hours=2)
        await mongo["order"]["orders"].update_one({"_id": order_id}, {"$set": {"stateSince": since}})


async def _place_earlier(stack: Stack, order_id: str) -> None:
    """Two minutes: how long orders take is told by those that are a minute old."""
    earlier = {"$dateSubtract": {"startDate": "$createdAt", "unit": "minute", "amount": 2}}
    step = {"$dateSubtract": {"startDate": "$$step.at", "unit": "minute", "amount": 2}}
    steps = {"$map": {"input": "$history", "as": "step", "in": {"$mergeObjects": ["$$step", {"at": step}]}}}
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo:
        change = {"$set": {"createdAt": earlier, "history": steps}}
        await mongo["order"]["orders"].update_one({"_id": order_id}, [change])


async def _sent(stack: Stack, order_id: str) -> str:
    """The id of its mail, once the mail server has that."""
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as mongo:
        notifications = mongo["notification"]["notifications"]
        while (found := await notifications.find_one({"orderId": order_id, "state": "SENT"})) is None:
            await asyncio.sleep(0.1)
        return str(found["_id"])


async def _lose_some(stack: Stack, order_id: str) -> None:
    """Messages that nobody can read, and that are dead letters for it."""
    body, ids = (
        b'{"type": "INVENTORY_RESERVED", "data": {"orderId": 1}}',
        ("poison", "odd-1", "odd-2", "odd-3"),
    )
    async with _channel(stack.rabbitmq.url) as channel:
        for id_ in ids:
            message = aio_pika.Message(
                body, type="INVENTORY_RESERVED", message_id=id_, correlation_id=order_id, delivery_mode=2
            )
            await channel.default_exchange.publish(message, "orders", mandatory=True)
        dead = -1
        while dead != len(ids):
            await asyncio.sleep(0.1)
            found = await channel.declare_queue("orders.dlq", passive=True)
            dead = found.declaration_result.message_count or 0


async def _keep(stack: Stack, order_id: str, product: str) -> None:
    """A job that waits for its turn, what a check found, and a letter that was discarded: as a console keeps
    them.
    """
    now, eve = datetime.now(UTC), Actor("eve", Kind.USER)
    lost = Chosen("orders", "poison", order_id, "INVENTORY_RESERVED", "invalid", "cannot be read")
    steps = tuple(
        Step(structs.replace(lost, id=id_), outcome, why)
        for id_, outcome, why in (
            ("1", Outcome.HANDLED, ""),
            ("2", Outcome.DEAD, "invalid: cannot be read"),
            ("poison", Outcome.PLANNED, ""),
        )
    )
    selector = Selector(queues=("orders",))
    job = Job(id=JOB, verb=Verb.REDRIVE, reason="to see", begun_at=now, selector=selector, steps=steps)
    kept = Kept(id=JOB, by=By(eve, ""), job=job, due=now + timedelta(days=1))
    findings = (
        Finding(Invariant.MONEY_AGREES, order_id, "the gateway made 2 captures"),
        Finding(Invariant.STOCK_CONSERVED, product, "4 pieces are there, but 5 came"),
        Finding(Invariant.EXPLAINED, "poison", "INVENTORY_RESERVED in orders.dlq: invalid", waiting=True),
    )
    report = Report(dict.fromkeys(Invariant, "12 things"), findings, (), 12)
    check = checks.Kept(done=checks.done(report, "eve", None, now - timedelta(seconds=40), now))
    put_away = Discarded(
        id="other",
        queue="orders",
        message="other",
        type="INVENTORY_RESERVED",
        correlation_id=order_id,
        timestamp=None,
        headers={"x-error-kind": "invalid", "x-error": "cannot be read"},
        body=b"{}",
        by=eve,
        reason="of another system",
        at=now,
    )
    async with discarded.opened(stack.mongodb.url) as kept_letters:
        await kept_letters.put(put_away)
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as client:
        for collection, document in (("jobs", kept), ("checks", check)):
            written = msgspec.to_builtins(document, builtin_types=(datetime,))
            await client["console"][collection].insert_one(written)


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert program, f"there is none of {', '.join(CHROMIUM)}: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
