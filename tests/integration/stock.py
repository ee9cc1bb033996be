"""An inventory service of no database: it has what a test gives it, and answers as a test wants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Inventory:
    url: str = ""
    status: int = 200
    available: dict[str, int] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        ids = request.query["ids"].split(",")
        self.asked.append(ids)
        items = [
            {"productId": id_, "available": self.available[id_], "discontinued": False}
            for id_ in ids
            if id_ in self.available
        ]
        return web.json_response({"items": items}, status=self.status)


@asynccontextmanager
async def stocking() -> AsyncIterator[Inventory]:
    inventory, app = Inventory(), web.Application()
    app.router.add_get("/api/inventory", inventory.answer)
    async with TestServer(app, skip_url_asserts=True) as server:
        inventory.url = str(server.make_url("")).rstrip("/")
        yield inventory
