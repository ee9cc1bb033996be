"""A stand-in for the order service's admin API: a real HTTP server, with orders that go stale.

`python -m tests.operator.order_service PORT COUNT` serves COUNT stale orders, for trials by hand.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]
TOKEN = "a-token"


@dataclass
class Order:
    status: str
    since: datetime


@dataclass
class FakeOrderService:
    """As the real one it decides from the state of the moment: a second compensation is `already`."""

    token: str = TOKEN
    orders: dict[str, Order] = field(default_factory=dict)
    compensated: list[str] = field(default_factory=list)
    """Every order that was in fact compensated, once for every time: a double compensation would show."""
    asked: list[str] = field(default_factory=list)
    """Every request for a compensation."""
    listings: int = 0
    at_once: int = 0
    most_at_once: int = 0
    """Requests that were answered at the same time."""
    delay: float = 0.0
    failing: Callable[[str], bool] = lambda _: False
    """By path: whether to answer 500."""
    url: str = ""

    def add_stale(self, count: int, status: str = "CONFIRMED", age: timedelta = timedelta(hours=1)) -> None:
        now = datetime.now(UTC)
        for n in range(count):
            since = now - age + timedelta(seconds=n)
            self.orders[f"{status.lower()}-{len(self.orders):04}"] = Order(status, since)

    async def start(self, stack: AsyncExitStack, port: int = 0) -> Self:
        app = web.Application()
        app.router.add_get("/internal/orders/stale", self._guarded(self._stale))
        app.router.add_post("/internal/orders/{id}/compensate", self._guarded(self._compensate))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        bound = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{bound}"
        return self

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                raise web.HTTPUnauthorized
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(self.delay)
            self.at_once -= 1
            if self.failing(request.path):
                raise web.HTTPInternalServerError
            return await handler(request)

        return guarded

    async def _stale(self, request: web.Request) -> web.Response:
        self.listings += 1
        status, older_than = request.query["status"], timedelta(seconds=int(request.query["olderThan"]))
        found = sorted(
            (order.since, order_id)
            for order_id, order in self.orders.items()
            if order.status == status and datetime.now(UTC) - order.since >= older_than
        )
        listed = found[: int(request.query["limit"])]
        return web.json_response(
            {"orders": [{"orderId": i, "status": status, "stateSince": s.isoformat()} for s, i in listed]}
        )

    async def _compensate(self, request: web.Request) -> web.Response:
        body, order_id = await request.json(), request.match_info["id"]
        self.asked.append(order_id)
        order = self.orders[order_id]
        if order.status == "CANCELLED":
            return web.json_response({"orderId": order_id, "status": order.status, "outcome": "already"})
        if order.status != body["status"]:
            return web.json_response(
                {"orderId": order_id, "status": order.status, "outcome": "notApplicable"}
            )
        self.orders[order_id] = Order("CANCELLED", datetime.now(UTC))
        self.compensated.append(order_id)
        return web.json_response({"orderId": order_id, "status": "CANCELLED", "outcome": "compensated"})


async def serve(port: int, count: int, delay: float) -> None:
    async with AsyncExitStack() as stack:
        service = await FakeOrderService(delay=delay).start(stack, port)
        service.add_stale(count)
        while True:
            await asyncio.sleep(1)
            once = len(service.compensated) == len(set(service.compensated))
            sys.stdout.write(
                f"asked {len(service.asked)} compensated {len(service.compensated)} once={once}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
