"""A shop with its console, some orders, and something wrong; and the Chromium of this machine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiohttp
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from dev.seed import seed
from dev.services import ALL
from dev.stack import Stack
from sagactl.shop import Client

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

    def sign_in(self, page: Page) -> None:
        page.goto(f"{self.url}/login")
        page.get_by_label("E-mail address").fill(self.admin["email"])
        page.get_by_label("Password").fill(self.admin["password"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    stack = Stack(tmp_path_factory.mktemp("shop"), services=ALL)
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
    await _lose_one(stack, waiting)
    paths = {f"order {name}": f"/orders/{id_}" for name, id_ in seeded.orders.items()}
    return Site(
        stack.services["console"],
        stack.admin,
        {
            "now": "/",
            "orders": "/orders",
            "stuck": "/stuck",
            "order waiting": f"/orders/{waiting}",
            **paths,
            "cancel": f"/orders/{waiting}/cancel",
            "refund": f"/orders/{seeded.orders['paid']}/refund",
            "letters": "/letters",
            "letter": "/letter?queue=orders&id=poison",
            "redrive": "/letters/redrive?queue=orders&id=poison",
            "discard": "/letters/discard?queue=orders&kind=invalid",
            "queues": "/queues",
            "jobs": "/jobs",
            "checks": "/checks",
            "repair": f"/orders/{waiting}/repair",
            "mails": "/mails",
            "mails never sent": "/mails?show=never+sent",
            "mail": "/mails/preview?kind=paid&language=de",
            "product": f"/products/{product}",
            "trail": "/trail",
            "found": f"/find?q={stack.customer['email']}",
            "nothing": "/nothing",
        },
        waiting,
    )


async def _lose_one(stack: Stack, order_id: str) -> None:
    """A message that nobody can read, and that is a dead letter for it."""
    body = b'{"type": "INVENTORY_RESERVED", "data": {"orderId": 1}}'
    message = aio_pika.Message(
        body, type="INVENTORY_RESERVED", message_id="poison", correlation_id=order_id, delivery_mode=2
    )
    async with _channel(stack.rabbitmq.url) as channel:
        await channel.default_exchange.publish(message, "orders", mandatory=True)
        while not (await channel.declare_queue("orders.dlq", passive=True)).declaration_result.message_count:
            await asyncio.sleep(0.1)


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
