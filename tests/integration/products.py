"""A product service of no database: it has what it is asked for, and refuses what a test wants refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Products:
    """A product service that has every product but `none`, and will not hear of a `poison`."""

    url: str = ""
    status: int = 200
    asked: list[list[str]] = field(default_factory=list)
    longest_url: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        ids = request.query["ids"].split(",")
        self.asked.append(ids)
        self.longest_url = max(self.longest_url, len(request.raw_path))
        if self.status != 200:
            return web.json_response({}, status=self.status)
        if "poison" in ids:
            return web.json_response({"detail": "that is no id"}, status=422)
        items = [
            {"productId": id_, "name": f"The {id_}", "price": "9.99", "currency": "EUR"}
            for id_ in ids
            if id_ != "none"
        ]
        return web.json_response({"items": items})


@asynccontextmanager
async def selling() -> AsyncIterator[Products]:
    products, app = Products(), web.Application()
    app.router.add_get("/api/products", products.answer)
    async with TestServer(app, skip_url_asserts=True) as server:
        products.url = str(server.make_url("")).rstrip("/")
        yield products
